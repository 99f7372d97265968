"""`boxpaint train classifier` as a user meets it."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.boxpaint.terminal import boxpaint, nothing_written, press_ctrl_c
from tests.detection.discs import disc_splits

pytestmark = pytest.mark.slow

SHORT = (
    "--model", "small", "--steps", "3", "--batch-size", "6", "--seeds", "2", "--no-onnx", "--device", "cpu",
)  # fmt: skip


TRAIN = "train", "classifier", "--real", "real", *SHORT


@pytest.fixture()
def workplace(tmp_path: Path) -> Path:
    """A folder with real/ (train, val, test) and painted/."""
    disc_splits(tmp_path / "real", {"train": 9, "val": 6, "test": 6}, seed=1)
    disc_splits(tmp_path / "painted", {"train": 9}, seed=2, prefix="painted")
    return tmp_path


def test_it_says_what_painted_crops_add(workplace: Path) -> None:
    arguments = ["--synthetic", "painted", "--per-class", "1", "--limit", "blue=2", "--out", "out"]
    boxpaint(*TRAIN, *arguments, cwd=workplace).says(
        "1/4 original, seed 0: macro F1",
        "4/4 augmented, seed 1: macro F1",
        "test crops of 6 pictures",
        "recall, background",
        "gain, 95 % interval",
        "macro F1 0.",
        "out/report.html",
    )
    scores = json.loads((workplace / "out" / "scores.json").read_text())
    assert scores["real_crops_trained_on"] == {"red": 1, "blue": 2, "background": 1}
    assert scores["command"].startswith("boxpaint train classifier --real real --model small")
    boxpaint(*TRAIN, *arguments, cwd=workplace).says("4 of 4 models are trained already")


def test_classes_can_be_chosen_and_renamed(workplace: Path) -> None:
    arguments = ["--rename", "red=disc, red", "--class", "disc, red", "--test", "val", "--upright"]
    boxpaint(*TRAIN, *arguments, cwd=workplace).says("recall, disc, red")
    settings = json.loads((workplace / "runs" / "classifier" / "scores.json").read_text())["settings"]
    assert settings["upright"] is True


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--real", "nowhere"], ["nowhere", "no such file or folder"]),
        (["--synthetic", "nowhere"], ["nowhere", "no such file or folder"]),
        (["--test", "tset"], ["tset", "splits of --real: test, train, val"]),
        (["--class", "green"], ["'green'", "red, blue"]),
        (["--model", "vgg"], ["'vgg'", "resnet50, resnet18, small"]),
        (["--weights", "imagenet"], ["--weights imagenet", "none for 'small'"]),
        (["--weights", "moon.pth"], ["moon.pth", "no file"]),
        (["--limit", "red"], ["--limit: found 'red'", "such as platelet=400"]),
        (["--limit", "red=many"], ["--limit: found 'red=many'", "a whole number"]),
        (["--limit", "rde=3"], ["--limit", "'rde'", "red, blue"]),
        (["--rename", "=x"], ["--rename: found '=x'", "OLD=NEW"]),
        (["--per-class", "0"], ["nothing can be trained", "--per-class"]),
        (["--real-share", "1"], ["--real-share", "found 1.0", "less than 1"]),
        (["--boxes", "loose"], ["--boxes", "'loose'", "'tight' or 'requested'"]),
        (["--device", "toaster"], ["toaster", "device: auto"]),
        (["--out", "real"], ["real", "choose another with --out"]),
    ],
)
def test_a_users_mistake_is_one_message_and_exit_code_2(
    workplace: Path, arguments: list[str], words: list[str]
) -> None:
    with nothing_written(workplace):
        boxpaint(*TRAIN, *arguments, cwd=workplace).refuses(*words)
    assert not (workplace / "runs").exists()


def test_ctrl_c_leaves_a_checkpoint_and_no_process(workplace: Path) -> None:
    arguments = [*TRAIN, "--steps", "100000", "--batch-size", "2", "--workers", "2"]
    models = workplace / "runs/classifier/models"
    group = press_ctrl_c(arguments, workplace, once=lambda: any(models.glob("*/checkpoint.pt")))
    assert list(models.glob("*/checkpoint.pt"))
    assert is_gone(group)


def is_gone(group: int) -> bool:
    """Whether nothing of a process group runs on; what helps multiprocessing takes a moment to see that it is over."""
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    return False
