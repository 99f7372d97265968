"""`boxpaint train detector`, `refine detector`, `predict` and `evaluate` as a user meets them."""

import csv
import json
import os
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from boxpaint.__main__ import main
from boxpaint.cli import app
from tests.boxpaint.commands import assert_help_is_light, press_ctrl_c
from tests.detection.discs import disc_splits

pytestmark = pytest.mark.slow

SHORT = ("--size", "64x48", "--steps", "2", "--batch-size", "2", "--device", "cpu")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with real/ (splits train, val, test), painted/, and runs/first, trained on the painted ones."""
    folder = tmp_path_factory.mktemp("workplace")
    disc_splits(folder / "real", {"train": 4, "val": 3, "test": 3}, seed=1)
    disc_splits(folder / "painted", {"train": 3, "val": 3}, seed=2)
    result = boxpaint(folder, "train", "detector", "--synthetic", "painted", "--out", "runs/first", *SHORT)
    assert result.exit_code == 0, result.output
    return folder


def boxpaint(folder: Path, *arguments: str) -> Result:
    before = Path.cwd()
    os.chdir(folder)
    try:
        return CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments, catch_exceptions=False)
    finally:
        os.chdir(before)


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def test_help_loads_no_heavy_package() -> None:
    assert_help_is_light(
        "train detector",
        "refine detector",
        "predict",
        "evaluate",
        heavy={"torch", "torchvision", "ultralytics", "cv2", "pandas", "matplotlib", "PIL"},
    )


def test_painted_pictures_alone_are_all_trained_on(workplace: Path) -> None:
    run = read(workplace / "runs" / "first" / "run.json")
    assert [(item["role"], item["splits"], item["boxes"]) for item in run["data"]] == [
        ("synthetic", ["train", "val"], "labelled")
    ]
    assert (run["validation"], run["settings"]["steps"], run["options"]["input_wh"]) == (None, 2, [64, 48])
    again = boxpaint(workplace, "train", "detector", "--synthetic", "painted", "--out", "runs/first", *SHORT)
    assert "is finished already, nothing was trained" in again.output


def test_mixed_training_with_a_config_and_the_real_sets_validation_split(workplace: Path) -> None:
    (workplace / "train.yaml").write_text(yaml.safe_dump({"steps": 9, "validate_every": 2, "augment": "none"}))
    arguments = ["--real", "real", "--synthetic", "painted", "--mix", "0.25", "--boxes", "requested"]
    result = boxpaint(
        workplace,
        "train",
        "detector",
        *arguments,
        "--config",
        "train.yaml",
        "--out",
        "runs/mixed",
        *SHORT,
        "--seed",
        "7",
    )
    assert result.exit_code == 0, result.output
    for words in (
        "real: real:train, 4 pictures, 3 red, 2 blue",
        "synthetic: painted:train+val, 6 pictures",
        "validation: real:val, 3 pictures",
        "step 2/2: AP",
        "3 validation pictures, weights of step 2 of 2",
        "next: boxpaint evaluate runs/mixed DATASET",
    ):
        assert words in result.output
    run = read(workplace / "runs" / "mixed" / "run.json")
    assert [(item["share"], item["boxes"]) for item in run["data"]] == [(0.25, "labelled"), (0.75, "requested")]
    settings = run["settings"]
    assert (settings["steps"], settings["validate_every"], settings["augment"], run["seed"]) == (2, 2, "none", 7)


def test_one_class_under_another_name(workplace: Path) -> None:
    arguments = ["--real", "real:train", "--categories", "rot", "--rename", "RED=Rot", "--no-validation"]
    result = boxpaint(workplace, "train", "detector", *arguments, "--out", "runs/red", *SHORT, "--steps", "1")
    assert result.exit_code == 0, result.output
    assert read(workplace / "runs" / "red" / "model" / "model.json")["categories"] == ["rot"]
    assert "no validation pictures: the weights of the last step are kept" in result.output


def test_refining_on_real_pictures(workplace: Path) -> None:
    arguments = ["--from", "runs/first", "--data", "real", "--out", "runs/refined", "--device", "cpu"]
    result = boxpaint(workplace, "refine", "detector", *arguments, "--steps", "2", "--freeze-backbone")
    assert result.exit_code == 0, result.output
    assert "retinanet_small from runs/first: adamw at 0.0001, at most 2 steps; the backbone is frozen" in result.output
    assert "AP before" in result.output
    run = read(workplace / "runs" / "refined" / "run.json")
    assert run["refined_from"]["path"] == "runs/first"
    assert [item["role"] for item in run["data"]] == ["real"]
    settings = run["settings"]
    assert (settings["freeze_backbone"], settings["patience"], settings["validate_every"]) == (True, 5, 1)
    changed = boxpaint_fails(workplace, "refine", "detector", *arguments, "--steps", "2")
    assert "settings.freeze_backbone: true before, false now" in changed


def test_refining_on_pictures_without_one_of_the_classes(workplace: Path) -> None:
    disc_splits(workplace / "few", {"train": 1}, seed=1)  # a red disc
    arguments = ["--from", "runs/first/model", "--data", "few", "--out", "runs/few", "--device", "cpu", "--steps", "1"]
    result = boxpaint(workplace, "refine", "detector", *arguments)
    assert result.exit_code == 0, result.output
    assert "warning: there is no blue to learn from" in result.output
    assert [item["sha256"] for item in rows(workplace / "runs" / "few" / "data.csv")][1:] == [
        item["sha256"] for item in rows(workplace / "runs" / "first" / "data.csv")
    ]
    fresh = boxpaint_fails(workplace, "train", "detector", "--real", "few", "--out", "runs/fresh")
    assert "there is no object of the class 'blue' to learn from" in fresh


def test_boxes_measured_on_real_ones_are_shown_and_kept(workplace: Path, short_scale_training: None) -> None:
    arguments = ["--real", "real", "--synthetic", "painted", "--boxes", "calibrated", "--no-validation"]
    result = boxpaint(workplace, "train", "detector", *arguments, "--out", "runs/scaled", *SHORT, "--steps", "1")
    assert result.exit_code == 0, result.output
    scales = read(workplace / "runs" / "scaled" / "run.json")["data"][1]["scales"]
    red = scales["red"]
    measured = f"measured on {red['real_boxes']} real and {red['painted_boxes']} painted ones"
    assert f"boxes of red: times {red['factor']:.3f}, {measured}" in result.output
    assert "could be measured" not in result.output


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_predictions_of_a_folder_with_a_damaged_picture(workplace: Path, tmp_path: Path) -> None:
    (workplace / "new").mkdir()
    for number, path in enumerate(sorted((workplace / "real" / "images").glob("*test*"))):
        (workplace / "new" / f"{number}.png").write_bytes(path.read_bytes())
    (workplace / "new" / "torn.png").write_bytes(b"torn")
    arguments = ["runs/first", "new", "--out", "new/found", "--min-score", "0", "--device", "cpu"]
    result = boxpaint(workplace, "predict", *arguments)
    assert result.exit_code == 0, result.output
    for words in ("1 pictures could not be read", "  torn.png: ", "3 pictures: ", "look: new/found/drawn"):
        assert words in result.output
    assert len(list((workplace / "new" / "found" / "drawn").iterdir())) == 3
    # What was drawn before is no picture to look at, though it lies below the folder.
    assert "3 pictures: " in boxpaint(workplace, "predict", *arguments, "--overwrite").output
    one = boxpaint(workplace, "predict", "runs/first", "new/0.png", "--out", str(tmp_path / "one"), "--device", "cpu")
    assert "1 pictures: " in one.output


def test_an_evaluation_by_class_and_size(workplace: Path) -> None:
    result = boxpaint(workplace, "evaluate", "runs/first", "real", "--out", "scored", "--device", "cpu")
    assert result.exit_code == 0, result.output
    for words in ("real:test: 3 pictures", "AP small", "blue", "look: scored/report.html"):
        assert words in result.output
    assert "warning" not in result.output
    content = read(workplace / "scored" / "scores.json")
    assert (content["run"], content["data"], content["seen_in_training"]) == ("runs/first", "real:test", 0)
    assert content["scores"]["categories"].keys() == {"red", "blue"}
    assert (workplace / "scored" / "pr_curves.png").exists()
    seen = boxpaint(
        workplace, "evaluate", "runs/first/model", "painted", "--split", "train", "--out", "scored", "--overwrite"
    )
    assert "warning: 3 of these pictures were trained or validated on" in seen.output


MISTAKES = [
    (["train", "detector"], ["what to train on?", "--real", "--synthetic"]),
    (["train", "detector", "--real", "nowhere"], ["nowhere", "no such file or folder"]),
    (["train", "detector", "--real", "real:test"], ["real:test", "never trained"]),
    (["train", "detector", "--real", "real:moon"], ["no split 'moon'", "test, train, val"]),
    (["train", "detector", "--real", "real", "--mix", "0.5"], ["--mix", "--synthetic"]),
    (["train", "detector", "--real", "real", "--synthetic", "painted", "--mix", "1"], ["--mix", "below 1"]),
    (["train", "detector", "--real", "real", "--validation", "real:train"], ["trained on, too", "--no-validation"]),
    (["train", "detector", "--real", "real", "--validation", "real", "--no-validation"], ["exclude each other"]),
    (["train", "detector", "--real", "real", "--categories", "red,moon"], ["'moon'", "red, blue", "--rename"]),
    (["train", "detector", "--real", "real", "--categories", "red,RED"], ["--categories", "each once"]),
    (["train", "detector", "--real", "real", "--rename", "red"], ["--rename", "OLD=NEW"]),
    (["train", "detector", "--real", "real", "--rename", "moon=sun"], ["moon", "known: red, blue"]),
    (["train", "detector", "--real", "real", "--size", "wide"], ["--size", "'wide'", "320x240"]),
    (["train", "detector", "--real", "real", "--size", "3x4"], ["input_wh", "32"]),
    (["train", "detector", "--real", "real", "--steps", "0"], ["steps", "greater than or equal to 1"]),
    (["train", "detector", "--real", "real", "--detector", "moon"], ["'moon'", "retinanet_small", "faster_rcnn"]),
    (["train", "detector", "--real", "real", "--device", "toaster"], ["toaster", "device: auto"]),
    (["train", "detector", "--real", "real", "--config", "none.yaml"], ["none.yaml", "no such file"]),
    (["train", "detector", "--real", "real", "--out", "real"], ["real is not a training of a detector"]),
    (["train", "detector", "--synthetic", "painted", "--patience", "2"], ["--patience", "--validation"]),
    (["train", "detector", "--synthetic", "painted", "--boxes", "calibrated"], ["--boxes calibrated", "--real"]),
    (["train", "detector", "--synthetic", "painted", "--boxes", "round"], ["round", "requested"]),
    (["refine", "detector", "--from", "real", "--data", "real"], ["real: no trained detector is there"]),
    (["refine", "detector", "--from", "runs/first", "--data", "real", "--out", "runs/first"], ["choose another"]),
    (["refine", "detector", "--from", "runs/first", "--data", "other"], ["no category 'red', 'blue'", "moon"]),
    (["refine", "detector", "--from", "runs/first", "--data", "real", "--optimiser", "x"], ["optimizer", "'adamw'"]),
    (["predict", "nowhere", "real"], ["nowhere: no trained detector is there"]),
    (["predict", "runs/first", "nowhere"], ["nowhere", "no such picture or folder"]),
    (["predict", "runs/first", "real/annotations"], ["no pictures are in it"]),
    (["evaluate", "runs/first", "real", "--split", "moon"], ["no split 'moon'"]),
    (["evaluate", "runs/first", "other"], ["no category 'red', 'blue'", "its categories: moon"]),
    (["evaluate", "runs/first", "real", "--out", "painted"], ["painted is not the result of boxpaint evaluate"]),
    (
        ["evaluate", "runs/first", "real", "--out", "mine", "--overwrite"],
        ["mine is not the result of boxpaint evaluate: it holds report.html"],
    ),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES])
def test_a_users_mistake_is_one_message_and_exit_code_2(
    workplace: Path, arguments: list[str], words: list[str]
) -> None:
    if not (workplace / "other").exists():
        (workplace / "mine").mkdir()
        (workplace / "mine" / "report.html").write_text("a user's")
        disc_splits(workplace / "other", {"train": 1}, seed=3)
        file = workplace / "other" / "annotations" / "instances_train.json"
        content = {**read(file), "annotations": [], "categories": [{"id": 1, "name": "moon"}]}
        file.write_text(json.dumps(content))
    before = {path: path.read_bytes() for path in workplace.rglob("*") if path.is_file()}
    message = boxpaint_fails(workplace, *arguments)
    for word in words:
        assert word in message
    assert {path: path.read_bytes() for path in workplace.rglob("*") if path.is_file()} == before


def boxpaint_fails(folder: Path, *arguments: str) -> str:
    """Run the command as a shell does; returns what it says on stderr, in one line."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as caught:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "300")
        patch.setattr(sys, "argv", ["boxpaint", *arguments])
        patch.setattr(sys, "stderr", (stream := _Words()))
        main()
    assert caught.value.code == 2
    return " ".join(stream.text.split())


class _Words:
    """Keeps what is written to it."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


def test_ctrl_c_keeps_what_was_trained(workplace: Path) -> None:
    (workplace / "long.yaml").write_text(yaml.safe_dump({"checkpoint_every": 1, "augment": "none"}))
    arguments = ["--synthetic", "painted", "--out", "runs/long", *SHORT, "--steps", "10000", "--config", "long.yaml"]
    checkpoint = workplace / "runs" / "long" / "checkpoint"
    press_ctrl_c(["train", "detector", *arguments], workplace, once=lambda: any(checkpoint.glob("*.pt")))
    assert (workplace / "runs" / "long" / "run.json").exists()
