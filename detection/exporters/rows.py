"""Pictures and labels as rows: of JSON, and of a flat table that merges by concatenation, since ids stay."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from pycocotools import mask as coco_mask

from detection.exporters.types import Annotation, Picture

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
    "x": "Float64",
    "y": "Float64",
    "box_width": "Float64",
    "box_height": "Float64",
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

    rows = [row for picture in pictures for row in _rows(picture)]
    schema = {name: getattr(polars, kind) for name, kind in _COLUMNS.items()}
    stream = io.BytesIO()
    polars.DataFrame(rows, schema=schema, orient="row").write_parquet(stream)
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


def _rows(picture: Picture) -> Iterator[tuple[Any, ...]]:
    size_wh = picture.width, picture.height
    own = (picture.id, picture.name, picture.split, *size_wh, picture.source, picture.caption)
    for item in picture.annotations:
        mask = json.dumps(item.segmentation) if item.segmentation is not None else None
        label = (item.id, item.category.id, item.category.name, *item.box_xywh)
        yield (*own, *label, item.area, item.score, int(item.is_crowd), mask)
    if not picture.annotations:
        yield (*own, *[None] * (len(_COLUMNS) - len(own)))
