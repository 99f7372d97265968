"""WebDataset: tar files that are read in a row; a sample is the files of one name.

https://github.com/webdataset/webdataset

<split>-000000.tar           samples: <key>.png or .jpg, and <key>.json with `objects`, each with `bbox` and `category`
<split>-annotations.parquet  all labels of the split, a row each
SHA256SUMS                   for `sha256sum --check`

The same data set gives the same bytes: members have no owner and no date. A key ends at the first dot of a name, so it
has none.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import PurePosixPath
from typing import Any

from detection.datasets.names import unique_stems
from detection.datasets.picture_set import Picture, PictureSet
from detection.formats.raw import Cases, RawPicture, RawSet, categories_of, size_of
from detection.formats.rows import json_of, read_objects, table_of
from detection.formats.source import TAR_SUFFIX, Reader, SourceFiles, without_annotation
from detection.formats.target import Target, Writer
from generator.foundation.split_names import split_of_name
from generator.foundation.storage import sha256_of, translate_os_errors

_MARK = b'"objects"'
_NUMBER = re.compile(r"[-_.]?\d+$")


def matches(files: SourceFiles) -> str | None:
    """Say what speaks for it; None when nothing does."""
    return (
        ", ".join(str(shard) for shard, samples in _shards(files).items() if _MARK in files.read_bytes(samples[0]))
        or None
    )


def read(files: SourceFiles) -> RawSet:
    """Read every sample. A picture without a JSON is one that belongs to no annotation."""
    pictures: list[RawPicture] = []
    cases = Cases()
    for shard, samples in _shards(files).items():
        name = _NUMBER.sub("", shard.stem)
        split = split_of_name(name) or name or None
        for path in samples:
            row = _row(files.read_bytes(path))
            if row is None:
                cases.dropped(path, "a sample whose JSON has no objects", pictures=1)
                continue
            size_wh = size_of(row.get("width"), row.get("height"))
            objects = read_objects(row["objects"], str(path), "", {}, size_wh, cases)
            stem = str(path.with_suffix(""))
            picture = RawPicture(name=stem, file=str(path), size_wh=size_wh, split=split, objects=objects)
            pictures.append(files.find_own(path).of(picture, cases, path.name))
    without_annotation(files, pictures, cases, keep=False)
    return RawSet(categories=categories_of(pictures), pictures=pictures, cases=cases)


def _shards(files: SourceFiles) -> dict[PurePosixPath, list[PurePosixPath]]:
    """List the JSON files of each tar file."""
    shards: dict[PurePosixPath, list[PurePosixPath]] = {path: [] for path in files.with_suffix(TAR_SUFFIX)}
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


SUMS = "SHA256SUMS"


def write(data: PictureSet, target: Target) -> None:
    """Write the shards, the tables and the sums. Raises StorageError."""
    keys = dict(zip(data.pictures, _keys(data), strict=True))
    names = []
    for split, pictures in data.splits().items():
        size = target.options.shard_size
        for number, start in enumerate(range(0, len(pictures), size)):
            names.append(f"{split}-{number:06d}.tar")
            _write_shard(pictures[start : start + size], keys, names[-1], target)
        names.append(f"{split}-annotations.parquet")
        target.write(names[-1], table_of(pictures))
    sums = [f"{sha256_of(target.folder / name)}  {name}\n" for name in names]
    target.write(SUMS, "".join(sums).encode())


def _keys(data: PictureSet) -> list[str]:
    return unique_stems([PurePosixPath(picture.stem.replace(".", "_")) for picture in data.pictures])


def _write_shard(pictures: list[Picture], keys: dict[Picture, str], name: str, target: Target) -> None:
    path = target.folder / name
    with translate_os_errors(path), tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as shard:
        for picture in target.track(pictures):
            _add(shard, f"{keys[picture]}{PurePosixPath(picture.name).suffix.lower()}", picture.path.read_bytes())
            _add(shard, f"{keys[picture]}.json", json.dumps(json_of(picture), ensure_ascii=False).encode())
            target.copied += 1


def _add(shard: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    shard.addfile(member, io.BytesIO(data))


READER = Reader(matches=matches, read=read, looks_for="tar files with pictures and JSON files that have objects")
WRITER = Writer(
    write=write,
    opening="""
import webdataset
data = webdataset.WebDataset("{split}-000000.tar", shardshuffle=False).decode("pil")
""",
    with_captions=True,
    links="nothing",
)
