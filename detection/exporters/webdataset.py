"""WebDataset: tar files that are read in a row, https://github.com/webdataset/webdataset.

<split>-000000.tar           samples: <key>.png or .jpg, and <key>.json with the labels (rows.py)
<split>-annotations.parquet  all labels of the split, a row each
SHA256SUMS                   for `sha256sum --check`

The same data set gives the same bytes: members have no owner and no date. A key ends at the first dot of a name, so it
has none.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import PurePosixPath

from detection.datasets.picture_names import unique_stems
from detection.exporters.rows import json_of, table_of
from detection.exporters.types import Picture, PictureSet
from detection.exporters.work import Work
from generator.foundation.storage import sha256_of, translate_os_errors

OPENING = """
import webdataset
data = webdataset.WebDataset("{split}-000000.tar", shardshuffle=False).decode("pil")
"""
SUMS = "SHA256SUMS"


def write(data: PictureSet, work: Work) -> None:
    """Write the shards, the tables and the sums. Raises StorageError."""
    keys = dict(zip(data.pictures, _keys(data), strict=True))
    names = []
    for split, pictures in data.splits().items():
        size = work.options.shard_size
        for number, start in enumerate(range(0, len(pictures), size)):
            names.append(f"{split}-{number:06d}.tar")
            _write_shard(pictures[start : start + size], keys, names[-1], work)
        names.append(f"{split}-annotations.parquet")
        work.write(names[-1], table_of(pictures))
    sums = [f"{sha256_of(work.folder / name)}  {name}\n" for name in names]
    work.write(SUMS, "".join(sums).encode())


def _keys(data: PictureSet) -> list[str]:
    return unique_stems([PurePosixPath(picture.stem.replace(".", "_")) for picture in data.pictures])


def _write_shard(pictures: list[Picture], keys: dict[Picture, str], name: str, work: Work) -> None:
    path = work.folder / name
    with translate_os_errors(path), tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as shard:
        for picture in work.walk(pictures):
            _add(shard, f"{keys[picture]}{PurePosixPath(picture.name).suffix.lower()}", picture.path.read_bytes())
            _add(shard, f"{keys[picture]}.json", json.dumps(json_of(picture), ensure_ascii=False).encode())
            work.copied += 1


def _add(shard: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    shard.addfile(member, io.BytesIO(data))
