"""Data sets of other people (COCO, Hugging Face, WebDataset, VOC, YOLO, CSV) -> the layout of `boxpaint generate`."""
