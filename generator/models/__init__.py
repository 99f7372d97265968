"""The models behind a run: whether they are at hand, how they are loaded, and those that look and compare."""
