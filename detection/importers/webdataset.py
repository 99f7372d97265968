"""WebDataset shards with objects, as `boxpaint export --format webdataset` writes them.

https://github.com/webdataset/webdataset: tar files, a sample is the files of one name. Here a picture and a JSON with
`objects`, each of which has `bbox` (x, y, width, height in pixels) and `category`. The shard's name says the split.
"""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import Any

from detection.datasets.split_names import split_of_name
from detection.importers.archives import SUFFIX
from detection.importers.files import SourceFiles, without_annotation
from detection.importers.json_objects import read_objects, size_of
from detection.importers.types import Case, RawPicture, RawSet

LOOKS_FOR = "tar files with pictures and JSON files that have objects"
_MARK = b'"objects"'
_NUMBER = re.compile(r"[-_.]?\d+$")


def matches(files: SourceFiles) -> str | None:
    """Say what speaks for it; None when nothing does."""
    found = [
        str(shard)
        for shard, samples in _shards(files).items()
        if any(_MARK in files.read_bytes(path) for path in samples[:1])
    ]
    return ", ".join(found) if found else None


def read(files: SourceFiles) -> RawSet:
    """Read every sample. A picture without a JSON is one that belongs to no annotation."""
    pictures: list[RawPicture] = []
    cases: list[Case] = []
    for shard, samples in _shards(files).items():
        name = _NUMBER.sub("", shard.stem)
        split = split_of_name(name) or name or None
        for path in samples:
            row = _row(files.read_bytes(path))
            if row is None:
                what = "a sample whose JSON has no objects"
                cases.append(Case(file=str(path), what=what, done="dropped", lost_pictures=1))
                continue
            size_wh = size_of(row)
            objects, found = read_objects(row["objects"], str(path), "", {}, size_wh)
            match = files.find_own(path)
            cases += [*found, *match.cases(path.name, path)]
            pictures.append(
                RawPicture(
                    name=str(path.with_suffix("")),
                    path=match.path,
                    file=str(path),
                    size_wh=size_wh,
                    split=split,
                    objects=tuple(objects),
                    looseness=match.looseness,
                    rivals=match.rivals,
                )
            )
    _, left_out = without_annotation(files, pictures, keep=False)
    categories = {item.category for picture in pictures for item in picture.objects} - {""}
    return RawSet(categories=tuple(sorted(categories)), pictures=tuple(pictures), cases=(*cases, *left_out))


def _shards(files: SourceFiles) -> dict[PurePosixPath, list[PurePosixPath]]:
    """List the JSON files of each tar file."""
    shards: dict[PurePosixPath, list[PurePosixPath]] = {path: [] for path in files.with_suffix(SUFFIX)}
    for path in files.files:
        shard = next((parent for parent in path.parents if parent in shards), None)
        if shard is not None and path.suffix.lower() == ".json":
            shards[shard].append(path)
    return {shard: samples for shard, samples in shards.items() if samples}


def _row(data: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and isinstance(row.get("objects"), list) else None
