"""WebDataset shards with objects."""

from __future__ import annotations

import json
from pathlib import Path

from tests.detection.importers.sources import draw, encode, run, write
from tests.detection.importers.test_archives import tar_of

ROW = {"file_name": "a.png", "width": 40, "height": 30}
OBJECT = {"bbox": [4, 5, 10, 20], "category": "cat"}


def test_splits_and_boxes(tmp_path: Path) -> None:
    source = tmp_path / "s"
    for number, shard in enumerate(("train-000000", "train-000001", "val-000000")):
        files = {
            "k.png": encode(draw(number), "PNG"),
            "k.json": json.dumps({**ROW, "objects": [OBJECT] * number}).encode(),
        }
        write(source / f"{shard}.tar", tar_of({f"{number}{name}": data for name, data in files.items()}))
    imported = run(source)
    assert imported.report.format == "webdataset"
    assert imported.splits == {"train": ["0k.png", "1k.png"], "val": ["2k.png"]}
    assert imported.boxes["1k.png"] == [("cat", [4, 5, 14, 25])]
    assert imported.what == ["the same box of the same class twice"]


def test_names_in_capitals(tmp_path: Path) -> None:
    files = {"K.PNG": encode(draw(1), "PNG"), "K.JSON": json.dumps({**ROW, "objects": [OBJECT]}).encode()}
    write(tmp_path / "s" / "train-0.tar", tar_of(files))
    imported = run(tmp_path / "s")
    assert imported.boxes == {"K.PNG": [("cat", [4, 5, 14, 25])]}
    assert not imported.cases


def test_one_shard_that_is_named(tmp_path: Path) -> None:
    files = {"k.png": encode(draw(1), "PNG"), "k.json": json.dumps({**ROW, "objects": [OBJECT]}).encode()}
    path = write(tmp_path / "s" / "test-000000.tar", tar_of(files))
    write(tmp_path / "s" / "other-000000.tar", tar_of(files))
    imported = run(path)
    assert imported.splits == {"test": ["k.png"]}


def test_what_cannot_be_used_is_listed(tmp_path: Path) -> None:
    picture, labels = encode(draw(1), "PNG"), json.dumps({**ROW, "objects": [OBJECT]}).encode()
    files = {"a.json": labels, "a.png": picture, "b.json": b"torn", "c.json": labels, "d.png": encode(draw(2), "PNG")}
    write(tmp_path / "s" / "train-0.tar", tar_of(files))
    imported = run(tmp_path / "s")
    assert imported.boxes == {"a.png": [("cat", [4, 5, 14, 25])]}
    assert sorted(imported.what) == [
        "a picture that is missing",
        "a sample whose JSON has no objects",
        "pictures that belong to no annotation",
    ]
