"""COCO files in and out of memory: what is written is read back, and what could hurt a training is left out."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detection.datasets.categories import choose_categories, rename_categories
from detection.datasets.read import open_rgb, read_detection_set, read_rgb
from detection.datasets.types import DetectionDataset, Sample, digest_of_set
from detection.datasets.write import write_coco
from generator.dataset.validation import validate_dataset
from generator.foundation.errors import DatasetError


def make_set(folder: Path) -> dict[str, DetectionDataset]:
    (folder / "images" / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.png", "c.png"):
        Image.new("RGB", (40, 30), "red").save(folder / "images" / name)
    square = [[4.0, 5.0, 14.0, 5.0, 14.0, 25.0, 4.0, 25.0]]
    a = Sample.of(
        folder / "images" / "a.png",
        (40, 30),
        [[4, 5, 14, 25], [0.1234567, 0, 40, 30]],
        [2, 1],
        [square, None],
    )
    b = Sample.of(folder / "images" / "sub" / "b.png", (40, 30), [[1, 1, 2, 2]], [2])
    c = Sample.of(folder / "images" / "c.png", (40, 30), [], [])
    return {
        "train": DetectionDataset(categories=("cat", "dog"), samples=(a, b)),
        "val": DetectionDataset(categories=("cat", "dog"), samples=(c,)),
    }


def test_what_is_written_is_sound_and_comes_back(tmp_path: Path) -> None:
    splits = make_set(tmp_path)
    paths = write_coco(splits, tmp_path, description="two")
    assert [path.name for path in paths] == ["instances_train.json", "instances_val.json"]
    assert not validate_dataset(tmp_path).faults
    train, val = (json.loads(path.read_bytes()) for path in paths)
    assert [item["id"] for item in train["images"] + val["images"]] == [1, 2, 3]
    assert [item["id"] for item in train["annotations"]] == [1, 2, 3]
    assert [item["area"] for item in train["annotations"]] == [200, 1196.31, 1]
    assert train["annotations"][1]["bbox"] == [0.123, 0, 39.877, 30]
    back = read_detection_set(tmp_path, split="train")
    assert (back.categories, back.counts()) == (("cat", "dog"), {"cat": 1, "dog": 2})
    for sample, written in zip(back.samples, splits["train"].samples, strict=True):
        assert (sample.path, sample.width, sample.height) == (written.path, 40, 30)
        assert np.allclose(sample.boxes_xyxy, written.boxes_xyxy, atol=1e-3)
        assert sample.labels.tolist() == written.labels.tolist()
        assert sample.segmentations == written.segmentations
        assert np.isnan(sample.requested_xyxy).all()
    assert len(read_detection_set(tmp_path)) == 3
    assert read_detection_set(paths[1]).samples[0].boxes_xyxy.shape == (0, 4)


def edit(folder: Path, change: Any) -> None:
    path = folder / "annotations" / "instances_train.json"
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))


def test_crowds_flat_boxes_and_edges(tmp_path: Path) -> None:
    write_coco(make_set(tmp_path), tmp_path, description="two")

    def change(content: dict[str, Any]) -> None:
        first, second, third = content["annotations"]
        first["iscrowd"] = 1
        second["bbox"] = [-5, 10, 100, 10]
        third["bbox"] = [1, 1, 0, 1]

    edit(tmp_path, change)
    a, b = read_detection_set(tmp_path, split="train").samples
    assert a.boxes_xyxy.tolist() == [[0, 10, 40, 20]]
    assert b.labels.tolist() == []


WRONG = {
    "split": ({"split": "test"}, None, "splits: train, val"),
    "picture": ({}, lambda content: content["images"][0].update(file_name="gone.png"), "gone.png"),
    "section": ({}, lambda content: content.pop("images"), "images"),
}


@pytest.mark.parametrize(("options", "change", "words"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_read_says_where(tmp_path: Path, options: dict[str, Any], change: Any, words: str) -> None:
    write_coco(make_set(tmp_path), tmp_path, description="two")
    if change is not None:
        edit(tmp_path, change)
    with pytest.raises(DatasetError) as raised:
        read_detection_set(tmp_path, **options)
    assert words in str(raised.value)


def test_pictures_come_as_rgb(tmp_path: Path) -> None:
    Image.new("L", (4, 3), 7).save(tmp_path / "a.png")
    assert read_rgb(tmp_path / "a.png").shape == (3, 4, 3)
    assert open_rgb(tmp_path / "a.png").mode == "RGB"
    (tmp_path / "b.png").write_bytes(b"words")
    for name in ("b.png", "c.png"):
        with pytest.raises(DatasetError, match=name):
            open_rgb(tmp_path / name)


@pytest.mark.parametrize("bbox", [[1, 2, 3], None, "x", ["a", 1, 2, 3], [5, 5, 0, 0], [1, 1, float("inf"), 2], True])
def test_a_box_of_ours_that_cannot_be_used_is_as_good_as_none(tmp_path: Path, bbox: object) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    item = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 2, 9, 9], "area": 81, "iscrowd": 0}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
        "annotations": [{**item, "tight_bbox": bbox, "requested_bbox": [1, 1, 11, 11]}],
        "categories": [{"id": 1, "name": "cell"}],
    }
    (tmp_path / "set.json").write_text(json.dumps(content))
    (sample,) = read_detection_set(tmp_path / "set.json").samples
    assert np.isnan(sample.tight_xyxy).all()
    assert sample.requested_xyxy.tolist() == [[1, 1, 12, 12]]


def test_what_a_picture_does_not_label_comes_back_and_follows_its_categories(tmp_path: Path) -> None:
    data = make_set(tmp_path)["train"]
    data = replace(data, samples=(replace(data.samples[0], not_exhaustive=frozenset({2})), data.samples[1]))
    write_coco({"train": data}, tmp_path, description="two")
    back = read_detection_set(tmp_path)
    assert [sample.not_exhaustive for sample in back.samples] == [{2}, frozenset()]
    assert back.unlabelled() == {"dog": 1}
    assert choose_categories(back, ("dog",), where="x").samples[0].not_exhaustive == {1}
    assert choose_categories(back, ("cat",), where="x").unlabelled() == {}
    assert rename_categories(back, {"dog": "cat"}).unlabelled() == {"cat": 1}
    digests = {
        digest_of_set(each, ["a", "b"])
        for each in (back, replace(back, samples=make_set(tmp_path / "b")["train"].samples))
    }
    assert len(digests) == 2
