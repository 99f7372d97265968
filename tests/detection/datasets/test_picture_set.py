"""Data sets as exports see them: ids, crowds and fields stay, names are made flat and unique."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detection.datasets.picture_set import read_picture_set
from generator.foundation.errors import DatasetError
from tests.detection.formats.sets import NAMES, label, write_set
from tests.detection.formats.sources import coco_json, draw, encode, write


def test_ids_fields_and_splits_stay(tmp_path: Path) -> None:
    data = read_picture_set(write_set(tmp_path / "pets"))
    assert [(item.id, item.name) for item in data.categories] == [(1, NAMES[0]), (5, NAMES[1])]
    assert [(item.id, item.name, item.split) for item in data.pictures] == [
        (3, "a b.png", "train"),
        (7, "x.y.jpg", "train"),
        (8, "empty.png", "train"),
        (9, "ä.png", "val"),
    ]
    first, second, *_ = data.pictures
    assert first.content["flash"] is True
    assert [(item.id, item.category.id, item.score) for item in first.annotations] == [(11, 1, 0.9), (12, 5, 0.2)]
    assert [item.id for item in second.annotations] == [13, 14]
    assert [item.id for item in second.objects] == [13]
    assert second.objects[0].box_xyxy == (0, 0.25, 12.5, 30)
    assert (first.source, first.caption, data.notes) == (None, None, ())
    assert data.heads["val"] == {"info": {"year": 2026}, "licenses": [{"id": 1, "name": "CC0", "url": ""}]}


def test_one_file_is_one_split(tmp_path: Path) -> None:
    data = read_picture_set(write_set(tmp_path / "pets") / "annotations" / "instances_val.json")
    assert list(data.splits()) == ["val"]


def one_set(folder: Path, images: list[dict[str, Any]], labels: list[dict[str, Any]], **files: str) -> Path:
    for item in images:
        write(folder / "images" / item["file_name"], encode(draw(item["id"]), "PNG"))
    write(folder / "annotations" / "instances_train.json", coco_json(images, labels))
    for name, content in files.items():
        write(folder / "annotations" / f"{name}.json", content)
    return folder


def test_boxes_are_cut_and_empty_ones_left_out(tmp_path: Path) -> None:
    boxes = [[-5, 10, 100, 10], [1, 1, 0, 1], [50, 1, 5, 5], [0.1, 0.2, 0.3, 0.4]]
    labels = [label(number, 1, 1, box) for number, box in enumerate(boxes, start=1)]
    data = read_picture_set(one_set(tmp_path, [{"id": 1, "file_name": "a.png"}], labels))
    assert [item.box_xywh for item in data.pictures[0].annotations] == [(0, 10, 40, 10), (0.1, 0.2, 0.3, 0.4)]
    assert data.notes == ("2 labels whose box has no area in its picture are left out",)


def test_equal_names_of_folders_are_told_apart(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "x/1.png"}, {"id": 2, "file_name": "y/1.png"}, {"id": 3, "file_name": "y/2.png"}]
    data = read_picture_set(one_set(tmp_path, images, []))
    assert [item.name for item in data.pictures] == ["x_1.png", "y_1.png", "2.png"]


def test_categories_of_several_files_are_one_list(tmp_path: Path) -> None:
    other = coco_json([{"id": 2, "file_name": "b.png"}], [label(5, 2, 1, [1, 1, 4, 4])], ["bird", "cat"])
    folder = one_set(tmp_path, [{"id": 1, "file_name": "a.png"}], [label(1, 1, 2, [1, 1, 4, 4])], instances_val=other)
    write(folder / "images" / "b.png", encode(draw(9), "PNG"))
    data = read_picture_set(folder)
    assert [(item.id, item.name) for item in data.categories] == [(1, "cat"), (2, "dog"), (3, "bird")]
    assert [picture.annotations[0].category.name for picture in data.pictures] == ["dog", "bird"]
    assert data.notes == (
        "its files give one id to several classes: classes are numbered anew",
        "warning: train does not list bird, which other files do",
        "warning: val does not list dog, which other files do",
    )


def test_a_run_folder_knows_source_and_prompt(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "run")
    write(folder / "run.json", "{}")
    write(folder / "records" / "a b.json", json.dumps({"background": {"prompt": "a meadow"}}))
    write(folder / "records" / "x.y.json", "torn")
    data = read_picture_set(folder, with_captions=True)
    assert [picture.caption for picture in data.pictures] == ["a meadow", None, None, None]
    assert {picture.source for picture in data.pictures} == {"synthetic"}
    assert read_picture_set(folder).pictures[0].caption is None


def test_a_picture_in_two_splits_is_said(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "a.png"}]
    data = read_picture_set(one_set(tmp_path, images, [], instances_val=coco_json(images, [])))
    assert data.notes == ("warning: 1 pictures are in more than one split",)
    assert len({picture.stem for picture in data.pictures}) == 2


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "pets")
    (folder / "images" / "ä.png").unlink()
    with pytest.raises(DatasetError, match=r"image 9.*ä\.png"):
        read_picture_set(folder)
