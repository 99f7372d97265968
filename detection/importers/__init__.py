"""Data sets of other people (Pascal VOC, YOLO, COCO, CSV) -> the COCO layout that `boxpaint generate` writes."""
