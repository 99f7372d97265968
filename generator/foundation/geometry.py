"""Axis-aligned boxes in whole pixels, half-open, and the few functions that everything else needs of them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle of pixels: x_min <= x < x_max, y_min <= y < y_max; origin at the top left.

    Raises ValueError when a side is not positive.
    """

    x_min: int
    y_min: int
    x_max: int
    y_max: int

    def __post_init__(self) -> None:
        if self.x_max <= self.x_min or self.y_max <= self.y_min:
            raise ValueError(f"a box needs a positive width and height, not {self.xyxy}")

    @classmethod
    def from_xywh(cls, x: int, y: int, width: int, height: int) -> Box:
        """Make a box from its top left corner and its size, all in pixels."""
        return cls(x_min=x, y_min=y, x_max=x + width, y_max=y + height)

    @classmethod
    def from_xyxy(cls, x_min: int, y_min: int, x_max: int, y_max: int) -> Box:
        """Make a box from its edges, in the order of records."""
        return cls(x_min=x_min, y_min=y_min, x_max=x_max, y_max=y_max)

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.x_max - self.x_min

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.y_max - self.y_min

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    @property
    def xyxy(self) -> tuple[int, int, int, int]:
        """(x_min, y_min, x_max, y_max)."""
        return (self.x_min, self.y_min, self.x_max, self.y_max)

    @property
    def xywh(self) -> tuple[int, int, int, int]:
        """(x_min, y_min, width, height), the order of COCO."""
        return (self.x_min, self.y_min, self.width, self.height)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns: `image[box.slices]` is the part of an HW... array under the box."""
        return (slice(self.y_min, self.y_max), slice(self.x_min, self.x_max))

    def shifted(self, dx: int, dy: int) -> Box:
        """Return the same box moved by dx, dy pixels."""
        return Box(x_min=self.x_min + dx, y_min=self.y_min + dy, x_max=self.x_max + dx, y_max=self.y_max + dy)

    def contains(self, other: Box) -> bool:
        """Say whether `other` lies wholly inside (edges may touch)."""
        return (
            self.x_min <= other.x_min
            and self.y_min <= other.y_min
            and self.x_max >= other.x_max
            and self.y_max >= other.y_max
        )


def box_of_mask(mask: np.ndarray) -> Box | None:
    """Return the tight box around a mask (HW bool); None where the mask is empty."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return Box.from_xywh(x, y, width, height) if width else None


def intersection_area(a: Box, b: Box) -> int:
    """Count the pixels that two boxes share; 0 when they only touch.

    Boxes (0, 0, 4, 4) and (2, 2, 6, 6) share 4.
    """
    width = min(a.x_max, b.x_max) - max(a.x_min, b.x_min)
    height = min(a.y_max, b.y_max) - max(a.y_min, b.y_min)
    return max(width, 0) * max(height, 0)


def overlap_share(a: Box, b: Box) -> float:
    """Shared pixels as a share (0 to 1) of the smaller box, so that a small box inside a large one counts 1."""
    return intersection_area(a, b) / min(a.area, b.area)


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union, 0 to 1."""
    shared = intersection_area(a, b)
    return shared / (a.area + b.area - shared)


def scaled_about_centre(
    box_xyxy: tuple[int, int, int, int], scale: float, size_wh: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Multiply the sides of a box about its centre and cut it to a picture of `size_wh`; to a hundredth of a pixel.

    scaled_about_centre((10, 10, 20, 30), 1.5, (100, 33)) is (7.5, 5.0, 22.5, 33.0).
    """
    x_min, y_min, x_max, y_max = box_xyxy
    if scale == 1:  # as it is, to the last bit
        return float(x_min), float(y_min), float(x_max), float(y_max)
    left, right = _scaled_interval(x_min, x_max, scale, size_wh[0])
    top, bottom = _scaled_interval(y_min, y_max, scale, size_wh[1])
    return left, top, right, bottom


def _scaled_interval(low: int, high: int, scale: float, limit: int) -> tuple[float, float]:
    middle, half = (low + high) / 2, (high - low) / 2 * scale
    return round(max(0.0, middle - half), 2), round(min(float(limit), middle + half), 2)


def square_around(box: Box, *, margin: float, size_wh: tuple[int, int], shift: tuple[float, float] = (0.0, 0.0)) -> Box:
    """Square about the centre of a box, inside a picture of `size_wh`, with `margin` (share of its longer side) around.

    `shift` moves it by shares of that margin. A square larger than the picture is cut down to its shorter side.
    square_around(Box.from_xywh(10, 10, 20, 10), margin=0.5, size_wh=(100, 100)).xyxy is (0, 0, 40, 40).
    """
    longer = max(box.width, box.height)
    side = min(round(longer * (1 + 2 * margin)), *size_wh)
    starts = (
        round((low + high - side) / 2 + move * margin * longer)
        for low, high, move in zip((box.x_min, box.y_min), (box.x_max, box.y_max), shift, strict=True)
    )
    x, y = (max(0, min(start, room - side)) for start, room in zip(starts, size_wh, strict=True))
    return Box.from_xywh(x, y, side, side)
