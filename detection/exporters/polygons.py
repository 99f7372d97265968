"""Masks as one polygon, for formats that hold no more of an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from generator.dataset.coco import mask_to_polygons
from generator.labels.segmentation import decode_segmentation


def polygons_of(segmentation: Any, size_hw: tuple[int, int]) -> list[np.ndarray]:
    """Give COCO polygons as arrays (N, 2), a run-length encoding traced along its pixels' edges (holes are lost).

    Raises ValueError when it is neither.
    """
    if isinstance(segmentation, dict):
        segmentation = mask_to_polygons(decode_segmentation(segmentation, size_hw))
    try:
        polygons = [np.array(polygon, float).reshape(-1, 2) for polygon in segmentation]
    except (TypeError, ValueError):
        raise ValueError("a polygon is a list of numbers, x and y in turn") from None
    if not all(len(polygon) >= 3 and np.isfinite(polygon).all() for polygon in polygons):
        raise ValueError("a polygon needs three points or more")
    return polygons


def join_parts(polygons: Sequence[np.ndarray]) -> np.ndarray:
    """Make one polygon, (N, 2), of several: each is tied to its nearest neighbour by a line there and back.

    The line has no width, so the area stays; who draws outlines, too, draws it one pixel wide. So does ultralytics when
    it converts COCO (merge_multi_segment).

    >>> squares = [np.array([[0, 0], [2, 0], [2, 2]]), np.array([[4, 0], [6, 0], [6, 2]])]
    >>> join_parts(squares).tolist()
    [[0, 0], [2, 0], [4, 0], [6, 0], [6, 2], [4, 0], [2, 0], [2, 2]]
    """
    whole, *parts = polygons
    while parts:
        distances = [cdist(whole, part) for part in parts]
        nearest = min(range(len(parts)), key=lambda number: float(distances[number].min()))
        here, there = np.unravel_index(int(distances[nearest].argmin()), distances[nearest].shape)
        part = np.roll(parts.pop(nearest), -int(there), axis=0)
        whole = np.concatenate([whole[: here + 1], part, part[:1], whole[here:]])
    return whole
