"""COCO: fields, ids, and polygons that pycocotools draws back to the very same pixels."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from generator.config import Config
from generator.dataset.coco import export_coco
from generator.dataset.record import SceneRecord
from generator.foundation.errors import DatasetError
from generator.plan import Plan
from generator.spec import BackgroundSpec, ClassSpec, Spec
from tests.generator.records import painted_object, record_of_objects

CANVAS_WH = (96, 64)
SPEC = Spec(
    backgrounds=(BackgroundSpec(prompt="a smear", num_imgs=20),),
    classes=(
        ClassSpec(prompt="a white cell", name="white cell", min_appear=1, max_appear=2, supercategory="cell"),
        ClassSpec(prompt="a platelet", name="platelet", min_appear=0, max_appear=3),
        ClassSpec(prompt="a large white cell", name="white cell", min_appear=0, max_appear=1),
    ),
)


def plan_of(segmentation: str = "polygon") -> Plan:
    canvas = {"width": CANVAS_WH[0], "height": CANVAS_WH[1]}
    return Plan(spec=SPEC, config=Config(canvas=canvas, output={"segmentation": segmentation}, seed=3))


def record(index: int, split: str, objects: Iterable[tuple[str, np.ndarray | None]]) -> SceneRecord:
    """Record of a scene with one object for each (category, canvas mask); None is a dropped one."""
    items = [
        painted_object(number, category, mask, canvas_wh=CANVAS_WH) for number, (category, mask) in enumerate(objects)
    ]
    return record_of_objects(items, canvas_wh=CANVAS_WH, index=index, split=split)


def ellipse(x: int, y: int, rx: int, ry: int) -> np.ndarray:
    return cv2.ellipse(np.zeros(CANVAS_WH[::-1], np.uint8), (x, y), (rx, ry), 20, 0, 360, 1, -1).astype(bool)


@pytest.fixture
def records() -> list[SceneRecord]:
    cut = ellipse(40, 30, 20, 14) & ~ellipse(40, 30, 3, 20)  # two parts: something lies across it
    return [
        record(0, "train", [("white cell", ellipse(30, 30, 20, 12)), ("platelet", ellipse(80, 20, 5, 4))]),
        record(1, "train", [("platelet", None), ("platelet", ellipse(10, 50, 4, 4)), ("white cell", cut)]),
        record(4, "train", []),
        record(7, "val", [("white cell", ellipse(0, 0, 20, 12))]),
    ]


def read(folder: Path, split: str = "train") -> dict[str, Any]:
    return json.loads((folder / "annotations" / f"instances_{split}.json").read_bytes())


@pytest.mark.parametrize("segmentation", ["polygon", "rle"])
def test_what_is_written_bit_by_bit_is_what_json_dumps_writes(
    records: list[SceneRecord], segmentation: str, tmp_path: Path
) -> None:
    for number, some in enumerate([records, [], records[:1]]):
        folder = tmp_path / str(number) / "annotations"
        paths = export_coco(some, plan_of(segmentation), folder.parent)
        assert paths == [folder / "instances_train.json", folder / "instances_val.json"]
        texts = [path.read_text(encoding="utf-8") for path in paths]
        for text in texts:
            assert text == json.dumps(json.loads(text), ensure_ascii=False, allow_nan=False) + "\n"
        assert export_coco(iter(some), plan_of(segmentation), folder.parent) == paths, "an iterator will do"
        assert [path.read_text(encoding="utf-8") for path in paths] == texts
        assert COCO(paths[1]).getImgIds() == [8] * (some is records), "a split without pictures can be loaded"


def test_records_are_read_while_the_file_is_written_and_a_bad_one_leaves_the_old_files(
    records: list[SceneRecord], tmp_path: Path
) -> None:
    paths = export_coco(records, plan_of(), tmp_path)
    before = [path.read_bytes() for path in paths]

    def failing() -> Iterable[SceneRecord]:
        yield records[0]
        raise DatasetError([])

    with pytest.raises(DatasetError):
        export_coco(failing(), plan_of(), tmp_path)
    assert [path.read_bytes() for path in paths] == before
    assert len(list(paths[0].parent.iterdir())) == 2


# --- fields and ids ----------------------------------------------------------------------------------------------


def test_ids_start_at_one_and_come_from_the_plan(records: list[SceneRecord], tmp_path: Path) -> None:
    export_coco(records, plan_of(), tmp_path)
    content = read(tmp_path)
    # Six objects at most in a scene: scene 0 has the ids 1 to 6, scene 1 the ids 7 to 12, of which 7 was dropped.
    assert [(item["id"], item["image_id"]) for item in content["annotations"]] == [(1, 1), (2, 1), (8, 2), (9, 2)]
    assert [item["id"] for item in content["images"]] == [1, 2, 5]
    assert [(item["id"], item["image_id"]) for item in read(tmp_path, "val")["annotations"]] == [(43, 8)]


def test_categories_are_those_of_the_spec_in_both_splits(records: list[SceneRecord], tmp_path: Path) -> None:
    export_coco(records, plan_of(), tmp_path)
    expected = [
        {"id": 1, "name": "white cell", "supercategory": "cell"},
        {"id": 2, "name": "platelet", "supercategory": "platelet"},
    ]
    assert read(tmp_path)["categories"] == read(tmp_path, "val")["categories"] == expected


@pytest.mark.parametrize("segmentation", ["polygon", "rle"])
def test_every_required_field_is_a_plain_number_or_text(
    records: list[SceneRecord], tmp_path: Path, segmentation: str
) -> None:
    export_coco(records, plan_of(segmentation), tmp_path)
    content = read(tmp_path)
    assert {"info", "licenses", "images", "annotations", "categories"} <= content.keys()
    for image in content["images"]:
        assert {key: type(image[key]) for key in ("id", "width", "height", "license", "file_name")} == {
            **dict.fromkeys(("id", "width", "height", "license"), int),
            "file_name": str,
        }
        assert (image["width"], image["height"]) == CANVAS_WH
        assert image["license"] in [item["id"] for item in content["licenses"]]
    for item in content["annotations"]:
        assert {type(item[key]) for key in ("id", "image_id", "category_id", "area", "iscrowd")} == {int}
        assert item["iscrowd"] == 0
        assert item["area"] > 0
        for box in (item["bbox"], item["requested_bbox"]):
            assert [type(value) for value in box] == [int] * 4
        assert item["requested_bbox"] == [4, 6, 20, 10]
        assert item["visible_share"] == 1.0


@pytest.mark.parametrize("segmentation", ["polygon", "rle"])
def test_boxes_are_tight_and_areas_are_those_of_the_masks(
    records: list[SceneRecord], tmp_path: Path, segmentation: str
) -> None:
    export_coco(records, plan_of(segmentation), tmp_path)
    coco = COCO(tmp_path / "annotations" / "instances_train.json")
    assert len(coco.anns) == 4
    for item in coco.anns.values():
        mask = coco.annToMask(item)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        tight = [columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]]
        assert item["bbox"] == tight
        assert item["area"] == mask.sum()


def test_the_mask_comes_back_as_it_was_painted(tmp_path: Path) -> None:
    whole = ellipse(40, 30, 20, 14)
    ring = whole & ~ellipse(40, 30, 8, 6)
    for segmentation, expected in (("rle", ring), ("polygon", whole)):  # polygons cannot say a hole
        export_coco([record(0, "train", [("platelet", ring)])], plan_of(segmentation), tmp_path)
        coco = COCO(tmp_path / "annotations" / "instances_train.json")
        assert np.array_equal(coco.annToMask(coco.anns[1]).astype(bool), expected)
        assert coco.anns[1]["area"] == expected.sum()


def test_info_says_where_it_came_from(records: list[SceneRecord], tmp_path: Path) -> None:
    plan = plan_of()
    export_coco(records, plan, tmp_path)
    info = read(tmp_path)["info"]
    assert (info["bundle"], info["seed"], info["spec"]) == ("pocket", 3, plan.spec.digest)


def test_parts_merge_by_concatenation(records: list[SceneRecord], tmp_path: Path) -> None:
    export_coco(records, plan_of(), tmp_path / "all")
    for name, part in (("a", records[:1]), ("b", records[1:])):
        export_coco(part, plan_of(), tmp_path / name)
    whole, a, b = (read(tmp_path / name) for name in ("all", "a", "b"))
    for key in ("images", "annotations"):
        assert a[key] + b[key] == whole[key]
    assert a["categories"] == b["categories"] == whole["categories"]


# --- pycocotools' own judgement ----------------------------------------------------------------------------------


@pytest.mark.parametrize("segmentation", ["polygon", "rle"])
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_the_truth_against_itself_scores_one(
    records: list[SceneRecord], tmp_path: Path, segmentation: str, iou_type: str
) -> None:
    export_coco(records, plan_of(segmentation), tmp_path)
    coco = COCO(tmp_path / "annotations" / "instances_train.json")
    results = [
        {
            "image_id": item["image_id"],
            "category_id": item["category_id"],
            "score": 0.9,
            **({"bbox": item["bbox"]} if iou_type == "bbox" else {"segmentation": coco.annToRLE(item)}),
        }
        for item in coco.anns.values()
    ]
    evaluation = COCOeval(coco, coco.loadRes(results), iou_type)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)
