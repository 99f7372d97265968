"""Masks as COCO files hold them, polygons or run lengths: read from anybody's file, traced, and held against boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from generator.foundation.geometry import box_of_mask
from generator.plan.photos import PhotoView, to_canvas_xy

# A drawn polygon is off by up to a pixel on each side, and people's boxes are rounded.
BOX_TOLERANCE_PX, BOX_TOLERANCE_SHARE = 2.0, 0.02
MAX_COORDINATE = 1e6
# Contours are traced on a mask blown up this many times, so that they run along the edges of pixels, not through
# centres.
_TRACE_SCALE = 4


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


def mask_in_view(segmentation: Any, view: PhotoView, canvas_wh: tuple[int, int]) -> np.ndarray:
    """Draw a segmentation of a photo as a scene shows it: HW bool of the canvas's size. Raises ValueError."""
    width, height = canvas_wh
    if isinstance(segmentation, list):
        drawn = [
            to_canvas_xy(np.array(polygon, float).reshape(-1, 2), view.crop, view.flip, canvas_wh).ravel().tolist()
            for polygon in segmentation
            if isinstance(polygon, list) and len(polygon) % 2 == 0
        ]
        return decode_segmentation(drawn, (height, width))
    part = decode_segmentation(segmentation, view.photo.size_wh[::-1])[view.crop.slices]
    part = part[:, ::-1] if view.flip in ("horizontal", "both") else part
    part = part[::-1] if view.flip in ("vertical", "both") else part
    shares = cv2.resize(np.ascontiguousarray(part, np.float32), canvas_wh, interpolation=cv2.INTER_AREA)
    mask: np.ndarray = shares >= 0.5
    return mask


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


def mask_to_polygons(mask: np.ndarray) -> list[list[float]]:
    """Trace a mask (HW bool) along the edges of its pixels: one [x1, y1, x2, y2, ...] for each connected part.

    Holes are lost, as COCO's polygons have none. pycocotools draws the polygons back to the very same mask.
    """
    rows, columns = window_of(mask)
    large = mask[rows, columns].astype(np.uint8).repeat(_TRACE_SCALE, axis=0).repeat(_TRACE_SCALE, axis=1)
    contours, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    polygons = []
    for contour in contours:
        corners = np.rint(contour[:, 0, :] / _TRACE_SCALE).astype(int)
        kept = _without_straight_points(corners) + np.array([columns.start, rows.start])
        if len(kept) >= 3:
            polygons.append([float(value) for value in kept.reshape(-1)])
    return polygons


def window_of(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns around what is set in a mask (HW bool): tracing the whole canvas takes thirty times as long.

    From even pixels on, so that halves are rounded as they are on the canvas.
    """
    x_min, y_min, x_max, y_max = box.xyxy if (box := box_of_mask(mask)) else (0, 0, 1, 1)
    return slice(max(0, y_min // 2 * 2 - 2), y_max + 2), slice(max(0, x_min // 2 * 2 - 2), x_max + 2)


def _without_straight_points(points: np.ndarray) -> np.ndarray:
    """Drop repeated points and those on a straight line between their neighbours."""
    points = points[np.any(points != np.roll(points, 1, axis=0), axis=1)]
    if len(points) < 3:
        return points
    arriving, leaving = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turns = arriving[:, 0] * leaving[:, 1] - arriving[:, 1] * leaving[:, 0]
    return points[turns != 0]
