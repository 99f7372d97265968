"""`boxpaint train classifier` as a user meets it."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from boxpaint.__main__ import main
from tests.boxpaint.commands import assert_help_is_light, press_ctrl_c
from tests.detection.discs import disc_splits

pytestmark = pytest.mark.slow

SHORT = (
    "--model", "small", "--steps", "3", "--batch-size", "6", "--seeds", "2", "--no-onnx", "--device", "cpu",
)  # fmt: skip


@pytest.fixture()
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with real/ (train, val, test) and painted/."""
    disc_splits(tmp_path / "real", {"train": 9, "val": 6, "test": 6}, seed=1)
    disc_splits(tmp_path / "painted", {"train": 9}, seed=2, prefix="painted")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    command = ["boxpaint", "train", "classifier", "--real", "real", *SHORT, *arguments]
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 0


def test_help_loads_no_heavy_package() -> None:
    assert_help_is_light("train classifier", heavy={"torch", "torchvision", "sklearn", "cv2", "albumentations", "onnx"})


def test_it_says_what_painted_crops_add(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--synthetic", "painted", "--per-class", "1", "--limit", "blue=2", "--out", "out"]
    train(monkeypatch, *arguments)
    said = capsys.readouterr().out
    for words in (
        "1/4 original, seed 0: macro F1",
        "4/4 augmented, seed 1: macro F1",
        "test crops of 6 pictures",
        "recall, background",
        "gain, 95 % interval",
        "macro F1 0.",
        "out/report.html",
    ):
        assert words in said
    scores = json.loads((workplace / "out" / "scores.json").read_text())
    assert scores["real_crops_trained_on"] == {"red": 1, "blue": 2, "background": 1}
    assert scores["command"].startswith("boxpaint train classifier --real real --model small")
    train(monkeypatch, *arguments)
    assert "4 of 4 models are trained already" in capsys.readouterr().out


def test_classes_can_be_chosen_and_renamed(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train(monkeypatch, "--rename", "red=disc, red", "--class", "disc, red", "--test", "val", "--upright")
    assert "recall, disc, red" in capsys.readouterr().out
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
    workplace: Path,
    arguments: list[str],
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = {path: path.read_bytes() for path in workplace.rglob("*") if path.is_file()}
    monkeypatch.setattr(sys, "argv", ["boxpaint", "train", "classifier", "--real", "real", *SHORT, *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    message = capsys.readouterr().err
    for word in words:
        assert word in message
    assert {path: path.read_bytes() for path in workplace.rglob("*") if path.is_file()} == before
    assert not (workplace / "runs").exists()


def test_ctrl_c_leaves_a_checkpoint_and_no_process(workplace: Path) -> None:
    arguments = ["--real", "real", *SHORT, "--steps", "100000", "--batch-size", "2", "--workers", "2"]
    models = workplace / "runs/classifier/models"
    group = press_ctrl_c(
        ["train", "classifier", *arguments], workplace, once=lambda: any(models.glob("*/checkpoint.pt"))
    )
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
