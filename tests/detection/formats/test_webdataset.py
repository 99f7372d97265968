"""WebDataset shards with objects: read, and their members, bytes, tables and sums as we write them."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import polars

from detection.formats.exporting import export_set
from detection.formats.target import ExportOptions
from tests.detection.formats.sets import NAMES, PARTS, files_below
from tests.detection.formats.sources import draw, encode, run, write
from tests.detection.formats.test_source import tar_of

PICTURE = encode(draw(1), "PNG")
OBJECT = {"bbox": [4, 5, 10, 20], "category": "cat"}
CAT = [("cat", [4, 5, 14, 25])]


def labels(*objects: object) -> bytes:
    return json.dumps({"file_name": "a.png", "width": 40, "height": 30, "objects": objects}).encode()


def test_splits_and_boxes(source: Path) -> None:
    for number, shard in enumerate(("train-000000", "train-000001", "val-000000")):
        files = {f"{number}k.png": encode(draw(number), "PNG"), f"{number}k.json": labels(*[OBJECT] * number)}
        write(source / f"{shard}.tar", tar_of(files))
    imported = run(source)
    assert imported.report.format == "webdataset"
    assert imported.splits == {"train": ["0k.png", "1k.png"], "val": ["2k.png"]}
    assert imported.boxes["1k.png"] == CAT
    assert imported.what == ["the same box of the same class twice"]


def test_one_shard_that_is_named_with_names_in_capitals(source: Path) -> None:
    files = {"K.PNG": PICTURE, "K.JSON": labels(OBJECT)}
    for name in ("test-000000", "other-000000"):
        write(source / f"{name}.tar", tar_of(files))
    imported = run(source / "test-000000.tar")
    assert (imported.splits, imported.boxes) == ({"test": ["K.PNG"]}, {"K.PNG": CAT})
    assert imported.cases == [("other-000000.tar", "pictures that belong to no annotation", "dropped")]


def test_what_cannot_be_used_is_listed(source: Path) -> None:
    files = {"a.json": labels(OBJECT), "a.png": PICTURE, "b.json": b"torn", "c.json": labels(OBJECT)}
    write(source / "train-0.tar", tar_of({**files, "d.png": encode(draw(2), "PNG")}))
    imported = run(source)
    assert imported.boxes == {"a.png": CAT}
    assert sorted(imported.what) == [
        "a picture that is missing",
        "a sample whose JSON has no objects",
        "pictures that belong to no annotation",
    ]


def test_samples(pets: Path, tmp_path: Path) -> None:
    export_set(pets, tmp_path / "out", "webdataset", ExportOptions(shard_size=2))
    out = tmp_path / "out"
    members: dict[str, list[str]] = {}
    contents: dict[str, bytes] = {}
    for path in sorted(out.glob("*.tar")):
        with tarfile.open(path) as shard:
            members[path.name] = shard.getnames()
            for member in shard:
                assert (member.mtime, member.uid, member.uname, member.mode) == (0, 0, "", 0o644)
                stream = shard.extractfile(member)
                assert stream is not None
                contents[member.name] = stream.read()
    assert members == {
        "train-000000.tar": ["a b.png", "a b.json", "x_y.jpg", "x_y.json"],
        "train-000001.tar": ["empty.png", "empty.json"],
        "val-000000.tar": ["ä.png", "ä.json"],
    }
    assert contents["x_y.jpg"] == (pets / "images" / "x.y.jpg").read_bytes()
    sample = json.loads(contents["a b.json"])
    first, second = sample.pop("objects")
    assert sample == {"image_id": 3, "file_name": "a b.png", "split": "train", "width": 40, "height": 30}
    assert first == {
        "id": 11,
        "category": NAMES[0],
        "category_id": 1,
        "bbox": [20, 2, 14, 4],
        "area": 32,
        "iscrowd": 0,
        "score": 0.9,
        "segmentation": PARTS,
    }
    assert second["segmentation"]["size"] == [30, 40]


def test_tables_and_sums(pets: Path, tmp_path: Path) -> None:
    export_set(pets, tmp_path / "out", "webdataset")
    # Every label, and tables merge by concatenation.
    table = polars.concat(
        polars.read_parquet(tmp_path / "out" / f"{split}-annotations.parquet") for split in ("train", "val")
    )
    assert table["annotation_id"].to_list() == [11, 12, 13, 14, None, 21]
    assert table["image_id"].to_list() == [3, 3, 7, 7, 8, 9]
    assert table.row(0, named=True)["box_width"] == 14
    assert json.loads(table["segmentation"][0]) == PARTS
    found = files_below(tmp_path / "out")
    assert dict(line.split("  ", 1)[::-1] for line in found["SHA256SUMS"].decode().splitlines()) == {
        name: hashlib.sha256(data).hexdigest()
        for name, data in found.items()
        if name not in ("SHA256SUMS", "README.md", "export.json")
    }
