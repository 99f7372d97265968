"""Crop with context around a box, at the size the model paints best, and the way back.

Small objects get the model's full detail, and a crop of 512 px costs 2.7 times less than a frame of 768 px.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from generator.foundation.geometry import Box

# Latents are an eighth of the picture: a mask that is not aligned to 8 px of the crop would be rounded by the model.
LATENT_PX = 8
# Crops smaller than a quarter of the native side would be blown up more than four times: all blur, no context.
MIN_CROP_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class CropFrame:
    """Where an object is painted.

    `crop` is the part of the canvas that the model sees, `native_wh` the size at which it sees it, `region` the part
    of the native crop that it repaints (a multiple of 8 px, so that mask and latents agree).
    """

    crop: Box
    native_wh: tuple[int, int]
    region: Box

    def region_edges(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) of the repainted region in pixels of the crop on the canvas."""
        (native_w, native_h), crop, region = self.native_wh, self.crop, self.region
        # Multiplied before divided: exact where the region ends at the crop's edge.
        return (
            region.x_min * crop.width / native_w,
            region.y_min * crop.height / native_h,
            region.x_max * crop.width / native_w,
            region.y_max * crop.height / native_h,
        )

    def region_in_crop(self) -> Box:
        """The repainted region in whole pixels of the crop on the canvas, rounded outwards."""
        left, top, right, bottom = self.region_edges()
        return Box(x_min=int(left), y_min=int(top), x_max=math.ceil(right), y_max=math.ceil(bottom))

    def region_on_canvas(self) -> Box:
        """The same in pixels of the canvas."""
        return self.on_canvas(self.region_in_crop())

    def in_crop(self, box: Box) -> Box:
        """A box of the canvas in pixels of the crop."""
        return box.shifted(-self.crop.x_min, -self.crop.y_min)

    def on_canvas(self, box: Box) -> Box:
        """A box of the crop in pixels of the canvas."""
        return box.shifted(self.crop.x_min, self.crop.y_min)


def frame_around(
    box: Box,
    canvas_wh: tuple[int, int],
    *,
    native_px: int,
    size_multiple: int,
    box_share: float,
    mask_padding: float,
) -> CropFrame:
    """Frame a box (canvas pixels) so that its longer side takes `box_share` of a square crop, where the canvas allows.

    A box too long for a square of the canvas's shorter side gets an oblong crop, painted at the same number of pixels.
    """
    long_side = max(box.width, box.height)
    padding = mask_padding * long_side
    # Room for one latent cell beyond the border, at the size the model sees it: rounding the region to cells must
    # not take it to a crop's edge that is not the picture's, where the blend would end in a step.
    needed = (long_side + 2 * padding + 2) / (1 - 2 * LATENT_PX / native_px)
    side = math.ceil(max(long_side / box_share, MIN_CROP_SHARE * native_px, needed))
    shorter = min(canvas_wh)
    if needed <= shorter:
        crop_w = crop_h = min(side, shorter)
    else:
        crop_w, crop_h = min(side, canvas_wh[0]), min(side, canvas_wh[1])
    crop = Box.from_xywh(
        _centred(box.x_min, box.x_max, crop_w, canvas_wh[0]),
        _centred(box.y_min, box.y_max, crop_h, canvas_wh[1]),
        crop_w,
        crop_h,
    )
    scale = native_px / math.sqrt(crop_w * crop_h)
    native_wh = (_to_multiple(crop_w * scale, size_multiple), _to_multiple(crop_h * scale, size_multiple))
    sx, sy = native_wh[0] / crop_w, native_wh[1] / crop_h
    region = Box(
        x_min=_floor8((box.x_min - padding - crop.x_min) * sx),
        y_min=_floor8((box.y_min - padding - crop.y_min) * sy),
        x_max=min(native_wh[0], _ceil8((box.x_max + padding - crop.x_min) * sx)),
        y_max=min(native_wh[1], _ceil8((box.y_max + padding - crop.y_min) * sy)),
    )
    return CropFrame(crop=crop, native_wh=native_wh, region=region)


def to_native(crop_pixels: np.ndarray, frame: CropFrame) -> np.ndarray:
    """Crop (HWC uint8, canvas size) -> the same at native size."""
    return resize(crop_pixels, frame.native_wh)


def to_canvas(native_pixels: np.ndarray, frame: CropFrame) -> np.ndarray:
    """Native picture (HWC uint8) -> crop size on the canvas."""
    return resize(native_pixels, (frame.crop.width, frame.crop.height))


def native_mask(frame: CropFrame, protected: np.ndarray) -> np.ndarray:
    """What the model may repaint: (H, W) bool at native size, in whole 8 px cells.

    `protected` (bool, crop size on the canvas) marks earlier objects; a cell that touches one is left as it is.
    """
    width, height = frame.native_wh
    mask = np.zeros((height, width), bool)
    mask[frame.region.slices] = True
    if protected.any():
        # Grown by what one native pixel spans, so that nothing falls between the samples of a shrinking crop.
        span = math.ceil(max(frame.crop.width / width, frame.crop.height / height))
        grown = cv2.dilate(protected.astype(np.uint8), np.ones((2 * span - 1,) * 2, np.uint8))
        kept = cv2.resize(grown, frame.native_wh, interpolation=cv2.INTER_NEAREST)
        cells = kept.reshape(height // LATENT_PX, LATENT_PX, width // LATENT_PX, LATENT_PX).max(axis=(1, 3))
        mask &= ~np.kron(cells, np.ones((LATENT_PX, LATENT_PX), np.uint8)).astype(bool)
    return mask


def repainted_region(frame: CropFrame) -> np.ndarray:
    """What the model repaints of a crop: HW bool, of the crop's size on the canvas."""
    region = np.zeros((frame.crop.height, frame.crop.width), bool)
    region[frame.region_in_crop().slices] = True
    return region


def resize(pixels: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Resize HWC uint8: area averaging down (no aliasing), cubic up; unchanged when the size is right."""
    height, width = pixels.shape[:2]
    if (width, height) == size_wh:
        return pixels
    shrinks = size_wh[0] * size_wh[1] < width * height
    return cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _centred(low: int, high: int, length: int, limit: int) -> int:
    return min(max((low + high - length) // 2, 0), limit - length)


def _to_multiple(value: float, multiple: int) -> int:
    return max(multiple, round(value / multiple) * multiple)


def _floor8(value: float) -> int:
    return max(0, math.floor(value / LATENT_PX) * LATENT_PX)


def _ceil8(value: float) -> int:
    return math.ceil(value / LATENT_PX) * LATENT_PX
