"""What both packages stand on: errors, files, seeds, geometry, YAML and CSV, processes, models."""
