"""`boxpaint train segmenter` and `boxpaint segment` as a user meets them."""

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from boxpaint.__main__ import main
from detection.detectors.settings import ModelCard, ModelOptions, write_card
from tests.boxpaint.commands import assert_help_is_light
from tests.detection.discs import disc_splits

pytestmark = pytest.mark.slow

SHORT = ("--steps", "2", "--batch-size", "2", "--size", "96x64", "--device", "cpu")


@dataclass
class Ended:
    code: int
    out: str
    err: str


def boxpaint(*arguments: str | Path) -> Ended:
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["boxpaint", *map(str, arguments)])
        patch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as ended:
            main()
    return Ended(int(ended.value.code or 0), out.getvalue(), err.getvalue())


@dataclass
class Workplace:
    discs: Path
    run: Path
    trained: Ended


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """Discs in two splits, and a segmenter that has seen two batches of them."""
    folder = tmp_path_factory.mktemp("workplace")
    disc_splits(folder / "discs", {"train": 4, "val": 3}, seed=0)
    trained = boxpaint("train", "segmenter", "--data", folder / "discs", "--out", folder / "run", *SHORT)
    return Workplace(folder / "discs", folder / "run", trained)


def without_masks(discs: Path, split: str) -> None:
    """Take the mask of the second annotation of a split."""
    file = discs / "annotations" / f"instances_{split}.json"
    content = json.loads(file.read_text())
    content["annotations"][1]["segmentation"] = []
    file.write_text(json.dumps(content))


def test_help_loads_no_heavy_package() -> None:
    assert_help_is_light(
        "segment", "train segmenter", heavy={"torch", "torchvision", "torchmetrics", "cv2", "matplotlib", "PIL"}
    )


def test_a_training_leaves_loss_scores_and_overlays(workplace: Workplace) -> None:
    assert workplace.trained.code == 0, workplace.trained.err
    for words in (
        "discs:train, 4 pictures, 3 red, 2 blue",
        "discs:val, 3 pictures",
        "weights of step 2 of 2",
        "3 pictures with masks",
        "mask AP",
        "semantic IoU",
        "background",
        f"next: boxpaint segment {workplace.run} PICTURES",
    ):
        assert words in workplace.trained.out
    names = {path.name for path in workplace.run.iterdir()}
    assert {"run.json", "model", "loss.png", "losses.csv", "scores.json", "mask_scores.json", "overlays.png"} <= names
    described = json.loads((workplace.run / "run.json").read_text())
    assert (described["detector"], described["data"][0]["role"]) == ("mask_rcnn_small", "trained")


def test_the_same_command_again_trains_nothing_and_says_the_same(workplace: Workplace) -> None:
    arguments = ["train", "segmenter", "--data", workplace.discs, "--out", workplace.run, *SHORT]
    before = {path: path.stat().st_mtime_ns for path in workplace.run.rglob("*") if path.name != ".lock"}
    again = boxpaint(*arguments)
    assert again.code == 0
    assert "finished already, nothing was trained" in again.out
    assert again.out.splitlines()[-8:] == workplace.trained.out.splitlines()[-8:]
    assert {path: path.stat().st_mtime_ns for path in workplace.run.rglob("*") if path.name != ".lock"} == before
    # A kill may come between the weights and the scores of their masks.
    written = (workplace.run / "mask_scores.json").read_bytes()
    (workplace.run / "mask_scores.json").unlink()
    assert boxpaint(*arguments).code == 0
    assert (workplace.run / "mask_scores.json").read_bytes() == written


def test_a_folder_of_pictures_becomes_overlays_and_masks(workplace: Workplace, tmp_path: Path) -> None:
    ended = boxpaint("segment", workplace.run, workplace.discs / "images", "--out", tmp_path, "--min-score", "0")
    assert ended.code == 0, ended.err
    assert "7 pictures: " in ended.out and str(tmp_path / "index.html") in ended.out
    assert "mask AP" not in ended.out
    for kind in ("overlays", "instances", "semantic"):
        assert len(list((tmp_path / kind).glob("*.png"))) == 7
    assert json.loads((tmp_path / "segment.json").read_text())["pictures"] == 7


def test_a_data_set_with_masks_is_scored_as_the_training_did(workplace: Workplace, tmp_path: Path) -> None:
    ended = boxpaint("segment", workplace.run, f"{workplace.discs}:val", "--out", tmp_path)
    assert ended.code == 0, ended.err
    assert "3 pictures with masks" in ended.out
    scores = json.loads((tmp_path / "mask_scores.json").read_text())
    assert scores == json.loads((workplace.run / "mask_scores.json").read_text())["masks"]


def test_a_data_set_with_boxes_only_is_segmented_without_scores(workplace: Workplace, tmp_path: Path) -> None:
    disc_splits(tmp_path / "discs", {"val": 3}, seed=0)
    without_masks(tmp_path / "discs", "val")
    ended = boxpaint("segment", workplace.run, tmp_path / "discs", "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert (
        f"no scores: {tmp_path / 'discs'}:val: column 'segmentation': 1 of 4 objects have no segmentation" in ended.out
    )
    assert not (tmp_path / "out" / "mask_scores.json").exists()


def test_objects_of_other_categories_need_no_masks(workplace: Workplace, tmp_path: Path) -> None:
    disc_splits(tmp_path / "discs", {"train": 4, "val": 3}, seed=0)
    for split in ("train", "val"):
        without_masks(tmp_path / "discs", split)  # a blue one's
    arguments = ["--data", tmp_path / "discs", "--categories", "red", *SHORT, "--steps", "1"]
    trained = boxpaint("train", "segmenter", *arguments, "--out", tmp_path / "run")
    assert trained.code == 0, trained.err
    ended = boxpaint("segment", tmp_path / "run", tmp_path / "discs", "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert "3 pictures with masks" in ended.out


def test_pictures_that_cannot_be_read_are_named(workplace: Workplace, tmp_path: Path) -> None:
    disc_splits(tmp_path / "discs", {"val": 1}, seed=0)
    for number in range(7):
        (tmp_path / "discs" / "images" / f"torn_{number}.png").write_bytes(b"no picture")
    ended = boxpaint("segment", workplace.run, tmp_path / "discs" / "images", "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert "7 pictures could not be read" in ended.out and "torn_4.png: is no picture" in ended.out
    assert f"and 2 more, see {tmp_path / 'out' / 'segment.json'}" in ended.out
    assert len(json.loads((tmp_path / "out" / "segment.json").read_text())["unreadable"]) == 7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "nowhere"], ["nowhere", "there is no such file or folder"]),
        (["--data", "BOXES"], ["1 of 5 objects have no segmentation", "in disc_train_001.png"]),
        (["--data", "DISCS", "--validation", "BOXES"], ["boxes:train", "1 of 5 objects have no segmentation"]),
        (
            ["--data", "DISCS", "--detector", "retinanet_small"],
            ["'retinanet_small' that gives masks; known: mask_rcnn_small"],
        ),
        (
            ["--data", "DISCS", "--detector", "toaster"],
            ["there is no detector 'toaster' that gives masks; known: mask_rcnn_small, mask_rcnn"],
        ),
        (["--data", "DISCS", "--steps", "0"], ["steps", "found '0'"]),
        (["--data", "DISCS", "--size", "large"], ["--size: found 'large'"]),
        (["--data", "DISCS:other"], ["there is no split 'other'"]),
        (["--data", "DISCS", "--no-validation", "--validation", "DISCS:val"], ["exclude each other"]),
        (["--data", "DISCS", "--device", "moon"], ["moon"]),
        (["--data", "DISCS", "--out", "DISCS"], ["is not a training of a detector"]),
    ],
)
def test_a_mistake_in_a_training_is_one_message_and_exit_code_2(
    workplace: Workplace, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    disc_splits(tmp_path / "boxes", {"train": 4}, seed=0)
    without_masks(tmp_path / "boxes", "train")
    places = {"DISCS": str(workplace.discs), "BOXES": str(tmp_path / "boxes")}
    for name, place in places.items():
        arguments = [each.replace(name, place) for each in arguments]
    before = {path for path in workplace.discs.rglob("*") if path.name != ".lock"}
    ended = boxpaint("train", "segmenter", "--out", tmp_path / "run", *SHORT, *arguments)
    assert ended.code == 2, ended.out
    for each in words:
        assert each in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "run").exists()
    assert {path for path in workplace.discs.rglob("*") if path.name != ".lock"} == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "DISCS/images"], ["nowhere", "no trained detector is there"]),
        (["BOXES", "DISCS/images"], ["its detector, retinanet_small, gives no masks"]),
        (["RUN", "nowhere"], ["nowhere", "there is no such picture or folder"]),
        (["RUN", "DISCS/annotations"], ["annotations", "no pictures are in it"]),
        (["RUN", "DISCS:nosplit"], ["there is no split 'nosplit'"]),
        (["RUN", "DISCS", "--rename", "red=green"], ["has no category 'red'", "--rename OLD=NEW"]),
        (["RUN", "DISCS", "--out", "DISCS"], ["is not the result of boxpaint segment", "--out"]),
    ],
)
def test_a_mistake_in_a_segmentation_is_one_message_and_exit_code_2(
    workplace: Workplace, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    options = ModelOptions(input_wh=(96, 64))
    write_card(tmp_path / "boxes", ModelCard(name="retinanet_small", categories=("red", "blue"), options=options))
    places = {"DISCS": str(workplace.discs), "RUN": str(workplace.run), "BOXES": str(tmp_path / "boxes")}
    for name, place in places.items():
        arguments = [each.replace(name, place) for each in arguments]
    ended = boxpaint("segment", "--out", tmp_path / "out", *arguments)
    assert ended.code == 2, ended.out
    for each in words:
        assert each in ended.err
    assert not (tmp_path / "out").exists()
