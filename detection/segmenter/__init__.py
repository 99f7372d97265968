"""Instances and their outlines: Mask R-CNN trained on the masks of a data set, its results as pictures and scores."""
