"""YOLO polygons as ultralytics reads them: https://docs.ultralytics.com/datasets/segment/.

The folders of yolo.py; a line is `category x1 y1 x2 y2 x3 y3 ...` in shares of the picture's sides. An object is one
polygon: parts are tied together (polygons.py), holes are lost, and the box is what is around the polygon.
"""

from __future__ import annotations

import numpy as np

from detection.exporters import yolo
from detection.exporters.polygons import join_parts, polygons_of
from detection.exporters.types import Annotation, PictureSet
from detection.exporters.work import Work
from generator.foundation.errors import DatasetError, Fault

OPENING = """
from ultralytics import YOLO
YOLO("yolo11n-seg.yaml").train(data="data.yaml")
"""


def write(data: PictureSet, work: Work) -> None:
    """Lay the pictures, write labels and data.yaml. Raises DatasetError for a mask that is none, StorageError."""
    yolo.write_with(data, work, polygon_line)
    boxes = sum(item.segmentation is None for picture in data.pictures for item in picture.objects)
    if boxes:
        work.notes.append(f"{boxes} labels have no mask: the corners of their boxes are written as the polygon")


def polygon_line(item: Annotation, size_wh: tuple[int, int]) -> str:
    """Write an object as one polygon in shares. Raises DatasetError when its mask cannot be drawn."""
    x_min, y_min, x_max, y_max = item.box_xyxy
    points = np.array([[x_min, y_min], [x_max, y_min], [x_max, y_max], [x_min, y_max]])
    if item.segmentation is not None:
        try:
            points = join_parts(polygons_of(item.segmentation, size_wh[::-1]) or [points])
        except ValueError as error:
            raise DatasetError([Fault(file=f"annotation {item.id}", expected=f"its mask: {error}")]) from None
    return yolo.shares((np.clip(points / size_wh, 0, 1)).reshape(-1).tolist())
