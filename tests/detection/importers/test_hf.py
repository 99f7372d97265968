"""ImageFolders of Hugging Face, ours and others'."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from generator.foundation.errors import DatasetError
from tests.detection.importers.sources import run, write, write_pictures

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
def test_forms(tmp_path: Path, objects: Any, card: str | None, names: list[str]) -> None:
    source = tmp_path / "s"
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


def test_a_polygon_says_the_box(tmp_path: Path) -> None:
    source = tmp_path / "s"
    write_pictures(source, "a.png")
    items = [{"segmentation": [4, 5, 14, 5, 14, 25, 4, 25], "category": "cat"}]
    write(source / "METADATA.JSONL", json.dumps({"file_name": "a.png", "objects": items, "bbox": None}))
    imported = run(source, shares={"all": 1.0})
    assert imported.boxes == {"a.png": [("cat", [4, 5, 14, 25])]}
    assert imported.what == ["no box: taken from the polygons"]


def test_what_cannot_be_used_is_listed(tmp_path: Path) -> None:
    source = tmp_path / "s"
    write_pictures(source, "a.png", "left_out.png")
    items = [
        {"bbox": [1, 1, 5], "category": "cat"},
        "no object",
        {"bbox": [1, 1, 5, 5], "category": "cat", "iscrowd": 1},
    ]
    rows = [{"file_name": "a.png", "objects": [*items, {"bbox": [4, 5, 10, 20], "category": "cat"}]}]
    rows += [{"file_name": "gone.png", "objects": []}, {"objects": []}]
    write(source / "metadata.jsonl", "\n".join(map(json.dumps, rows)))
    imported = run(source, shares={"all": 1.0})
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
def test_a_damaged_table_is_named(tmp_path: Path, name: str, data: bytes) -> None:
    source = tmp_path / "s"
    write_pictures(source, "a.png")
    write(source / name, data)
    with pytest.raises(DatasetError, match=name):
        run(source)
