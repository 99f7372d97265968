"""Masks that would bring pycocotools down are faults, and boxes are held against their masks."""

import json
from pathlib import Path

import pytest
from PIL import Image

from generator.dataset.validation import validate_dataset

POLYGON = [10.0, 10.0, 19.0, 10.0, 19.0, 19.0, 10.0, 19.0]
TIGHT = [10, 10, 9, 9]
LARGE = [2, 2, 25, 25]  # 8 px more on each side


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ""),
        ({"bbox": [8.5, 8.5, 12, 12]}, ""),
        # However much larger: how people draw is for nobody to judge.
        ({"bbox": LARGE}, ""),
        ({"bbox": [25, 15, 12, 12]}, "the box does not hold the middle of what was painted"),
        ({"bbox": [8, 8, 70, 16]}, "leaves its picture of 40 x 30 px"),
        ({"tight_bbox": [16, 10, 9, 9]}, "6 px off its mask"),
        ({"tight_bbox": [10, 16, 9, 9]}, "6 px off its mask"),
        ({"tight_bbox": [10, 10, 15, 9]}, "6 px off its mask"),
        ({"tight_bbox": [10, 10, 9, 3]}, "6 px off its mask"),
        # Without a tight box that is one, the label itself is held against the mask.
        *(
            ({"bbox": LARGE, "tight_bbox": tight}, "8 px off its mask")
            for tight in ("missing", None, TIGHT[:3], "10, 10, 9, 9", [10, 10, 9, None])
        ),
        *(
            ({"segmentation": [[4, 5, value, 5, 14, 25]]}, "neither polygons nor a run-length encoding")
            for value in (float("nan"), float("inf"), -1e12, "4", None)
        ),
    ],
)
def test_what_speaks_against_a_label(tmp_path: Path, change: dict[str, object], expected: str) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    item = {"id": 1, "image_id": 1, "category_id": 1, "bbox": TIGHT, "tight_bbox": TIGHT, "area": 81, "iscrowd": 0}
    item = {**item, "segmentation": [POLYGON], **change}
    if item["tight_bbox"] == "missing":
        del item["tight_bbox"]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
        "annotations": [item],
        "categories": [{"id": 1, "name": "cell"}],
    }
    (tmp_path / "set.json").write_text(json.dumps(content))
    faults = validate_dataset(tmp_path / "set.json").faults
    assert [(fault.column, expected in fault.expected) for fault in faults] == [("annotation 1", True)] * bool(expected)
    if "tight_bbox" in change and "bbox" not in change:
        assert faults[0].found == str(change["tight_bbox"])
