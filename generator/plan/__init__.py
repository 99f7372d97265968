"""Every scene, box and seed, before there is a pixel."""
