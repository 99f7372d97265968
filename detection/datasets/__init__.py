"""Data sets of labelled pictures as trainers see them: read from COCO, chosen from, split, written back."""
