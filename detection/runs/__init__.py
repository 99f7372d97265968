"""Trainings of detectors as folders: what went in, what came out, where it came from."""
