"""Boxes and masks of pictures that EXIF turns, and in which of the two frames they were drawn.

EXIF 2.32, tag 0x0112: 1 upright, 2 mirrored, 3 half a turn, 4 upside down, 5 to 8 with width and height exchanged.
Some tools draw on the stored pixels (LabelImg), others on the upright picture (browsers, OpenCV, Ultralytics).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Frame = Literal["stored", "upright"]
# Orientation -> exchange x and y first?, then mirror x?, mirror y?
_TURNS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}
_TOLERANCE_PX = 0.5


def turn_points(points: np.ndarray, stored_wh: tuple[int, int], orientation: int) -> np.ndarray:
    """Turn points, (N, 2) x and y in pixels from the top left corner of the stored picture, upright."""
    exchange, *mirrors = _TURNS[orientation]
    upright = points[:, ::-1] if exchange else points
    size = np.array(stored_wh[::-1] if exchange else stored_wh)
    return np.where(mirrors, size - upright, upright)


def turn_mask(mask: np.ndarray, orientation: int) -> np.ndarray:
    """Turn a mask of the stored picture, (H, W), upright."""
    exchange, mirror_x, mirror_y = _TURNS[orientation]
    upright = mask.T if exchange else mask
    return upright[:: -1 if mirror_y else 1, :: -1 if mirror_x else 1]


def find_frame(
    claimed_wh: tuple[int, int] | None,
    stored_wh: tuple[int, int],
    upright_wh: tuple[int, int],
    corners: np.ndarray,
) -> tuple[Frame, bool]:
    """Decide in which frame boxes of a picture that EXIF turns were drawn, and say whether that is certain.

    The size that the annotation claims decides; without one, whether the `corners` of all boxes ((N, 2), pixels) lie
    inside of one frame only. Where both are possible it is the upright one, as viewers show it.
    """
    if stored_wh != upright_wh:
        if claimed_wh in (stored_wh, upright_wh):
            return ("stored" if claimed_wh == stored_wh else "upright"), True
        fits = [bool(np.all(corners <= np.array(size) + _TOLERANCE_PX)) for size in (stored_wh, upright_wh)]
        if fits[0] != fits[1]:
            return ("stored" if fits[0] else "upright"), True
    return "upright", False
