from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from detection.experiment.config import ExperimentConfig, RealConfig
from detection.experiment.data import gather, read_real
from generator.foundation.errors import BoxpaintError, DatasetError, RunMismatchError
from generator.run import Listener
from tests.detection.experiment.conftest import write_experiment

CATEGORIES = ("red", "blue")
PAINTED = {"data": "painted"}


@pytest.fixture()
def own(discs: Path, tmp_path: Path) -> Path:
    """A copy of the real discs to change."""
    return shutil.copytree(discs / "real", tmp_path / "own")


def _annotations(folder: Path, split: str) -> Path:
    return folder / "annotations" / f"instances_{split}.json"


def test_a_training_picture_that_looks_like_a_test_picture_is_left_out(own: Path, tmp_path: Path) -> None:
    seen, kept = "real_test_002.png", "real_val_001.png"
    Image.open(own / "images" / seen).point(lambda value: value * 0.97).save(own / "images" / kept)
    train, test, (remark,) = read_real(RealConfig(data=own, train=("train", "val")), CATEGORIES, tmp_path / "out")
    assert len(train) == 5
    assert kept not in {sample.path.name for sample in train.samples}
    assert len(test) == 6
    assert remark == (
        "1 training pictures show nearly the same as a test picture and are left out: "
        "real_val_001.png (as real_test_002.png)"
    )


def test_a_set_that_is_all_in_the_test_says_so(own: Path, tmp_path: Path) -> None:
    shutil.copy(_annotations(own, "test"), _annotations(own, "train"))
    with pytest.raises(DatasetError, match=r"hold no red and no blue.*6 training pictures show nearly the same"):
        read_real(RealConfig(data=own), CATEGORIES, tmp_path / "out")


def test_coco_that_only_an_import_can_read_is_imported_with_its_splits(own: Path, tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        content = json.loads(_annotations(own, split).read_bytes())
        for number, item in enumerate(content["annotations"]):
            item["id"] = number  # from 0, and without what detectors do not need
            del item["iscrowd"], item["area"]
        _annotations(own, split).write_text(json.dumps(content))
    train, test, remarks = read_real(RealConfig(data=own, train=("train", "val")), CATEGORIES, tmp_path / "out")
    assert (len(train), len(test)) == (6, 6)
    assert remarks[0].startswith("imported as coco")
    assert "12 of 12 pictures" in remarks[0]


def test_one_annotation_file_is_imported_and_what_is_lost_is_told(own: Path, tmp_path: Path) -> None:
    with (own / "images" / "labels.csv").open("w") as stream:
        rows = csv.writer(stream)
        rows.writerow(["filename", "class", "xmin", "ymin", "xmax", "ymax", "split"])
        for split, name in (("train", "real_train_002"), ("train", "real_train_000"), ("test", "real_test_002")):
            rows.writerows([[f"{name}.png", label, 5, 5, 25, 25, split] for label in CATEGORIES])
        rows.writerow(["real_train_000.png", "red", 9, 9, 9, 9, "train"])
    real = RealConfig(data=own / "images" / "labels.csv", train=("train",), test="test")
    try:
        found = read_real(real, CATEGORIES, tmp_path / "out")
    except DatasetError as error:
        assert "there is no split 'test'" in str(error)  # this form knows no splits: they are made anew
        found = read_real(real.model_copy(update={"test": "val"}), CATEGORIES, tmp_path / "out")
    train, _, remarks = found
    assert len(train) >= 1
    assert remarks[0].startswith("imported as csv")
    assert any("1 objects lost" in remark for remark in remarks)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"detector": {"name": "retina"}}, "there is no detector 'retina'"),
        ({"detector": {"name": "retinanet_small", "pretrained": "nowhere.pth"}}, "nowhere.pth"),
        ({"device": "cuda:77"}, "cannot be used on this machine"),
        ({"real_images": [{"number": 9}]}, "9 real training pictures are asked for; there are 6"),
        (
            {"arms": ["synthetic", "calibrated"], "real_images": [{"number": 9}]},
            "9 real training pictures are asked for; there are 6",
        ),
        ({"real_images": [{"number": 6}, {"number": "all"}]}, "'all' and 6 are the same number"),
        ({"value_curve": {"numbers": [0, 50], "real_images": 2}}, "50 painted images; there are 40"),
        ({"value_curve": {"numbers": [0, 7], "real_images": 2}, "synthetic": PAINTED}, "7 painted images; there are 6"),
        ({"synthetic": {**PAINTED, "num_images": 9}}, "9 are asked for, 6 are there"),
        ({"synthetic": {}}, "name a painted data set"),
        ({"real": {"data": "real", "test": "exam"}}, "there is no split 'exam'"),
    ],
)
def test_mistakes_are_said_before_painting_and_training(
    discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], words: str
) -> None:
    monkeypatch.setattr("detection.experiment.data.generate", lambda *_, **__: pytest.fail("paints"))
    painting = {"background": "b.csv", "classes": "c.csv", "num_images": 40, "boxes": "calibrated"}
    config = ExperimentConfig.load(write_experiment(discs, **{"synthetic": painting, **changes}))
    with pytest.raises(BoxpaintError, match=words):
        gather(config, tmp_path, listener=Listener())


def test_other_things_to_paint_are_no_reason_for_an_option_that_is_not_there(
    discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RunMismatchError("use --overwrite to start again:", ["classes.csv: 3 now, 2 before"])

    monkeypatch.setattr("detection.experiment.data.generate", refuse)
    monkeypatch.setattr("detection.experiment.data.load_spec", lambda *_, **__: None)
    config = ExperimentConfig.load(write_experiment(discs, synthetic={"background": "b.csv", "classes": "c.csv"}))
    with pytest.raises(
        RunMismatchError, match=r"painted was painted with other settings; remove that folder"
    ) as caught:
        gather(config, tmp_path, listener=Listener())
    assert "overwrite" not in str(caught.value)
    assert "classes.csv: 3 now, 2 before" in str(caught.value)
