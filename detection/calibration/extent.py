"""One ruler for real and painted objects: how much of its box an object fills, by GrabCut.

Rother, Kolmogorov and Blake 2004, "GrabCut": two colour mixtures, inside and outside, and a cut between them. Its own
errors (a pale rim missed, a shadow taken in) fall on real and painted objects alike, and cancel in the ratio.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

# The box in the middle of a window twice its size, drawn at one size, so that small and large objects cost the same.
_WINDOW_SHARE, _SIDE_PX = 2.0, 96
# Distances from the middle in half sides of the box: object at first, background always, part of the object for sure.
_FIRST_OBJECT, _ALWAYS_BACKGROUND, _CORE = 1.0, 1.7, 0.4
_ITERATIONS = 5


def object_extent(picture: np.ndarray, box_xyxy: Sequence[float] | np.ndarray) -> tuple[float, float] | None:
    """Width and height of the object in a box of `picture` ((H, W, 3) uint8), as shares of the box's own.

    None where it cannot be measured: the box touches the picture's edge (the object may be cut), or nothing in its
    middle stands out.
    """
    x_min, y_min, x_max, y_max = (float(value) for value in box_xyxy)
    width, height = x_max - x_min, y_max - y_min
    if x_min < 1 or y_min < 1 or x_max > picture.shape[1] - 1 or y_max > picture.shape[0] - 1:
        return None
    scale_x, scale_y = _SIDE_PX / (_WINDOW_SHARE * width), _SIDE_PX / (_WINDOW_SHARE * height)
    middle = _SIDE_PX / 2
    into_window = np.array(
        [
            [scale_x, 0.0, middle - (x_min + x_max) / 2 * scale_x],
            [0.0, scale_y, middle - (y_min + y_max) / 2 * scale_y],
        ]
    )
    window = cv2.warpAffine(picture, into_window, (_SIDE_PX, _SIDE_PX), borderMode=cv2.BORDER_REPLICATE)
    rows, columns = np.mgrid[:_SIDE_PX, :_SIDE_PX]
    half_px = _SIDE_PX / _WINDOW_SHARE / 2
    distance = np.hypot(columns + 0.5 - middle, rows + 0.5 - middle) / half_px
    mask = np.full(window.shape[:2], cv2.GC_PR_BGD, np.uint8)
    mask[distance < _FIRST_OBJECT] = cv2.GC_PR_FGD
    mask[distance > _ALWAYS_BACKGROUND] = cv2.GC_BGD
    if not _cut(window, mask):
        return None
    _, parts, statistics, _ = cv2.connectedComponentsWithStats(
        np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    )
    in_core = np.bincount(parts[distance < _CORE], minlength=len(statistics))
    in_core[0] = 0  # the background
    if not in_core.any():
        return None
    part = statistics[int(in_core.argmax())]
    per_box = _SIDE_PX / _WINDOW_SHARE
    return float(part[cv2.CC_STAT_WIDTH]) / per_box, float(part[cv2.CC_STAT_HEIGHT]) / per_box


def _cut(window: np.ndarray, mask: np.ndarray) -> bool:
    """Run GrabCut on `mask`, in place; False where a side has no pixel left or one flat colour."""
    cv2.setRNGSeed(0)  # the first colour mixtures come from a k-means of random beginnings
    try:
        cv2.grabCut(
            window, mask, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), _ITERATIONS, cv2.GC_INIT_WITH_MASK
        )
    except cv2.error:
        return False
    return True
