"""ImageFolder of Hugging Face datasets with objects: https://huggingface.co/docs/datasets/image_dataset#object-detection.

A folder of pictures with metadata.jsonl or metadata.parquet: `file_name`, and `objects` with the lists `bbox` (x, y,
width, height in pixels) and `category`, names or numbers. The names of numbers are in the front matter of README.md.
"""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml

from detection.datasets.picture_names import portable_path
from detection.datasets.split_names import split_of_folders
from detection.importers.files import SourceFiles, without_annotation
from detection.importers.json_objects import read_objects, size_of, transposed
from detection.importers.types import Case, RawPicture, RawSet
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.text import NotTextError, decode_text

LOOKS_FOR = "metadata.jsonl or metadata.parquet with file_name and objects"
_NAMES = ("metadata.jsonl", "metadata.parquet")


def matches(files: SourceFiles) -> str | None:
    """Say what speaks for it; None when nothing does."""
    found = [str(path) for path in _tables(files) if b"objects" in (data := files.read_bytes(path)) and b"bbox" in data]
    return ", ".join(found) if found else None


def read(files: SourceFiles) -> RawSet:
    """Read every table. Raises DatasetError when one cannot be read."""
    names = _names(files)
    tables = _tables(files)
    pictures: list[RawPicture] = []
    cases: list[Case] = []
    for path in tables:
        split = split_of_folders(path) or (path.parent.name if len(tables) > 1 else "") or None
        for number, row in enumerate(_rows(files, path), start=1):
            picture, found = _picture(files, path, f"row {number}", row, names, split)
            cases += found
            if picture is not None:
                pictures.append(picture)
    observed = dict.fromkeys(item.category for picture in pictures for item in picture.objects if item.category)
    if any(name.isdecimal() for name in observed) and not names:
        what = "no names of the classes: they are called by their numbers"
        cases.append(Case(file=".", what=what, found="no class_label in README.md", done="kept"))
    _, left_out = without_annotation(files, pictures, keep=False)
    categories = tuple(names.values()) or tuple(sorted(observed))
    return RawSet(categories=categories, pictures=tuple(pictures), cases=(*cases, *left_out))


def _tables(files: SourceFiles) -> list[PurePosixPath]:
    return [path for path in files.with_suffix(".jsonl", ".parquet") if path.name.lower() in _NAMES]


def _rows(files: SourceFiles, path: PurePosixPath) -> list[dict[str, Any]]:
    data = files.read_bytes(path)
    if path.suffix.lower() == ".parquet":
        return _rows_of_parquet(data, str(files.root / path))
    rows = []
    for line, text in enumerate(_text(data, str(files.root / path)).split("\n"), start=1):
        if text.strip():
            try:
                row = json.loads(text)
            except ValueError as error:
                raise DatasetError(
                    [Fault(file=str(files.root / path), line=line, expected=f"is not JSON: {error}")]
                ) from None
            rows.append(row if isinstance(row, dict) else {})
    return rows


def _rows_of_parquet(data: bytes, file: str) -> list[dict[str, Any]]:
    import polars

    try:
        return polars.read_parquet(io.BytesIO(data)).to_dicts()
    except (polars.exceptions.PolarsError, OSError) as error:
        expected = f"is no Parquet file that can be read: {str(error).splitlines()[0]}"
        raise DatasetError([Fault(file=file, expected=expected)]) from None


def _picture(
    files: SourceFiles,
    path: PurePosixPath,
    place: str,
    row: Mapping[str, Any],
    names: Mapping[int, str],
    split: str | None,
) -> tuple[RawPicture | None, list[Case]]:
    items = transposed(row.get("objects"))
    name = row.get("file_name")
    if not isinstance(name, str):
        what = "a row that names no picture"
        lost = Case(file=str(path), place=place, what=what, done="dropped", lost_pictures=1, lost_objects=len(items))
        return None, [lost]
    size_wh = size_of(row)
    objects, cases = read_objects(items, str(path), place, names, size_wh)
    own = (path.parent / portable_path(name)).as_posix()
    match = files.find_named(own, path)
    picture = RawPicture(
        name=name,
        path=match.path,
        file=str(path),
        place=place,
        size_wh=size_wh,
        split=split,
        objects=tuple(objects),
        looseness=match.looseness,
        rivals=match.rivals,
    )
    return picture, [*cases, *match.cases(name, path, place)]


def _names(files: SourceFiles) -> dict[int, str]:
    """Read the names of numbered classes from the front matter of README.md; none where it says nothing of them."""
    card = next((path for path in files.files if path.name.lower() == "readme.md"), None)
    if card is None:
        return {}
    parts = files.read_bytes(card).removeprefix(codecs.BOM_UTF8).split(b"---", 2)
    if len(parts) < 3 or parts[0].strip():
        return {}
    try:  # every value as it is written: `yes` is the name of a class
        content = yaml.load(_text(parts[1], str(files.root / card)), Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        return {}
    return _find_names(content)


def _text(data: bytes, file: str) -> str:
    try:
        return decode_text(data)
    except NotTextError as error:
        raise DatasetError([error.fault(file)]) from None


def _find_names(content: Any) -> dict[int, str]:
    if isinstance(content, dict):
        names = content["class_label"].get("names") if isinstance(content.get("class_label"), dict) else None
        if isinstance(names, dict) and all(str(number).isdecimal() for number in names):
            return {int(number): str(name) for number, name in names.items()}
        if isinstance(names, list):
            return dict(enumerate(map(str, names)))
    children = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    return next((found for child in children if (found := _find_names(child))), {})
