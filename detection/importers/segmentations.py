"""Masks of other people's objects: polygons and run-length encodings, moved with their boxes, kept where sound."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from detection.importers.orientation import turn_mask
from generator.dataset.record import encode_mask
from generator.labels.segmentation import decode_segmentation, distance_from_mask

# Other people's polygons and sizes may be of any type.
_BROKEN = (ValueError, TypeError, LookupError, OverflowError)


def mend_segmentation(
    segmentation: Any,
    move: Callable[[np.ndarray], np.ndarray],
    *,
    frame_wh: tuple[int, int],
    orientation: int,
    size_wh: tuple[int, int],
    box_xyxy: Sequence[float],
) -> tuple[Any, str]:
    """Bring polygons or a run-length encoding into the picture of `size_wh`: (it or None, what was wrong or "").

    `move` takes points, (N, 2), to their place; a run-length encoding is of the frame `frame_wh` and turned by
    `orientation`. What does not fit the box (by the rules of `boxpaint validate`) is left out: the box is what counts.
    """
    moved: Any
    wrong = ""
    try:
        if isinstance(segmentation, dict):
            moved = _move_mask(segmentation, frame_wh, orientation)
        else:
            moved, wrong = _move_polygons(segmentation, move, size_wh)
        mask = decode_segmentation(moved, size_wh[::-1]) if moved else np.zeros((0, 0), bool)
    except _BROKEN:
        return None, "a mask that cannot be read: only the box is kept"
    if not mask.any():
        return None, wrong or "an empty mask: only the box is kept"
    x_min, y_min, x_max, y_max = box_xyxy
    if distance_from_mask((x_min, y_min, x_max - x_min, y_max - y_min), mask):
        return None, "a mask that does not fit its box: only the box is kept"
    return moved, wrong


def nested_polygons(segmentation: Any) -> Any:
    """Make one polygon of a flat list of numbers, or of a list of points; anything else stays as it is.

    >>> nested_polygons([1, 2, 3, 4, 5, 6]), nested_polygons([[1, 2], [3, 4], [5, 6]])
    ([[1, 2, 3, 4, 5, 6]], [[1, 2, 3, 4, 5, 6]])
    """
    if not isinstance(segmentation, list) or not segmentation:
        return segmentation
    if all(isinstance(value, int | float) for value in segmentation):
        return [segmentation]
    if len(segmentation) >= 3 and all(isinstance(point, list) and len(point) == 2 for point in segmentation):
        return [[side for point in segmentation for side in point]]
    return segmentation


def box_around(segmentation: Any) -> tuple[float, float, float, float]:
    """Lay a box, x_min y_min x_max y_max, around polygons; NaN around anything else."""
    try:
        xs = [float(x) for polygon in segmentation for x in polygon[::2]]
        ys = [float(y) for polygon in segmentation for y in polygon[1::2]]
        return min(xs), min(ys), max(xs), max(ys)
    except _BROKEN:  # none, or a run-length encoding
        return (math.nan,) * 4


def _move_mask(encoded: dict[str, Any], frame_wh: tuple[int, int], orientation: int) -> dict[str, Any]:
    width, height = frame_wh
    counts = encoded["counts"]
    # pycocotools reads memory that is not its own where the counts are too short.
    if list(encoded["size"]) != [height, width] or (isinstance(counts, list) and sum(counts) != height * width):
        raise ValueError("it is not of this picture")
    if orientation == 1:
        return encoded
    turned = encode_mask(turn_mask(decode_segmentation(encoded, (height, width)), orientation))
    return {"size": list(turned.size), "counts": turned.counts}


def _move_polygons(
    polygons: Any, move: Callable[[np.ndarray], np.ndarray], size_wh: tuple[int, int]
) -> tuple[list[list[float]], str]:
    moved = []
    for polygon in polygons:
        points = np.array(polygon, float).reshape(-1, 2)
        if len(points) >= 3 and np.isfinite(points).all():
            moved.append([round(float(value), 3) for value in np.clip(move(points), 0, size_wh).reshape(-1)])
    return moved, "" if len(moved) == len(polygons) else "a polygon that cannot be drawn: left out"
