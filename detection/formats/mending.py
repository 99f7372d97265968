"""Objects as a source has them -> boxes and masks that training can use: mended where it is clear what was meant.

EXIF 2.32, tag 0x0112: 1 upright, 2 mirrored, 3 half a turn, 4 upside down, 5 to 8 with width and height exchanged.
Some tools draw on the stored pixels (LabelImg), others on the upright picture (browsers, OpenCV, Ultralytics).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from detection.formats.pictures import ConvertedPicture
from detection.formats.raw import Cases, RawObject, RawPicture
from generator.dataset.record import encode_mask
from generator.labels.segmentation import decode_segmentation, distance_from_mask

# Rounded numbers stick out by less (the tolerance of generator/dataset/validation.py): cut in silence.
EDGE_TOLERANCE_PX = 0.5
# A thinner box has no area left when it is written in thousandths of a pixel and read as float32.
MIN_SIDE_PX = 0.1
# Other people's polygons and sizes may be of any type.
_BROKEN = (ValueError, TypeError, LookupError, OverflowError)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Where the numbers of a picture count: how to get from them to pixels of the upright picture.

    `orientation` is 1 where the numbers are of the upright picture.
    """

    frame_wh: tuple[int, int]
    size_wh: tuple[int, int]
    orientation: int
    scale_xy: tuple[float, float]
    first_pixel: int

    def move(self, points: np.ndarray) -> np.ndarray:
        """Take points, (N, 2), as the source has them to the upright picture."""
        return turn_points(points * self.scale_xy - self.first_pixel, self.frame_wh, self.orientation)

    def move_box(self, box: tuple[float, float, float, float]) -> np.ndarray:
        """Take a box, x_min y_min x_max y_max, along: its last pixel counted from 1 is its edge counted from 0."""
        corners = np.array(box).reshape(2, 2) * self.scale_xy
        corners[0] -= self.first_pixel
        turned = turn_points(corners, self.frame_wh, self.orientation)
        return np.concatenate([turned.min(axis=0), turned.max(axis=0)])


def mend_objects(
    picture: RawPicture, converted: ConvertedPicture, cases: Cases, *, first_pixel: int
) -> list[RawObject]:
    """Mend the objects of one picture: boxes in pixels inside the upright picture, masks in COCO's form or None.

    Every one is in the list, or in a case that says why it is lost.
    """
    frame = _frame_of(picture, converted, cases, first_pixel)
    objects: list[RawObject] = []
    seen: set[tuple[str, tuple[float, ...]]] = set()
    for item in picture.objects:
        sides = ", ".join(f"{side:g}" for side in item.box)
        shown = f"{item.category} [{sides}]".strip()
        mended, found = _mend(item, frame)
        if mended is not None and (mended.category, mended.box) in seen:
            mended, found = None, ["the same box of the same class twice"]
        if mended is None:
            cases.dropped(picture.file, found[0], shown, item.place, objects=1)
            continue
        for what in found:
            cases.mended(picture.file, what, shown, item.place)
        objects.append(mended)
        seen.add((mended.category, mended.box))
    return objects


def _frame_of(picture: RawPicture, converted: ConvertedPicture, cases: Cases, first_pixel: int) -> _Frame:
    frame_wh, orientation = converted.size_wh, 1
    if converted.orientation != 1 and picture.objects:
        corners = np.array([item.box for item in picture.objects]).reshape(-1, 2)
        if picture.relative:
            corners = corners[:0]  # shares fit into both frames
        drawn, certain = find_frame(
            picture.size_wh, converted.stored_wh, converted.size_wh, corners[np.isfinite(corners).all(axis=1)]
        )
        if drawn == "stored":
            frame_wh, orientation = converted.stored_wh, converted.orientation
        if not certain:
            what = "a picture that EXIF turns, and nothing says if the boxes are turned: taken as they look upright"
            cases.kept(picture.file, what, picture.name, picture.place)
    if picture.size_wh is not None and picture.size_wh != frame_wh:
        claimed, real = (f"{width} x {height}" for width, height in (picture.size_wh, frame_wh))
        what = "a size in the annotation that is not the picture's"
        cases.mended(picture.file, what, f"{picture.name}: {claimed}, it is {real}", picture.place)
    return _Frame(
        frame_wh=frame_wh,
        size_wh=converted.size_wh,
        orientation=orientation,
        scale_xy=frame_wh if picture.relative else (1, 1),
        first_pixel=0 if picture.relative else first_pixel,
    )


def _mend(item: RawObject, frame: _Frame) -> tuple[RawObject | None, list[str]]:
    """Return the object and what was mended; or None and the one reason."""
    if not item.category:
        return None, ["an object without a class"]
    if not all(math.isfinite(side) for side in item.box):
        return None, ["a box that is not four numbers"]
    found = []
    x_min, x_max = sorted(item.box[::2])
    y_min, y_max = sorted(item.box[1::2])
    if (x_min, y_min, x_max, y_max) != item.box:
        found.append("a box from right to left or from bottom to top")
    moved = frame.move_box((x_min, y_min, x_max, y_max))
    if np.any(moved[2:] <= moved[:2]):
        return None, ["a box without an area"]
    box = np.clip(moved, 0, np.array([*frame.size_wh, *frame.size_wh], float))
    if np.any(box[2:] <= box[:2]):
        return None, ["a box outside of its picture"]
    if np.any(box[2:] - box[:2] < MIN_SIDE_PX):
        return None, ["a box without an area"]
    if np.abs(moved - box).max() > EDGE_TOLERANCE_PX:
        found.append("a box beyond the edge of its picture")
    left, top, right, bottom = (round(float(side), 3) for side in box)
    segmentation = None
    if item.segmentation is not None:
        segmentation, wrong = _mend_segmentation(item.segmentation, frame, (left, top, right - left, bottom - top))
        found += [wrong] if wrong else []
    return replace(item, box=(left, top, right, bottom), segmentation=segmentation), found


def _mend_segmentation(
    segmentation: Any, frame: _Frame, box_xywh: tuple[float, float, float, float]
) -> tuple[Any, str]:
    """Bring polygons or a run-length encoding into the upright picture: (it or None, what was wrong or "").

    What does not fit the box (by the rules of `boxpaint validate`) is left out: the box is what counts.
    """
    moved: Any
    wrong = ""
    try:
        if isinstance(segmentation, dict):
            moved = _move_mask(segmentation, frame)
        else:
            moved = _move_polygons(segmentation, frame)
            wrong = "" if len(moved) == len(segmentation) else "a polygon that cannot be drawn: left out"
        mask = decode_segmentation(moved, frame.size_wh[::-1]) if moved else np.zeros((0, 0), bool)
    except _BROKEN:
        return None, "a mask that cannot be read: only the box is kept"
    if not mask.any():
        return None, wrong or "an empty mask: only the box is kept"
    if distance_from_mask(box_xywh, mask):
        return None, "a mask that does not fit its box: only the box is kept"
    return moved, wrong


def _move_mask(encoded: dict[str, Any], frame: _Frame) -> dict[str, Any]:
    width, height = frame.frame_wh
    counts = encoded["counts"]
    # pycocotools reads memory that is not its own where the counts are too short.
    if list(encoded["size"]) != [height, width] or (isinstance(counts, list) and sum(counts) != height * width):
        raise ValueError("it is not of this picture")
    if frame.orientation == 1:
        return encoded
    turned = encode_mask(turn_mask(decode_segmentation(encoded, (height, width)), frame.orientation))
    return {"size": list(turned.size), "counts": turned.counts}


def _move_polygons(polygons: Any, frame: _Frame) -> list[list[float]]:
    """Move the polygons that can be drawn."""
    points = [np.array(polygon, float).reshape(-1, 2) for polygon in polygons]
    sound = [each for each in points if len(each) >= 3 and np.isfinite(each).all()]
    moved = [np.clip(frame.move(each), 0, frame.size_wh).reshape(-1) for each in sound]
    return [[round(float(value), 3) for value in each] for each in moved]


def nested_polygons(segmentation: Any) -> Any:
    """Make one polygon of a flat list of numbers, or of a list of points; anything else stays as it is.

    >>> nested_polygons([1, 2, 3, 4, 5, 6]), nested_polygons([[1, 2], [3, 4], [5, 6]])
    ([[1, 2, 3, 4, 5, 6]], [[1, 2, 3, 4, 5, 6]])
    """
    if not isinstance(segmentation, list) or not segmentation:
        return segmentation
    if all(isinstance(value, int | float) for value in segmentation):
        return [segmentation]
    if len(segmentation) >= 3 and all(isinstance(point, list) and len(point) == 2 for point in segmentation):
        return [[side for point in segmentation for side in point]]
    return segmentation


def box_of_sides(value: Any) -> tuple[float, float, float, float]:
    """Make x_min, y_min, x_max, y_max of a list of x, y, width, height; NaN of anything else."""
    try:
        x, y, width, height = (float(side) for side in value)
    except (TypeError, ValueError):
        return (math.nan,) * 4
    return x, y, x + width, y + height


def box_around(segmentation: Any) -> tuple[float, float, float, float]:
    """Lay a box, x_min y_min x_max y_max, around polygons; NaN around anything else."""
    try:
        xs = [float(x) for polygon in segmentation for x in polygon[::2]]
        ys = [float(y) for polygon in segmentation for y in polygon[1::2]]
        return min(xs), min(ys), max(xs), max(ys)
    except _BROKEN:  # none, or a run-length encoding
        return (math.nan,) * 4


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
) -> tuple[Literal["stored", "upright"], bool]:
    """Decide in which frame boxes of a picture that EXIF turns were drawn, and say whether that is certain.

    The size that the annotation claims decides; without one, whether the `corners` of all boxes ((N, 2), pixels) lie
    inside of one frame only. Where both are possible it is the upright one, as viewers show it.
    """
    if stored_wh != upright_wh:
        if claimed_wh in (stored_wh, upright_wh):
            return ("stored" if claimed_wh == stored_wh else "upright"), True
        fits = [bool(np.all(corners <= np.array(size) + EDGE_TOLERANCE_PX)) for size in (stored_wh, upright_wh)]
        if fits[0] != fits[1]:
            return ("stored" if fits[0] else "upright"), True
    return "upright", False
