"""ImageFolder of Hugging Face datasets with objects: https://huggingface.co/docs/datasets/image_dataset#object-detection.

A folder of pictures with metadata.jsonl or metadata.parquet: `file_name`, and `objects` with the lists `bbox` (x, y,
width, height in pixels) and `category`, names or numbers. The names of numbers are in the front matter of README.md.

Written is Parquet, a file in the folder of each split: datasets guesses the types of JSON lines, and refuses splits of
which one has no object, or no score.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import json
import os
import re
from pathlib import PurePosixPath
from typing import Any

import yaml

from detection.datasets.names import portable_path, split_of_folders
from detection.datasets.picture_set import Picture, PictureSet
from detection.formats.raw import Cases, RawPicture, RawSet, categories_of, size_of
from detection.formats.rows import json_of, read_objects, rle_text, transposed
from detection.formats.source import Reader, SourceFiles, without_annotation
from detection.formats.target import Target, Writer
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.storage import translate_os_errors
from generator.foundation.text import NotTextError, decode_text

_NAMES = ("metadata.jsonl", "metadata.parquet")


def matches(files: SourceFiles) -> str | None:
    """Say what speaks for it; None when nothing does."""
    found = [str(path) for path in _tables(files) if b"objects" in (data := files.read_bytes(path)) and b"bbox" in data]
    return ", ".join(found) or None


def read(files: SourceFiles) -> RawSet:
    """Read every table. Raises DatasetError when one cannot be read."""
    names = _names(files)
    tables = _tables(files)
    pictures: list[RawPicture] = []
    cases = Cases()
    for path in tables:
        split = split_of_folders(path) or (path.parent.name if len(tables) > 1 else "") or None
        for number, row in enumerate(_rows(files, path), start=1):
            items, name, place = transposed(row.get("objects")), row.get("file_name"), f"row {number}"
            if not isinstance(name, str):
                cases.dropped(path, "a row that names no picture", place=place, pictures=1, objects=len(items))
                continue
            size_wh = size_of(row.get("width"), row.get("height"))
            objects = read_objects(items, str(path), place, names, size_wh, cases)
            picture = RawPicture(name=name, file=str(path), place=place, size_wh=size_wh, split=split, objects=objects)
            match = files.find_named((path.parent / portable_path(name)).as_posix(), path)
            pictures.append(match.of(picture, cases))
    observed = categories_of(pictures)
    if any(name.isdecimal() for name in observed) and not names:
        cases.kept(".", "no names of the classes: they are called by their numbers", "no class_label in README.md")
    without_annotation(files, pictures, cases, keep=False)
    return RawSet(categories=tuple(names.values()) or observed, pictures=pictures, cases=cases)


def _tables(files: SourceFiles) -> list[PurePosixPath]:
    return [path for path in files.with_suffix(".jsonl", ".parquet") if path.name.lower() in _NAMES]


def _rows(files: SourceFiles, path: PurePosixPath) -> list[dict[str, Any]]:
    file = str(files.root / path)
    if path.suffix.lower() == ".parquet":
        import polars

        try:
            return polars.read_parquet(io.BytesIO(files.read_bytes(path))).to_dicts()
        except (polars.exceptions.PolarsError, OSError) as error:
            expected = f"is no Parquet file that can be read: {str(error).splitlines()[0]}"
            raise DatasetError([Fault(file=file, expected=expected)]) from None
    rows = []
    for line, text in enumerate(files.read_text(path).split("\n"), start=1):
        try:
            row = json.loads(text) if text.strip() else None
        except ValueError as error:
            raise DatasetError([Fault(file=file, line=line, expected=f"is not JSON: {error}")]) from None
        if text.strip():
            rows.append(row if isinstance(row, dict) else {})
    return rows


def _names(files: SourceFiles) -> dict[int, str]:
    """Read the names of numbered classes from the front matter of README.md; none where it says nothing of them."""
    card = next((path for path in files.files if path.name.lower() == "readme.md"), None)
    if card is None:
        return {}
    parts = files.read_bytes(card).removeprefix(codecs.BOM_UTF8).split(b"---", 2)
    if len(parts) < 3 or parts[0].strip():
        return {}
    try:  # every value as it is written: `yes` is the name of a class
        content = yaml.load(decode_text(parts[1]), Loader=yaml.BaseLoader)
    except NotTextError as error:
        raise DatasetError([error.fault(str(files.root / card))]) from None
    except yaml.YAMLError:
        return {}
    return _find_names(content)


def _find_names(content: Any) -> dict[int, str]:
    if isinstance(content, dict):
        names = content["class_label"].get("names") if isinstance(content.get("class_label"), dict) else None
        if isinstance(names, dict) and all(str(number).isdecimal() for number in names):
            return {int(number): str(name) for number, name in names.items()}
        if isinstance(names, list):
            return dict(enumerate(map(str, names)))
    children = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    return next((found for child in children if (found := _find_names(child))), {})


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


def write(data: PictureSet, target: Target) -> None:
    """Link the pictures and write the tables. Raises StorageError."""
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
        for picture in target.track(pictures):
            target.link(picture, f"{split}/{picture.name}")
            rows.append(_row(picture))
        stream = io.BytesIO()
        polars.DataFrame(rows, schema=schema).write_parquet(stream)
        target.write(f"{split}/{METADATA}", stream.getvalue())


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
    row = json_of(picture)
    objects = [
        {**item, "segmentation": _floats(item.get("segmentation")), "rle": rle_text(item.get("segmentation"))}
        for item in row["objects"]
    ]
    return {
        "file_name": picture.name,
        **{name: row.get(name) for name in _PICTURE},
        "objects": {name: [item.get(name) for item in objects] for name in _OBJECT},
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


READER = Reader(matches=matches, read=read, looks_for="metadata.jsonl or metadata.parquet with file_name and objects")
WRITER = Writer(
    write=write,
    opening="""
from datasets import load_dataset
data = load_dataset("{folder}")
""",
    with_captions=True,
    front_matter=front_matter,
)
