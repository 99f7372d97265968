"""A data set in COCO form -> the layouts that trainers and loaders of other people read as they stand."""
