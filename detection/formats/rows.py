"""Pictures and labels as rows of JSON or of a table, in both directions: `bbox` is x, y, width, height in pixels.

What is written merges by concatenation, since ids stay.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pycocotools import mask as coco_mask

from detection.datasets.picture_set import Annotation, Picture
from detection.formats.mending import box_around, box_of_sides, nested_polygons
from detection.formats.raw import Cases, RawObject

_CATEGORY_KEYS = ("category", "categories", "label", "labels", "class")
_SIDES = ("x", "y", "box_width", "box_height")
_COLUMNS = {
    "image_id": "Int64",
    "file_name": "String",
    "split": "String",
    "width": "Int64",
    "height": "Int64",
    "source": "String",
    "caption": "String",
    "annotation_id": "Int64",
    "category_id": "Int64",
    "category": "String",
    **dict.fromkeys(_SIDES, "Float64"),
    "area": "Float64",
    "score": "Float64",
    "iscrowd": "Int64",
    "segmentation": "String",
}


def json_of(picture: Picture) -> dict[str, Any]:
    """Describe a picture and its labels, boxes as x, y, width, height in pixels; what is not known is left out."""
    known = {"source": picture.source, "caption": picture.caption}
    return {
        "image_id": picture.id,
        "file_name": picture.name,
        "split": picture.split,
        "width": picture.width,
        "height": picture.height,
        **{name: text for name, text in known.items() if text is not None},
        "objects": [_object(item) for item in picture.annotations],
    }


def table_of(pictures: Sequence[Picture]) -> bytes:
    """Make a Parquet file with a row for each label; a picture without any has one row, with empty cells."""
    import polars

    rows = [{name: row.get(name) for name in _COLUMNS} for picture in pictures for row in _rows(picture)]
    schema = {name: getattr(polars, kind) for name, kind in _COLUMNS.items()}
    stream = io.BytesIO()
    polars.DataFrame(rows, schema=schema).write_parquet(stream)
    return stream.getvalue()


def rle_text(segmentation: Any) -> str | None:
    """Give the counts of a run-length encoding in COCO's compressed form; None for polygons and for nothing."""
    if not isinstance(segmentation, dict):
        return None
    if isinstance(segmentation["counts"], str):
        return segmentation["counts"]
    height, width = segmentation["size"]
    counts: bytes = coco_mask.frPyObjects(segmentation, height, width)["counts"]
    return counts.decode("ascii")


def _object(item: Annotation) -> dict[str, Any]:
    return {
        "id": item.id,
        "category": item.category.name,
        "category_id": item.category.id,
        "bbox": list(item.box_xywh),
        "area": item.area,
        "iscrowd": int(item.is_crowd),
        **({"score": item.score} if item.score is not None else {}),
        **({"segmentation": item.segmentation} if item.segmentation is not None else {}),
    }


def _rows(picture: Picture) -> Iterator[dict[str, Any]]:
    row = json_of(picture)
    for item in row.pop("objects") or [{}]:
        sides = dict(zip(_SIDES, item.get("bbox", ()), strict=False))
        mask = {"segmentation": json.dumps(item["segmentation"])} if "segmentation" in item else {}
        yield {**row, **item, **sides, **mask, "annotation_id": item.get("id")}


def read_objects(
    items: Sequence[Any],
    file: str,
    place: str,
    names: Mapping[int, str],
    size_wh: tuple[int, int] | None,
    cases: Cases,
) -> list[RawObject]:
    """Read the objects of one picture; `names` are those of categories that are numbers, where they are known.

    Every item is an object, or one lost in a case. A mask is `segmentation` (COCO's form), or `rle`, the compressed
    counts of a run-length encoding of the picture, whose size is `size_wh`.
    """
    objects: list[RawObject] = []
    for number, item in enumerate(items, start=1):
        here = f"{place} object {number}".strip()
        if not isinstance(item, Mapping):
            cases.dropped(file, "an object that is no mapping", str(item)[:80], here, objects=1)
            continue
        category = _category(item, names)
        if item.get("iscrowd") == 1:
            cases.dropped(file, "a crowd, not one object", category, here, objects=1)
            continue
        segmentation = _mask(item, size_wh)
        box = box_of_sides(item.get("bbox"))
        if not item.get("bbox") and math.isfinite(sum(around := box_around(segmentation))):
            box = around
            cases.mended(file, "no box: taken from the polygons", category, here)
        objects.append(RawObject(category=category, box=box, place=here, segmentation=segmentation))
    return objects


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


def _category(item: Mapping[str, Any], names: Mapping[int, str]) -> str:
    value = next((item[key] for key in _CATEGORY_KEYS if item.get(key) is not None), "")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return names.get(value, str(value)) if isinstance(value, int) else str(value).strip()


def _mask(item: Mapping[str, Any], size_wh: tuple[int, int] | None) -> Any:
    if isinstance(item.get("rle"), str) and size_wh is not None:
        return {"size": [size_wh[1], size_wh[0]], "counts": item["rle"]}
    return nested_polygons(item.get("segmentation")) or None
