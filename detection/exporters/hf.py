"""An ImageFolder of Hugging Face datasets: <split>/ with the pictures and metadata.parquet, a row for each.

https://huggingface.co/docs/datasets/image_dataset#imagefolder. Parquet, not JSON lines: datasets guesses the types of
lines, and refuses splits of which one has no object, or no score. Boxes are x, y, width, height in pixels; the lists of
`objects` are of the same length, an item for each object.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from typing import Any

import yaml

from detection.exporters.rows import json_of, rle_text
from detection.exporters.types import Picture, PictureSet
from detection.exporters.work import Work
from generator.foundation.storage import translate_os_errors

OPENING = """
from datasets import load_dataset
data = load_dataset("{folder}")
"""
METADATA = "metadata.parquet"
_END_BYTES = 64
_PICTURE = {"image_id": "int64", "width": "int64", "height": "int64", "source": "string", "caption": "string"}
_OBJECT = {
    "id": "int64",
    "bbox": ["float64"],
    "category": "string",
    "category_id": "int64",
    "area": "float64",
    "score": "float64",
    "iscrowd": "int64",
    "segmentation": [["float64"]],
    "rle": "string",
}


def write(data: PictureSet, work: Work) -> None:
    """Lay the pictures and write the tables. Raises StorageError."""
    import polars

    schema = polars.Schema(
        {
            "file_name": polars.String(),
            **{name: _type_of(kind) for name, kind in _PICTURE.items()},
            "objects": polars.Struct({name: polars.List(_type_of(kind)) for name, kind in _OBJECT.items()}),
        }
    )
    for split, pictures in data.splits().items():
        rows = []
        for picture in work.walk(pictures):
            work.lay(picture, f"{split}/{picture.name}")
            rows.append(_row(picture))
        stream = io.BytesIO()
        polars.DataFrame(rows, schema=schema).write_parquet(stream)
        work.write(f"{split}/{METADATA}", stream.getvalue())


def front_matter(data: PictureSet) -> str:
    """Write the YAML that the card begins with: which files are of which split, and what a row holds."""
    splits = [{"split": re.sub(r"\W", "_", split), "path": f"{split}/**"} for split in data.heads]
    features = [
        {"name": "image", "dtype": "image"},
        *({"name": name, "dtype": kind} for name, kind in _PICTURE.items()),
        {"name": "objects", "struct": [{"name": name, "list": _feature_of(kind)} for name, kind in _OBJECT.items()]},
    ]
    config = {"config_name": "default", "description": _fingerprint(data), "data_files": splits}
    content = {
        "task_categories": ["object-detection"],
        "configs": [config],
        "dataset_info": {"features": features},
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _fingerprint(data: PictureSet) -> str:
    """Say in a few letters which pictures and labels these are.

    datasets finds what it cached by the folder's name and these lines alone: without it another export into a folder of
    that name would give the old pictures (seen with 5.2). Of a picture its size in bytes and its end, where PNG has the
    sum of its pixels, are enough, and thousands are read in a second.
    """
    digest = hashlib.sha256()
    for picture in data.pictures:
        digest.update(json.dumps(json_of(picture)).encode())
        with translate_os_errors(picture.path), picture.path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _END_BYTES))
            digest.update(f"{size}".encode() + stream.read())
    return f"sha256:{digest.hexdigest()[:16]}"


def _row(picture: Picture) -> dict[str, Any]:
    items = picture.annotations
    return {
        "file_name": picture.name,
        "image_id": picture.id,
        "width": picture.width,
        "height": picture.height,
        "source": picture.source,
        "caption": picture.caption,
        "objects": {
            "id": [item.id for item in items],
            "bbox": [list(item.box_xywh) for item in items],
            "category": [item.category.name for item in items],
            "category_id": [item.category.id for item in items],
            "area": [item.area for item in items],
            "score": [item.score for item in items],
            "iscrowd": [int(item.is_crowd) for item in items],
            "segmentation": [_floats(item.segmentation) for item in items],
            "rle": [rle_text(item.segmentation) for item in items],
        },
    }


def _floats(segmentation: Any) -> list[list[float]] | None:
    return [[float(value) for value in polygon] for polygon in segmentation] if isinstance(segmentation, list) else None


def _type_of(kind: Any) -> Any:
    import polars

    if isinstance(kind, list):
        return polars.List(_type_of(kind[0]))
    return {"int64": polars.Int64(), "float64": polars.Float64(), "string": polars.String()}[kind]


def _feature_of(kind: Any) -> Any:
    return {"list": _feature_of(kind[0])} if isinstance(kind, list) else kind
