"""Which part of a photo a scene shows, and what of its labelled objects is in it: pure functions of the seed."""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from generator.foundation.geometry import Box
from generator.spec.photos import FLIPS, Flip, Photo, RealObject

# Parts of a photo that are drawn to find one that cuts no labelled object.
TRIES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentObject:
    """A labelled object of a photo as a scene shows it; `number` is its place among the photo's.

    `box_xyxy` in pixels of the canvas and inside of it, `box` the whole pixels that it reaches into. `unlabelled` says
    why it gets no label, "" where it gets one. `is_kept`: nothing is painted over it, since it is of a class of the
    spec.
    """

    number: int
    category: str
    box: Box
    box_xyxy: tuple[float, float, float, float]
    visible_share: float
    is_kept: bool
    unlabelled: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data; boxes as [x_min, y_min, x_max, y_max] in pixels."""
        return {
            "category": self.category,
            "box": list(self.box_xyxy),
            "visible_share": self.visible_share,
            "unlabelled": self.unlabelled,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoView:
    """The part of a photo that a scene shows, cut out, flipped and brought to the canvas."""

    photo: Photo = field(repr=False)
    crop: Box
    flip: Flip
    present: tuple[PresentObject, ...] = ()

    @property
    def kept(self) -> list[Box]:
        """Where nothing is painted."""
        return [item.box for item in self.present if item.is_kept]

    @property
    def avoided(self) -> list[Box]:
        """Where nothing is painted as long as there is room elsewhere."""
        return [item.box for item in self.present if not item.is_kept]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "name": self.photo.name,
            "sha256": self.photo.sha256,
            "crop": list(self.crop.xyxy),
            "flip": self.flip,
            "present": [item.to_json() for item in self.present],
        }


def view_photo(
    photo: Photo,
    canvas_wh: tuple[int, int],
    *,
    min_crop: float,
    flip: str,
    min_visible: float,
    categories: Container[str],
    rng: np.random.Generator,
) -> PhotoView:
    """Draw a part of a photo, of the canvas's shape and at least `min_crop` times as long as the largest such part.

    Of several parts the first is taken that cuts no labelled object of `categories`, or else the one that cuts fewest.
    An object of which less than `min_visible` of the box is to be seen gets no label (as `min_visibility` of
    albumentations), nor does a crowd, nor what is of another category.
    """
    largest = min(side / canvas for side, canvas in zip(photo.size_wh, canvas_wh, strict=True))
    own = [item for item in photo.objects if item.category in categories]
    tries = [_draw_crop(photo.size_wh, canvas_wh, largest * rng.uniform(min_crop, 1.0), rng) for _ in range(TRIES)]
    crop = min(tries, key=lambda each: sum(0 < _visible_share(item.box_xyxy, each) < 1 for item in own))
    flips = FLIPS[flip]
    chosen = flips[int(rng.integers(len(flips)))]
    present = (
        _present(number, item, crop, chosen, canvas_wh, min_visible, is_kept=item.category in categories)
        for number, item in enumerate(photo.objects)
    )
    return PhotoView(photo=photo, crop=crop, flip=chosen, present=tuple(filter(None, present)))


def to_canvas_xy(points_xy: np.ndarray, crop: Box, flip: Flip, canvas_wh: tuple[int, int]) -> np.ndarray:
    """Points (N, 2) of a photo, in pixels, as a scene shows them; those outside of its part lie outside of the canvas.

    >>> to_canvas_xy(np.array([[30.0, 20.0]]), Box.from_xywh(20, 10, 100, 50), "horizontal", (200, 100)).tolist()
    [[180.0, 20.0]]
    """
    size = np.array(canvas_wh, float)
    moved = (points_xy - [crop.x_min, crop.y_min]) * (size / [crop.width, crop.height])
    is_flipped = np.array([flip in ("horizontal", "both"), flip in ("vertical", "both")])
    return np.where(is_flipped, size - moved, moved)


def _draw_crop(size_wh: tuple[int, int], canvas_wh: tuple[int, int], scale: float, rng: np.random.Generator) -> Box:
    """A part `scale` times as large as the canvas, anywhere in a picture."""
    width, height = (min(side, max(1, round(canvas * scale))) for side, canvas in zip(size_wh, canvas_wh, strict=True))
    x, y = (int(rng.integers(0, room, endpoint=True)) for room in (size_wh[0] - width, size_wh[1] - height))
    return Box.from_xywh(x, y, width, height)


def _visible_share(box_xyxy: tuple[float, float, float, float], crop: Box) -> float:
    left, top, right, bottom = box_xyxy
    width = min(right, crop.x_max) - max(left, crop.x_min)
    height = min(bottom, crop.y_max) - max(top, crop.y_min)
    if width <= 0 or height <= 0:
        return 0.0
    whole = left >= crop.x_min and top >= crop.y_min and right <= crop.x_max and bottom <= crop.y_max
    return 1.0 if whole else width * height / ((right - left) * (bottom - top))


def _present(
    number: int,
    item: RealObject,
    crop: Box,
    flip: Flip,
    canvas_wh: tuple[int, int],
    min_visible: float,
    *,
    is_kept: bool,
) -> PresentObject | None:
    share = _visible_share(item.box_xyxy, crop)
    if share == 0:
        return None
    corners = to_canvas_xy(np.array(item.box_xyxy).reshape(2, 2), crop, flip, canvas_wh)
    limits = np.array(canvas_wh, float)
    low, high = np.clip(corners.min(axis=0), 0, limits), np.clip(corners.max(axis=0), 0, limits)
    x_min, y_min, x_max, y_max = (round(float(edge), 2) for edge in (*low, *high))
    if x_max <= x_min or y_max <= y_min:  # less than a hundredth of a pixel of it
        return None
    unlabelled = ""
    if not is_kept:
        unlabelled = "no class of classes.csv"
    elif item.is_crowd:
        unlabelled = "a crowd"
    elif share < min_visible:
        unlabelled = f"cut off: {share:.0%} of its box is to be seen, {min_visible:.0%} is needed (labels.min_visible)"
    return PresentObject(
        number=number,
        category=item.category,
        box=Box(x_min=math.floor(x_min), y_min=math.floor(y_min), x_max=math.ceil(x_max), y_max=math.ceil(y_max)),
        box_xyxy=(x_min, y_min, x_max, y_max),
        visible_share=round(share, 4),
        is_kept=is_kept,
        unlabelled=unlabelled,
    )
