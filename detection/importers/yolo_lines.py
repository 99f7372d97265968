"""The lines of YOLO's label files: `class x_center y_center width height`, or `class x1 y1 x2 y2 x3 y3 ...`.

https://docs.ultralytics.com/datasets/detect/ and /segment/: classes count from 0, numbers are shares of the picture's
sides. A sixth number is a confidence or a track's id, as `save_txt` of Ultralytics writes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from detection.importers.types import Case, RawObject


def looks_like_labels(text: str) -> bool:
    """Say whether the first line that is not empty holds five numbers or more."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    return len(numbers := _numbers(line)) >= 5 and all(math.isfinite(value) for value in numbers)


def read_lines(
    text: str, file: str, names: Mapping[int, str] | None, *, has_keypoints: bool = False
) -> tuple[list[RawObject], list[Case]]:
    """Read the objects of one file; lines that cannot be read are cases.

    Without `names` a class is called by its number. With keypoints (`kpt_shape` in data.yaml) what follows the box is
    left out. Every line that is not empty is an object, or one lost in a case.
    """
    objects: list[RawObject] = []
    cases: list[Case] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        values = _numbers(line)
        what = _fault(values, names, has_keypoints=has_keypoints)
        if what is not None:
            found = line.strip()[:80]
            cases.append(Case(file=file, place=place, what=what, found=found, done="dropped", lost_objects=1))
            continue
        category = names[int(values[0])] if names is not None else str(int(values[0]))
        objects.append(_object(values[1:], category, place, has_keypoints=has_keypoints))
    return objects, cases


def _fault(values: list[float], names: Mapping[int, str] | None, *, has_keypoints: bool) -> str | None:
    is_polygon = len(values) >= 7 and len(values) % 2 == 1
    if not (len(values) in (5, 6) or is_polygon or (has_keypoints and len(values) > 6)):
        return "a line that is no label"
    if not values[0].is_integer() or values[0] < 0 or (names is not None and int(values[0]) not in names):
        return "an unknown class"
    return None


def _object(values: list[float], category: str, place: str, *, has_keypoints: bool) -> RawObject:
    if len(values) <= 5 or has_keypoints:
        x, y, width, height = values[:4]
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        return RawObject(category=category, box=box, place=place)
    box = (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))
    if not all(math.isfinite(value) for value in values):
        box = (math.nan,) * 4
    return RawObject(category=category, box=box, place=place, segmentation=[values])


def _numbers(line: str) -> list[float]:
    """Read the words of a line; a word that is no number is NaN."""
    numbers = []
    for word in line.split():
        try:
            numbers.append(float(word))
        except ValueError:
            numbers.append(math.nan)
    return numbers
