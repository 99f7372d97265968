"""Masks as COCO files hold them, polygons or run lengths, read from anybody's file; and how boxes lie to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from generator.foundation.geometry import box_of_mask

# A drawn polygon is off by up to a pixel on each side, and people's boxes are rounded.
BOX_TOLERANCE_PX, BOX_TOLERANCE_SHARE = 2.0, 0.02
MAX_COORDINATE = 1e6


def distance_from_mask(bbox: Sequence[float], mask: np.ndarray) -> float:
    """Pixels from the edges of a box (x, y, width, height) to its mask (HW bool, not empty); 0 where they fit."""
    tight = box_of_mask(mask)
    if tight is None:
        raise ValueError("an empty mask has no edges")
    x, y, width, height = bbox
    off = float(np.abs(np.array(tight.xyxy) - np.array([x, y, x + width, y + height])).max())
    return off if off > BOX_TOLERANCE_PX + BOX_TOLERANCE_SHARE * max(width, height) else 0.0


def decode_segmentation(segmentation: Any, size_hw: tuple[int, int]) -> np.ndarray:
    """Draw COCO polygons or decode a run-length encoding: a mask, HW bool. Raises ValueError when it is neither."""
    try:
        decoded: np.ndarray = coco_mask.decode(_run_lengths(segmentation, *size_hw))
    except (TypeError, LookupError, OverflowError) as error:
        raise ValueError(str(error)) from None
    return decoded.astype(bool)


def _run_lengths(segmentation: Any, height: int, width: int) -> dict[str, Any]:
    if isinstance(segmentation, list):
        if not all(isinstance(polygon, list) and len(polygon) >= 6 for polygon in segmentation):
            raise ValueError("a polygon needs three points or more")
        if not all(_is_coordinate(value) for polygon in segmentation for value in polygon):
            raise ValueError("a polygon has points that are no numbers, or too far away")  # pycocotools would crash
        return dict(coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width)))
    if isinstance(segmentation["counts"], list):
        return dict(coco_mask.frPyObjects(segmentation, height, width))
    return {"size": segmentation["size"], "counts": str(segmentation["counts"]).encode("ascii")}


def _is_coordinate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_COORDINATE
