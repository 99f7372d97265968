"""Objects as a source has them -> boxes that training can use: mended where it is clear what was meant, or dropped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from detection.importers.orientation import find_frame, turn_points
from detection.importers.pictures import BroughtPicture
from detection.importers.segmentations import mend_segmentation
from detection.importers.types import Case, RawObject, RawPicture

# Rounded numbers stick out by less (the tolerance of generator/dataset/validation.py): cut in silence.
EDGE_TOLERANCE_PX = 0.5
# A thinner box has no area left when it is written in thousandths of a pixel and read as float32.
MIN_SIDE_PX = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class MendedObject:
    """An object inside its upright picture: `box_xyxy` in pixels, `segmentation` in COCO's form or None."""

    category: str
    box_xyxy: tuple[float, float, float, float]
    segmentation: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Where the numbers of a picture count: how to get from them to pixels of the upright picture."""

    frame_wh: tuple[int, int]
    size_wh: tuple[int, int]
    orientation: int
    """1 where the numbers are of the upright picture."""
    scale_xy: tuple[float, float]
    first_pixel: int

    def move(self, points: np.ndarray) -> np.ndarray:
        """Take points, (N, 2), as the source has them to the upright picture."""
        scaled = points * self.scale_xy - self.first_pixel
        return turn_points(scaled, self.frame_wh, self.orientation)

    def move_box(self, box: tuple[float, float, float, float]) -> np.ndarray:
        """Take a box, x_min y_min x_max y_max, along: its last pixel counted from 1 is its edge counted from 0."""
        corners = np.array(box).reshape(2, 2) * self.scale_xy
        corners[0] -= self.first_pixel
        turned = turn_points(corners, self.frame_wh, self.orientation)
        return np.concatenate([turned.min(axis=0), turned.max(axis=0)])


def mend_objects(
    picture: RawPicture, brought: BroughtPicture, *, first_pixel: int
) -> tuple[list[MendedObject], list[Case]]:
    """Mend the objects of one picture; every one is in the list, or in a case that says why it is lost."""
    frame, cases = _frame_of(picture, brought, first_pixel)
    objects: list[MendedObject] = []
    seen: set[tuple[str, tuple[float, ...]]] = set()
    for item in picture.objects:
        mended, found = _mend(item, frame)
        if mended is not None and (mended.category, mended.box_xyxy) in seen:
            mended, found = None, [("the same box of the same class twice", _shown(item))]
        for what, detail in found:
            cases.append(
                Case(
                    file=picture.file,
                    place=item.place,
                    what=what,
                    found=detail,
                    done="mended" if mended is not None else "dropped",
                    lost_objects=int(mended is None),
                )
            )
        if mended is not None:
            objects.append(mended)
            seen.add((mended.category, mended.box_xyxy))
    return objects, cases


def _frame_of(picture: RawPicture, brought: BroughtPicture, first_pixel: int) -> tuple[_Frame, list[Case]]:
    cases = []
    frame_wh, orientation = brought.size_wh, 1
    if brought.orientation != 1 and picture.objects:
        corners = np.array([item.box for item in picture.objects]).reshape(-1, 2)
        if picture.relative:
            corners = corners[:0]  # shares fit into both frames
        drawn, certain = find_frame(
            picture.size_wh, brought.stored_wh, brought.size_wh, corners[np.isfinite(corners).all(axis=1)]
        )
        if drawn == "stored":
            frame_wh, orientation = brought.stored_wh, brought.orientation
        if not certain:
            what = "a picture that EXIF turns, and nothing says if the boxes are turned: taken as they look upright"
            cases.append(Case(file=picture.file, place=picture.place, what=what, found=picture.name, done="kept"))
    if picture.size_wh is not None and picture.size_wh != frame_wh:
        what = "a size in the annotation that is not the picture's"
        found = f"{picture.name}: {_size(picture.size_wh)}, it is {_size(frame_wh)}"
        cases.append(Case(file=picture.file, place=picture.place, what=what, found=found, done="mended"))
    frame = _Frame(
        frame_wh=frame_wh,
        size_wh=brought.size_wh,
        orientation=orientation,
        scale_xy=frame_wh if picture.relative else (1, 1),
        first_pixel=0 if picture.relative else first_pixel,
    )
    return frame, cases


def _mend(item: RawObject, frame: _Frame) -> tuple[MendedObject | None, list[tuple[str, str]]]:
    """Return the object and (what, found) pairs of its mends; or None and the one reason."""
    if not item.category:
        return None, [("an object without a class", _shown(item))]
    if not all(math.isfinite(side) for side in item.box):
        return None, [("a box that is not four numbers", _shown(item))]
    found = []
    x_min, x_max = sorted(item.box[::2])
    y_min, y_max = sorted(item.box[1::2])
    if (x_min, y_min, x_max, y_max) != item.box:
        found.append(("a box from right to left or from bottom to top", _shown(item)))
    moved = frame.move_box((x_min, y_min, x_max, y_max))
    if np.any(moved[2:] <= moved[:2]):
        return None, [("a box without an area", _shown(item))]
    limits = np.array([*frame.size_wh, *frame.size_wh], float)
    box = np.clip(moved, 0, limits)
    if np.any(box[2:] <= box[:2]):
        return None, [("a box outside of its picture", _shown(item))]
    if np.any(box[2:] - box[:2] < MIN_SIDE_PX):
        return None, [("a box without an area", _shown(item))]
    if np.abs(moved - box).max() > EDGE_TOLERANCE_PX:
        found.append(("a box beyond the edge of its picture", _shown(item)))
    rounded = [round(float(side), 3) for side in box]
    box_xyxy = (rounded[0], rounded[1], rounded[2], rounded[3])
    segmentation = None
    if item.segmentation is not None:
        segmentation, wrong = mend_segmentation(
            item.segmentation,
            frame.move,
            frame_wh=frame.frame_wh,
            orientation=frame.orientation,
            size_wh=frame.size_wh,
            box_xyxy=box_xyxy,
        )
        if wrong:
            found.append((wrong, _shown(item)))
    return MendedObject(category=item.category, box_xyxy=box_xyxy, segmentation=segmentation), found


def _shown(item: RawObject) -> str:
    sides = ", ".join(f"{side:g}" for side in item.box)
    return f"{item.category} [{sides}]".strip()


def _size(size_wh: tuple[int, int]) -> str:
    return f"{size_wh[0]} x {size_wh[1]}"
