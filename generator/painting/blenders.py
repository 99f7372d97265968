"""Ways to put a painted patch into the picture; several, because a detector learns any single one (Dwibedi et al.
2017, Cut, Paste and Learn).

Each takes `before` (HWC uint8), `patch` (HWC float32 in [0, 255]) and `weights` (HW float32 in [0, 1]), all of the
crop's size, and returns HWC uint8 that equals `before` bit for bit wherever the weight is 0. A new one is a function
and a line of BLENDERS here, and its name in the config's BlenderName; what `mixed` draws from is the plan's.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from generator.foundation.geometry import box_of_mask

Blender = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

MAX_PYRAMID_LEVELS = 4
MIN_PYRAMID_SIDE_PX = 8
# seamlessClone pins what lies at the picture's edge to its old colours, and fails on masks a pixel or two thin.
POISSON_BORDER_PX, MIN_POISSON_SIDE_PX = 4, 3


def blend_feather(before: np.ndarray, patch: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean of the two pictures."""
    base = before.astype(np.float32)
    return _restore(base + (patch - base) * weights[..., None], before, weights)


def blend_pyramid(before: np.ndarray, patch: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mix each frequency band over a distance of its own (Burt and Adelson 1983).

    Coarse bands mix over a wide zone, fine ones over a narrow one: no double edges as in a wide feather, no step as
    in a narrow one.
    """
    base = before.astype(np.float32)
    levels = min(MAX_PYRAMID_LEVELS, int(np.log2(min(before.shape[:2]) / MIN_PYRAMID_SIDE_PX)))
    mixed = _mix_pyramids(base, patch, weights[..., None].repeat(3, axis=2), max(levels, 0))
    return _restore(base + (mixed - base) * _window(weights), before, weights)


def blend_poisson(before: np.ndarray, patch: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Keep the patch's gradients and the picture's colours at the edge (Pérez et al. 2003), by OpenCV.

    It needs known colours on all sides: a region that ends at the crop's edge, or one too thin for OpenCV, is blended
    by `blend_pyramid` instead.
    """
    inside = weights >= 0.5
    (rows, columns), box = inside.shape, box_of_mask(inside)
    if box is None or min(box.width, box.height) < MIN_POISSON_SIDE_PX:
        return blend_pyramid(before, patch, weights)
    if min(box.x_min, box.y_min, columns - box.x_max, rows - box.y_max) < POISSON_BORDER_PX:
        return blend_pyramid(before, patch, weights)
    source, mask = np.rint(patch).astype(np.uint8), inside.astype(np.uint8) * 255
    # The point that seamlessClone wants is the centre of the mask's bounding box, not of the picture.
    centre = box.x_min + box.width // 2, box.y_min + box.height // 2
    cloned = cv2.seamlessClone(source, before, mask, centre, cv2.NORMAL_CLONE)
    base = before.astype(np.float32)
    return _restore(base + (cloned.astype(np.float32) - base) * _window(weights), before, weights)


BLENDERS: dict[str, Blender] = {
    "feather": blend_feather,
    "pyramid": blend_pyramid,
    "poisson": blend_poisson,
}


def _mix_pyramids(a: np.ndarray, b: np.ndarray, weights: np.ndarray, levels: int) -> np.ndarray:
    if levels == 0:
        return a + (b - a) * weights
    size = (a.shape[1], a.shape[0])
    small = [cv2.pyrDown(picture) for picture in (a, b, weights)]
    detail_a, detail_b = (full - cv2.pyrUp(low, dstsize=size) for full, low in ((a, small[0]), (b, small[1])))
    coarse = _mix_pyramids(small[0], small[1], small[2], levels - 1)
    mixed: np.ndarray = cv2.pyrUp(coarse, dstsize=size) + detail_a + (detail_b - detail_a) * weights
    return mixed


def _window(weights: np.ndarray) -> np.ndarray:
    """Full strength from half weight on, fading to nothing at the edge: what spreads beyond it is cut softly."""
    return np.minimum(2 * weights, 1)[..., None]


def _restore(mixed: np.ndarray, before: np.ndarray, weights: np.ndarray) -> np.ndarray:
    pixels = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return np.where((weights > 0)[..., None], pixels, before)
