"""The pocket bundle, part by part: `python -m training.pocket all --data ../shared/data/bccd`."""
