"""`boxpaint export` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detection.formats.registry import WRITERS
from generator.dataset.validation import validate_dataset
from tests.boxpaint.commands import assert_help_is_light
from tests.boxpaint.terminal import Terminal
from tests.detection.formats.sets import without_masks, write_set

HEAVY = {"torch", "transformers", "pandas", "polars", "imagehash", "scipy", "PIL", "cv2"}


@pytest.fixture()
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """In a folder with pets/, and boxes/ without masks."""
    write_set(tmp_path / "pets")
    without_masks(write_set(tmp_path / "boxes"))
    return Terminal(monkeypatch, capsys, tmp_path)


def test_help_loads_no_heavy_package() -> None:
    assert_help_is_light("export", heavy=HEAVY)


@pytest.mark.parametrize("form", WRITERS)
def test_every_format(form: str, terminal: Terminal) -> None:
    code, out, errors = terminal.boxpaint("export", "pets", "--format", form, "--out", "out")
    assert code == 0, errors
    assert f"wrote out as {form}: 4 pictures" in out
    assert Path("out", "README.md").is_file()


def test_all_options(terminal: Terminal) -> None:
    arguments = ["export", "pets", "--format", "crops", "--out", "out", "--classes", "house cat", "--min-score", "0.6"]
    code, out, errors = terminal.boxpaint(
        *arguments, "--margin", "0.1", "--balanced", "--max-images", "3", "--seed", "5"
    )
    assert code == 0, errors
    assert "1 labels with a score below 0.6 are left out" in out
    assert [path.name for path in Path("out").rglob("*.png")] == ["a b-11.png"]
    options = json.loads(Path("out", "export.json").read_bytes())["options"]
    assert (options["classes"], options["seed"], options["max_images"]) == (["house cat"], 5, 3)


WRONG = {
    "format": (["pets", "--format", "yolov8"], ["--format", "did you mean 'yolo'"]),
    "missing": (["gone", "--format", "coco"], ["gone", "no such file or folder"]),
    "no masks": (["boxes", "--format", "yolo-seg"], ["boxes", "none of its 5 labels has a mask"]),
    "no label maps": (["boxes", "--format", "semantic"], ["boxes", "none of its 5 labels has a mask"]),
    "nothing left": (
        ["pets", "--format", "yolo", "--classes", "house cat", "--min-score", "0.99"],
        ["no label is left after --classes house cat --min-score 0.99"],
    ),
    "class": (["pets", "--format", "yolo", "--classes", "rat"], ["'rat'", "house cat, weißer Hund"]),
    "no class": (["pets", "--format", "yolo", "--classes", ","], ["--classes", "commas"]),
    "margin": (["pets", "--format", "yolo", "--margin", "1"], ["--margin goes with --format crops"]),
    "shards": (["pets", "--format", "yolo", "--shard-size", "1"], ["--shard-size goes with --format webdataset"]),
    "no picture": (["torn", "--format", "yolo"], ["no COCO file"]),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_mistakes_end_with_one_message_and_nothing_written(
    terminal: Terminal, arguments: list[str], words: list[str]
) -> None:
    Path("torn").mkdir()
    code, _, errors = terminal.boxpaint("export", *arguments, "--out", "out")
    assert code == 2
    assert all(word in errors for word in words), errors
    assert "Traceback" not in errors
    assert sorted(path.name for path in Path().iterdir()) == ["boxes", "pets", "torn"]


def test_a_folder_that_is_taken_is_refused_and_ours_is_replaced_when_asked(terminal: Terminal) -> None:
    Path("mine").mkdir()
    Path("mine", "thesis.txt").write_text("mine")
    code, _, errors = terminal.boxpaint("export", "pets", "--format", "coco", "--out", "mine", "--overwrite")
    assert code == 2
    assert "it holds thesis.txt" in errors
    assert terminal.boxpaint("export", "pets", "--format", "coco", "--out", "out")[0] == 0
    code, _, errors = terminal.boxpaint("export", "pets", "--format", "yolo", "--out", "out")
    assert code == 2
    assert "--overwrite" in errors
    assert terminal.boxpaint("export", "pets", "--format", "yolo", "--out", "out", "--overwrite")[0] == 0
    assert not Path("out", "annotations").exists()


def test_stopped_in_the_middle_it_leaves_nothing(terminal: Terminal) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    terminal.monkeypatch.setattr("detection.formats.target.Work.lay", stop)
    code, out, _ = terminal.boxpaint("export", "pets", "--format", "yolo", "--out", "out")
    assert code == 130
    assert "stopped; out is as it was" in out
    assert sorted(path.name for path in Path().iterdir()) == ["boxes", "pets"]


def test_a_coco_export_is_a_data_set_again(terminal: Terminal) -> None:
    assert terminal.boxpaint("export", "pets", "--format", "coco", "--out", "out")[0] == 0
    assert not validate_dataset("out").faults
    code, _, errors = terminal.boxpaint("export", "out", "--format", "yolo", "--out", "again")
    assert code == 0, errors
