"""Masks that would bring pycocotools down are faults, and boxes are held against their masks."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generator.dataset.validation import validate_dataset
from generator.foundation.coco import find_annotation_files, read_coco
from generator.foundation.errors import DatasetError
from generator.labels.segmentation import decode_segmentation, distance_from_mask


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e12, "4", None])
def test_a_polygon_that_cannot_be_drawn_is_a_fault_not_a_crash(tmp_path: Path, value: object) -> None:
    polygon = [4, 5, value, 5, 14, 25]
    with pytest.raises(ValueError, match="polygon"):
        decode_segmentation([polygon], (30, 40))
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    item = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 5, 10, 20], "area": 200, "iscrowd": 0}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
        "annotations": [{**item, "segmentation": [polygon]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "all.json").write_text(json.dumps(content))
    (fault,) = validate_dataset(tmp_path).faults
    assert "neither polygons nor a run-length encoding" in fault.expected


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


@pytest.mark.parametrize(
    "segmentation",
    [
        7,
        None,
        [],
        [7],
        [{}],
        {},
        {"counts": "0"},
        {"size": "none"},
        {"size": [30], "counts": [1]},
        {"size": [30, 40], "counts": ["a"]},
        {"size": [30, 40], "counts": [-1, 10**12]},
        {"size": ["a", "b"], "counts": "é"},
    ],
)
def test_what_is_no_segmentation_is_always_a_value_error(segmentation: object) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decode_segmentation(segmentation, (30, 40))


@pytest.mark.parametrize(
    ("bbox", "distance"),
    [
        ([5, 3, 11, 6], 0),
        ([3, 3, 13, 6], 0),  # within 2 px and 2 %
        ([2, 3, 14, 6], 3),
        ([5, 3, 11, 16], 10),
    ],
)
def test_a_box_and_its_mask(bbox: list[float], distance: float) -> None:
    mask = np.zeros((30, 40), bool)
    mask[3:9, 5:16] = True
    assert distance_from_mask(bbox, mask) == distance


def test_a_label_must_hold_what_was_painted(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    item = {"id": 1, "image_id": 1, "category_id": 1, "area": 81, "iscrowd": 0, "tight_bbox": [10, 10, 9, 9]}
    polygon = [[10.0, 10.0, 19.0, 10.0, 19.0, 19.0, 10.0, 19.0]]

    def faults(bbox: list[float]) -> list[str]:
        content = {
            "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
            "annotations": [{**item, "bbox": bbox, "segmentation": polygon}],
            "categories": [{"id": 1, "name": "cell"}],
        }
        (tmp_path / "set.json").write_text(json.dumps(content))
        return [fault.expected for fault in validate_dataset(tmp_path / "set.json").faults]

    assert faults([8.5, 8.5, 12, 12]) == []
    assert faults([25, 15, 12, 12]) == ["the box does not hold the middle of what was painted"]
