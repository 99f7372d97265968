"""Objects as rows of JSON or of a table hold them: `bbox` is x, y, width, height in pixels, `category` a name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from detection.importers.segmentations import box_around, nested_polygons
from detection.importers.types import Case, RawObject

_CATEGORY_KEYS = ("category", "categories", "label", "labels", "class")


def read_objects(
    items: Sequence[Any], file: str, place: str, names: Mapping[int, str], size_wh: tuple[int, int] | None
) -> tuple[list[RawObject], list[Case]]:
    """Read the objects of one picture; `names` are those of categories that are numbers, where they are known.

    Every item is an object, or one lost in a case. A mask is `segmentation` (COCO's form), or `rle`, the compressed
    counts of a run-length encoding of the picture, whose size is `size_wh`.
    """
    objects: list[RawObject] = []
    cases: list[Case] = []
    for number, item in enumerate(items, start=1):
        here = f"{place} object {number}".strip()
        if not isinstance(item, Mapping):
            what, found = "an object that is no mapping", str(item)[:80]
            cases.append(Case(file=file, place=here, what=what, found=found, done="dropped", lost_objects=1))
            continue
        category = _category(item, names)
        if item.get("iscrowd") == 1:
            what = "a crowd, not one object"
            cases.append(Case(file=file, place=here, what=what, found=category, done="dropped", lost_objects=1))
            continue
        segmentation = _mask(item, size_wh)
        box = _box(item.get("bbox"))
        if not item.get("bbox") and math.isfinite(sum(around := box_around(segmentation))):
            box, what = around, "no box: taken from the polygons"
            cases.append(Case(file=file, place=here, what=what, found=category, done="mended"))
        objects.append(RawObject(category=category, box=box, place=here, segmentation=segmentation))
    return objects, cases


def transposed(objects: Any) -> list[Any]:
    """Make rows of lists of equal length, as Hugging Face has them; rows stay as they are.

    >>> transposed({"bbox": [[1, 2, 3, 4]], "category": ["cat"]})
    [{'bbox': [1, 2, 3, 4], 'category': 'cat'}]
    """
    if not isinstance(objects, Mapping):
        return list(objects) if isinstance(objects, Sequence) and not isinstance(objects, str) else []
    columns = {key: values for key, values in objects.items() if isinstance(values, Sequence)}
    longest = max((len(values) for values in columns.values()), default=0)
    return [{key: values[row] for key, values in columns.items() if row < len(values)} for row in range(longest)]


def size_of(row: Mapping[str, Any]) -> tuple[int, int] | None:
    """Read the size that a row claims."""
    width, height = row.get("width"), row.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None


def _category(item: Mapping[str, Any], names: Mapping[int, str]) -> str:
    value = next((item[key] for key in _CATEGORY_KEYS if item.get(key) is not None), "")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return names.get(value, str(value)) if isinstance(value, int) else str(value).strip()


def _box(value: Any) -> tuple[float, float, float, float]:
    try:
        x, y, width, height = (float(side) for side in value)
    except (TypeError, ValueError):
        return (math.nan,) * 4
    return x, y, x + width, y + height


def _mask(item: Mapping[str, Any], size_wh: tuple[int, int] | None) -> Any:
    if isinstance(item.get("rle"), str) and size_wh is not None:
        return {"size": [size_wh[1], size_wh[0]], "counts": item["rle"]}
    return nested_polygons(item.get("segmentation")) or None
