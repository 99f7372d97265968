"""Labels as people draw them: in the record, and in the COCO file, which is sound."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from generator.dataset.coco import export_coco
from generator.dataset.record import SceneRecord, read_record
from generator.dataset.validation import validate_dataset
from generator.plan import Plan
from generator.spec import ClassSpec
from tests.generator.calibrated import PLATELET, plan_of
from tests.generator.records import painted_object, record_of_objects

PICTURE_WH = (96, 64)
OBJECTS = (
    # Painted around (40, 30), and at the corner, where the label's box is cut; one dropped.
    ("platelet", (40, 30), 1.25),
    ("platelet", (4, 3), 1.25),
    ("white cell", (70, 40), 1.0),
    ("platelet", None, 1.25),
)


def plan_of_export(segmentation: str = "polygon") -> Plan:
    return plan_of(
        ClassSpec(prompt="a white cell", name="white cell", min_appear=0, max_appear=4),
        ClassSpec(prompt="a platelet", name="platelet", min_appear=0, max_appear=4, calibration=PLATELET),
        canvas_wh=PICTURE_WH,
        output={"segmentation": segmentation},
    )


def disc(centre: tuple[int, int]) -> np.ndarray:
    return cv2.circle(np.zeros(PICTURE_WH[::-1], np.uint8), centre, 6, 1, -1).astype(bool)


@pytest.fixture
def record() -> SceneRecord:
    """A scene of OBJECTS: discs with a radius of 6 px, 13 px across."""
    items = [
        painted_object(number, category, centre and disc(centre), canvas_wh=PICTURE_WH, label_scale=label_scale)
        for number, (category, centre, label_scale) in enumerate(OBJECTS)
    ]
    return record_of_objects(items, canvas_wh=PICTURE_WH)


def test_the_record_keeps_the_painted_box_and_says_what_the_label_is(record: SceneRecord, tmp_path: Path) -> None:
    path = tmp_path / "000000.json"
    path.write_text(record.model_dump_json())
    whole, cut, plain, dropped = read_record(path).objects
    assert [each.label_scale for each in (whole, cut, plain, dropped)] == [scale for *_, scale in OBJECTS]
    # 13 px times 1.25 are 16.25: 8.125 to either side of the centre of the pixel, 40.5 and 30.5.
    assert whole.painted_box == (34, 24, 47, 37)
    assert whole.label_xyxy(PICTURE_WH) == pytest.approx((32.375, 22.375, 48.625, 38.625), abs=0.006)
    # Only (0, 0, 11, 10) of it is on the canvas, and that is what grows: by 1.375 and 1.25 px.
    assert cut.painted_box == (0, 0, 11, 10)
    assert cut.label_xyxy(PICTURE_WH) == pytest.approx((0, 0, 12.375, 11.25), abs=0.006)
    assert plain.label_xyxy(PICTURE_WH) == plain.painted_box
    assert dropped.label_xyxy(PICTURE_WH) is None


@pytest.mark.parametrize("segmentation", ["polygon", "rle"])
def test_the_coco_box_is_as_people_draw_and_the_tight_one_is_kept(
    record: SceneRecord, tmp_path: Path, segmentation: str
) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", PICTURE_WH).save(tmp_path / "images" / record.file_name)
    train, _ = export_coco([record], plan_of_export(segmentation), tmp_path)
    assert validate_dataset(tmp_path).faults == ()
    whole, cut, plain = json.loads(train.read_bytes())["annotations"]
    assert whole["bbox"] == pytest.approx([32.375, 22.375, 16.25, 16.25], abs=0.011)
    assert whole["tight_bbox"] == [34, 24, 13, 13]
    assert cut["bbox"] == pytest.approx([0, 0, 12.375, 11.25], abs=0.011)
    assert cut["tight_bbox"] == [0, 0, 11, 10]
    assert plain["bbox"] == plain["tight_bbox"] == [64, 34, 13, 13]
    assert {type(side) for side in (*plain["bbox"], *whole["tight_bbox"])} == {int}, "as before there were calibrations"
    for item in (whole, cut, plain):
        assert all(side == round(side, 2) for side in item["bbox"])
        assert item["requested_bbox"] == [4, 6, 20, 10]
    # The mask is what was painted, and so is its area.
    assert whole["area"] == plain["area"] > 100
