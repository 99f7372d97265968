"""ImageFolders of Hugging Face, ours and others': the table and the front matter."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars
import pytest
import yaml

from detection.formats.exporting import export_set
from detection.formats.target import ExportOptions
from generator.dataset.record import RleRecord, decode_mask
from generator.foundation.errors import DatasetError
from generator.labels.segmentation import decode_segmentation
from tests.detection.formats.sets import NAMES, PARTS, RUNS
from tests.detection.formats.sources import ALL, draw, encode, run, write, write_pictures

CARD = """---
dataset_info:
  features:
  - name: objects
    struct:
    - name: category
      list:
        class_label:
          names:
            '0': cat
            '1': dog
---
"""
COLUMNS = {"bbox": [[4, 5, 10, 20], [1, 1, 5, 5]], "category": [1, 0], "id": [1, 2]}
FORMS: dict[str, tuple[Any, str | None, list[str]]] = {
    "lists with names in the card": (COLUMNS, CARD, ["dog", "cat"]),
    "rows": ([{"bbox": [4, 5, 10, 20], "label": "dog"}, {"bbox": [1, 1, 5, 5], "label": "cat"}], None, ["dog", "cat"]),
    "numbers": (COLUMNS, None, ["1", "0"]),
    "another card": ({**COLUMNS, "categories": COLUMNS["category"]}, "# cats", ["1", "0"]),
}


@pytest.mark.parametrize(("objects", "card", "names"), FORMS.values(), ids=FORMS)
def test_forms(source: Path, objects: Any, card: str | None, names: list[str]) -> None:
    write_pictures(source / "train", "a.png", "b.png")
    rows = [{"file_name": "a.png", "image_id": 7, "width": 40, "height": 30, "objects": objects}]
    rows.append({"file_name": "b.png", "objects": {"bbox": [], "category": []}})
    write(source / "train" / "metadata.jsonl", "\n".join(map(json.dumps, rows)))
    if card is not None:
        write(source / "README.md", card)
    imported = run(source)
    assert imported.report.format == "hf"
    assert imported.splits == {"train": ["a.png", "b.png"]}
    boxes = [[4, 5, 14, 25], [1, 1, 6, 6]]
    assert imported.boxes == {"a.png": list(zip(names, boxes, strict=True)), "b.png": []}
    assert imported.what == (["no names of the classes: they are called by their numbers"] if names[0] == "1" else [])


def test_a_polygon_says_the_box(source: Path) -> None:
    write_pictures(source, "a.png")
    items = [{"segmentation": [4, 5, 14, 5, 14, 25, 4, 25], "category": "cat"}]
    write(source / "METADATA.JSONL", json.dumps({"file_name": "a.png", "objects": items, "bbox": None}))
    imported = run(source, shares=ALL)
    assert imported.boxes == {"a.png": [("cat", [4, 5, 14, 25])]}
    assert imported.what == ["no box: taken from the polygons"]


def test_what_cannot_be_used_is_listed(source: Path) -> None:
    write_pictures(source, "a.png", "left_out.png")
    items = [
        {"bbox": [1, 1, 5], "category": "cat"},
        "no object",
        {"bbox": [1, 1, 5, 5], "category": "cat", "iscrowd": 1},
    ]
    rows = [{"file_name": "a.png", "objects": [*items, {"bbox": [4, 5, 10, 20], "category": "cat"}]}]
    rows += [{"file_name": "gone.png", "objects": []}, {"objects": []}]
    write(source / "metadata.jsonl", "\n".join(map(json.dumps, rows)))
    imported = run(source, shares=ALL)
    assert sorted(imported.what) == [
        "a box that is not four numbers",
        "a crowd, not one object",
        "a picture that is missing",
        "a row that names no picture",
        "an object that is no mapping",
        "pictures that belong to no annotation",
    ]
    assert imported.boxes == {"a.png": [("cat", [4, 5, 14, 25])]}


@pytest.mark.parametrize(
    ("name", "data"), [("metadata.jsonl", b'{"objects": "bbox"'), ("metadata.parquet", b"objects bbox")]
)
def test_a_damaged_table_is_named(source: Path, name: str, data: bytes) -> None:
    write_pictures(source, "a.png")
    write(source / name, data)
    with pytest.raises(DatasetError, match=name):
        run(source)


def test_rows(pets: Path, tmp_path: Path) -> None:
    write(pets / "run.json", "{}")
    write(pets / "records" / "ä.json", '{"background": {"prompt": "a meadow"}}')
    export_set(pets, tmp_path / "out", "hf")
    tables = {split: polars.read_parquet(tmp_path / "out" / split / "metadata.parquet") for split in ("train", "val")}
    first, second, third = tables["train"].to_dicts()
    assert [row["file_name"] for row in (first, second, third)] == ["a b.png", "x.y.jpg", "empty.png"]
    assert (first["image_id"], first["width"], first["height"], first["source"]) == (3, 40, 30, "synthetic")
    objects = first["objects"]
    assert objects["id"] == [11, 12]
    assert objects["bbox"] == [[20, 2, 14, 4], [4, 5, 10, 10]]
    assert objects["category"] == [*NAMES]
    assert objects["category_id"] == [1, 5]
    assert (objects["area"], objects["score"]) == ([32, 100], [0.9, 0.2])
    assert objects["segmentation"] == [PARTS, None]
    packed = decode_mask(RleRecord(size=(30, 40), counts=objects["rle"][1]))
    assert (packed == decode_segmentation(RUNS, (30, 40))).all()
    assert (second["objects"]["iscrowd"], second["objects"]["score"]) == ([0, 1], [None, None])
    assert all(values == [] for values in third["objects"].values())
    assert tables["val"]["caption"].to_list() == ["a meadow"]
    assert tables["train"].schema == tables["val"].schema


def test_front_matter(pets: Path, tmp_path: Path) -> None:
    export_set(pets, tmp_path / "out", "hf")
    _, text, body = (tmp_path / "out" / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    content = yaml.safe_load(text)
    assert content["configs"][0]["data_files"] == [
        {"split": "train", "path": "train/**"},
        {"split": "val", "path": "val/**"},
    ]
    assert re.fullmatch("sha256:[0-9a-f]{16}", content["configs"][0]["description"])
    names = [item["name"] for item in content["dataset_info"]["features"]]
    assert names == ["image", "image_id", "width", "height", "source", "caption", "objects"]
    assert 'load_dataset("out")' in body


def test_the_front_matter_tells_data_sets_apart(pets: Path, tmp_path: Path) -> None:
    """The cache of datasets knows them by it."""

    def front_matter(**options: float) -> str:
        export_set(pets, tmp_path / "out", "hf", ExportOptions(overwrite=True, **options))
        return (tmp_path / "out" / "README.md").read_text(encoding="utf-8").split("---\n")[1]

    first = front_matter()
    assert front_matter() == first
    assert front_matter(min_score=0.6) != first
    write(pets / "images" / "ä.png", encode(draw(77), "PNG"))
    assert front_matter() != first
