"""The run folder: pictures, records, reviews, COCO."""
