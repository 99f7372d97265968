"""Records and annotations of scenes that are photos: real objects beside painted ones, each told apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from generator.config import Config
from generator.dataset.coco import export_coco
from generator.dataset.provenance import says_synthetic
from generator.dataset.record import SceneRecord, record_of
from generator.dataset.validation import validate_dataset
from generator.foundation.coco import NOT_EXHAUSTIVE
from generator.foundation.geometry import Box
from generator.labels.segmentation import mask_in_view, mask_to_polygons
from generator.plan import Plan
from generator.plan.photos import PhotoView
from generator.spec import BackgroundSpec, ClassSpec, Length, Spec
from generator.spec.photos import FLIPS, Photo, PhotoSet
from generator.types import Unlabelled
from tests.generator.photos import SIZE_WH, box_object, photo_of
from tests.generator.records import draw_run, drawn_scene

CANVAS_WH = (96, 64)
SIDE = Length(value=14, is_share=False)
ELLIPSE = cv2.ellipse(np.zeros(SIZE_WH[::-1], np.uint8), (70, 45), (25, 20), 30, 0, 360, 1, -1).astype(bool)


def plan_of(*photos: Photo, scenes: int = 4, painted: int = 0, **config: Any) -> Plan:
    rows = [
        BackgroundSpec(prompt="a photo", num_imgs=scenes, photos=PhotoSet(photos=photos), min_crop=0.8, flip="both")
    ]
    rows += [BackgroundSpec(prompt="a field", num_imgs=painted)] * bool(painted)
    zebra = ClassSpec(prompt="a zebra", name="zebra", min_appear=1, max_appear=1, sizes=(SIDE, SIDE, SIDE, SIDE))
    config = {"prompts": {"enrich": "none"}, "output": {"val_share": 0}, **config}
    canvas = dict(zip(("width", "height"), CANVAS_WH, strict=True))
    return Plan(spec=Spec(backgrounds=tuple(rows), classes=(zebra,)), config=Config(canvas=canvas, **config))


@pytest.mark.parametrize("flip", FLIPS)
def test_outlines_and_run_lengths_of_a_photo_show_the_same_in_a_scene(flip: Any, tmp_path: Path) -> None:
    crop = Box.from_xywh(40, 20, 75, 50)  # cuts the ellipse on one side
    view = PhotoView(photo=photo_of(tmp_path), crop=crop, flip=flip)
    shown = ELLIPSE[crop.slices]
    shown = shown[:, ::-1] if flip in ("horizontal", "both") else shown
    shown = shown[::-1] if flip in ("vertical", "both") else shown
    expected = cv2.resize(shown.astype(np.float32), CANVAS_WH, interpolation=cv2.INTER_AREA) >= 0.5
    runs = np.flatnonzero(np.diff(np.concatenate([[0], ELLIPSE.T.ravel(), [0]])))
    counts = np.diff(np.concatenate([[0], runs, [ELLIPSE.size]])).tolist()
    for segmentation in (mask_to_polygons(ELLIPSE), {"size": [*ELLIPSE.shape], "counts": counts}):
        mask = mask_in_view(segmentation, view, CANVAS_WH)
        assert mask.shape == CANVAS_WH[::-1]
        assert (mask & expected).sum() / (mask | expected).sum() > 0.96


@pytest.mark.parametrize("segmentation", ["polygon", "rle"])
def test_annotations_of_real_and_painted_objects(segmentation: str, tmp_path: Path) -> None:
    outlined = box_object("zebra", Box.from_xyxy(45, 25, 95, 65), segmentation=mask_to_polygons(ELLIPSE))
    photo = photo_of(tmp_path, outlined, box_object("zebra", Box.from_xyxy(10, 30, 20, 44)), seed=1)
    plan = plan_of(photo, painted=1, output={"val_share": 0, "segmentation": segmentation})
    records = []
    for scene in plan:
        seen = (Unlabelled(category="zebra", box=Box.from_xywh(0, 0, 9, 9), score=0.95),) if scene.index == 2 else ()
        finished = replace(drawn_scene(scene, CANVAS_WH), seen=seen if scene.photo is not None else ())
        records.append(record_of(finished, file_name=f"{scene.index:06d}.png", sha256="0", batch_size=2))
    assert [SceneRecord.model_validate_json(record.model_dump_json()) for record in records] == records
    (file, _) = export_coco(records, plan, tmp_path / "out")
    content = json.loads(file.read_bytes())
    ids = [item["id"] for item in content["annotations"]]
    assert len({*ids}) == len(ids)
    for record, image in zip(records, content["images"], strict=True):
        items = [item for item in content["annotations"] if item["image_id"] == image["id"]]
        if record.photo is None:
            assert "photo" not in image and all("source" not in item for item in items)
            assert "photo" not in json.loads(record.model_dump_json())
            continue
        assert image["license"] == 2
        assert image["photo"]["file_name"] == "1.png" and image["photo"]["sha256"] == photo.sha256
        assert image.get(NOT_EXHAUSTIVE) == ([1] if record.photo.seen else None)
        assert [item["source"] for item in items] == ["painted"] * len(record.objects) + ["real"] * (
            len(items) - len(record.objects)
        )
        for item, real in zip(items[len(record.objects) :], record.real_objects, strict=True):
            assert "tight_bbox" not in item and "requested_bbox" not in item
            left, top, right, bottom = real.label_box
            assert item["bbox"] == pytest.approx([left, top, right - left, bottom - top], abs=0.011)
            assert bool(item["segmentation"]) == (real.number == 0)


def test_a_run_in_photos_is_a_sound_data_set_and_its_pictures_say_that_they_are_composites(tmp_path: Path) -> None:
    outlined = box_object("zebra", Box.from_xyxy(45, 25, 95, 65), segmentation=mask_to_polygons(ELLIPSE))
    crowd = box_object("zebra", Box.from_xyxy(30, 70, 90, 80), is_crowd=True)
    plan = plan_of(photo_of(tmp_path, outlined, crowd), scenes=6, painted=1)
    out = draw_run(tmp_path / "out", plan.spec, plan.config, scenes=7)
    report = validate_dataset(out)
    assert report.faults == ()
    sources = {path.name: b"compositeWithTrained" in path.read_bytes() for path in (out / "images").iterdir()}
    assert sum(sources.values()) == 6
    assert all(says_synthetic(path) for path in (out / "images").iterdir())
    page, card = (out / "report.html").read_text(), (out / "README.md").read_text()
    assert "6 of 7 pictures are parts of 1 photo, into" in page and "real, no label" in page and "a crowd" in page
    assert "6 of 7 pictures show parts of 1 photo, into" in card and "of real ones" in card
