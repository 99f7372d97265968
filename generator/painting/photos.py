"""Scenes that are photos: the part that a scene shows, brought to the canvas."""

from __future__ import annotations

import numpy as np

from generator.foundation.errors import DatasetError, Fault
from generator.painting.crop import resize
from generator.plan.photos import PhotoView


def show_photo(view: PhotoView, canvas_wh: tuple[int, int]) -> np.ndarray:
    """Read a photo and show the part of it that the plan chose: HWC uint8 of the canvas's size.

    Raises DatasetError when the file cannot be read, or is no longer what it was when it was measured.
    """
    pixels = view.photo.read()
    if pixels.shape[1::-1] != view.photo.size_wh:
        found = f"{pixels.shape[1]} x {pixels.shape[0]} px"
        expected = f"its head says {view.photo.size_wh[0]} x {view.photo.size_wh[1]} px; save it anew"
        raise DatasetError([Fault(file=str(view.photo.path), found=found, expected=expected)])
    part = pixels[view.crop.slices]
    part = part[:, ::-1] if view.flip in ("horizontal", "both") else part
    part = part[::-1] if view.flip in ("vertical", "both") else part
    shown = np.array(resize(np.ascontiguousarray(part), canvas_wh))
    shown.setflags(write=False)
    return shown
