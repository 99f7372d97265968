"""COCO files: what is found, refused, joined and written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from generator.foundation.coco import coco_writer, find_annotation_files, locate_picture, parse_coco, read_coco
from generator.foundation.errors import DatasetError


@pytest.mark.parametrize("number", [2**64, -(2**63), 10**400, float("nan"), True])
def test_a_number_that_no_reader_can_hold_is_a_fault(tmp_path: Path, number: object) -> None:
    content = {"images": [], "annotations": [], "categories": [{"id": number, "name": "cat"}]}
    (tmp_path / "all.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"categories\[0\]\.id.*finite number"):
        read_coco(tmp_path / "all.json")


def test_in_a_run_only_its_annotations_are_coco_files(tmp_path: Path) -> None:
    for name in ("run.json", "audit.json", "review.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "annotations").mkdir()
    with pytest.raises(DatasetError, match="its leak audit refused it"):
        find_annotation_files(tmp_path)
    (tmp_path / "annotations" / "instances_train.json").write_text("{}")
    assert [path.name for path in find_annotation_files(tmp_path)] == ["instances_train.json"]


def test_labels_are_joined_also_where_ids_are_text_and_numbers() -> None:
    images = [{"id": 1}, {"id": "2"}, "no image"]
    labels = [{"image_id": "1", "category_id": 7.0}, {"image_id": 2, "category_id": 8}, {"image_id": [1]}, 5]
    content = {"images": images, "annotations": labels, "categories": [{"id": 7}], "info": {"year": 2026}}
    file = parse_coco(json.dumps(content).encode("utf-16"), "a.json")
    joined, num_loose = file.joined()
    assert [each[1:] for each in joined] == [(1, 7), ("2", None), (None, None), (None, None)]
    assert (num_loose, file.head) == (2, {"info": {"year": 2026}})
    assert "images[2]': found" in str(DatasetError(list(file.faults())))


@pytest.mark.parametrize("place", ["images/a.png", "a.png", "val2017/a.png", "images/night/a.png", "night/a.png"])
def test_where_pictures_may_lie(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).touch()
    file = tmp_path / "annotations" / "instances_night.json"
    assert locate_picture(file, "a.png") == tmp_path / place
    assert locate_picture(file, "b.png") is None


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    for head in ({}, {"info": {"of": "b\udcfccher"}}):
        with coco_writer(tmp_path, "all", head=head, categories=[{"id": 1, "name": "ä"}]) as file:
            file.add_annotation({"id": 1})
            file.add_image({"id": 1})
            file.add_annotation({"id": 2})
    before = file.path.read_text(encoding="utf-8")
    content = {"images": [{"id": 1}], "annotations": [{"id": 1}, {"id": 2}], "categories": [{"id": 1, "name": "ä"}]}
    assert (
        before
        == json.dumps({"info": {"of": "b\udcfccher"}, **content}, ensure_ascii=False).replace("\udcfc", "\\udcfc")
        + "\n"
    )
    with pytest.raises(ValueError, match="JSON"), coco_writer(tmp_path, "all", head={}, categories=[]) as file:
        file.add_image({"id": float("nan")})
    assert file.path.read_text(encoding="utf-8") == before
