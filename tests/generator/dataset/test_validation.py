"""Masks that would bring pycocotools down are faults, and boxes are held against their masks."""

import json
from pathlib import Path

import pytest
from PIL import Image

from generator.dataset.validation import validate_dataset
from generator.labels.segmentation import decode_segmentation


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
