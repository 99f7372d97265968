"""A mask for a box: what in it looks unlike its surroundings.

GrabCut: Rother et al. 2004, doi:10.1145/1015706.1015720.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import binary_fill_holes

from generator.labels.labelling import largest_parts

# What lies around the box, as a share of its longer side, tells GrabCut what is not the object.
_AROUND = 0.5
_MIN_PX = 4
_ITERATIONS = 4


def outline(picture: np.ndarray, box_xyxy: np.ndarray) -> np.ndarray | None:
    """Outline the object in a box (4,) of a picture (HWC uint8): (H, W) bool; None where none stands out.

    The same mask for the same pixels: OpenCV's random numbers are seeded.
    """
    height, width = picture.shape[:2]
    x_min, y_min, x_max, y_max = _inside(box_xyxy, width, height)
    around = round(_AROUND * max(x_max - x_min, y_max - y_min))
    left, top = max(0, x_min - around), max(0, y_min - around)
    part = np.ascontiguousarray(picture[top : y_max + around, left : x_max + around])
    inner = (x_min - left, y_min - top, x_max - x_min, y_max - y_min)
    if min(inner[2:]) < _MIN_PX or inner[2] * inner[3] >= part.shape[0] * part.shape[1]:
        return None
    labels = np.zeros(part.shape[:2], np.uint8)
    cv2.setRNGSeed(0)
    cv2.grabCut(part, labels, inner, np.zeros((1, 65)), np.zeros((1, 65)), _ITERATIONS, cv2.GC_INIT_WITH_RECT)
    found = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if not found.any():
        return None
    mask = np.zeros((height, width), bool)
    mask[top : top + part.shape[0], left : left + part.shape[1]] = binary_fill_holes(largest_parts(found))
    return mask


def _inside(box_xyxy: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
    low = np.floor(box_xyxy[:2]).astype(int)
    high = np.ceil(box_xyxy[2:]).astype(int)
    return max(0, int(low[0])), max(0, int(low[1])), min(width, int(high[0])), min(height, int(high[1]))
