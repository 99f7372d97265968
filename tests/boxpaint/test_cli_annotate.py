"""`boxpaint annotate` as a user meets it: proposals that open elsewhere, or one message and nothing written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from detection.datasets.read import read_detection_set
from detection.detectors.registry import DETECTORS
from detection.detectors.settings import ModelCard, ModelOptions
from generator.dataset.validation import validate_dataset
from tests.boxpaint.commands import assert_help_is_light
from tests.boxpaint.terminal import Terminal
from tests.detection.discs import disc_set
from tests.generator.tiny_owl import save_tiny_owl


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos without labels, in two folders, one of them damaged; a detector of random weights; a bundle with OWLv2."""
    folder = tmp_path_factory.mktemp("workplace")
    disc_set(folder / "discs", 3, seed=0)
    shutil.copytree(folder / "discs" / "images", folder / "photos" / "monday")
    (folder / "photos" / "tuesday").mkdir()
    shutil.copy(folder / "photos/monday/disc_train_000.png", folder / "photos/tuesday/disc_train_000.png")
    (folder / "photos" / "tuesday" / "notes.jpg").write_text("no picture at all")
    torch.manual_seed(0)
    card = ModelCard(name="retinanet_small", categories=("red", "blue"), options=ModelOptions(input_wh=(64, 48)))
    detector = DETECTORS["retinanet_small"].make(card, torch.device("cpu"), None)
    torch.nn.init.zeros_(detector.model.head.classification_head.cls_logits.bias)  # fresh ones see nothing anywhere
    detector.save(folder / "run")
    save_tiny_owl(folder / "owl")
    config = {"bundle": "sd21", "models": {"detector": {"folder": str(folder / "owl")}}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture()
def terminal(workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capsys, workplace)


def test_help_loads_no_heavy_package() -> None:
    assert_help_is_light("annotate", heavy={"torch", "transformers", "cv2", "PIL"})


def test_a_detector_proposes_and_the_unreadable_is_named(terminal: Terminal, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, said, errors = terminal.boxpaint(
        "annotate", "photos", "--from", "run", "--out", str(out), "--min-score", "0.001", "--masks", "--device", "cpu"
    )
    assert code == 0, errors
    assert "tuesday/notes.jpg is left out" in said
    assert "boxpaint import" in said
    assert validate_dataset(out).faults == ()
    content = json.loads((out / "annotations" / "instances_proposed.json").read_bytes())
    assert len(content["images"]) == 4
    assert {image["source"] for image in content["images"]} == {"real"}
    assert "not yet checked by a person" in content["info"]["description"]
    assert content["annotations"]
    assert all(0.001 <= item["score"] <= 1 for item in content["annotations"])
    # Two pictures of one name, in one folder now.
    assert len({image["file_name"] for image in content["images"]}) == 4
    assert len(read_detection_set(out)) == 4


def test_words_find_what_the_bundle_knows_and_any_format_will_do(terminal: Terminal, tmp_path: Path) -> None:
    arguments = ["annotate", "photos/monday", "--classes", "zebra, lion", "--config", "config.yaml", "--device", "cpu"]
    code, said, errors = terminal.boxpaint(*arguments, "--out", str(tmp_path / "out"), "--format", "yolo")
    assert code == 0, errors
    assert "as yolo: 3 pictures" in said
    assert (tmp_path / "out" / "labels" / "proposed" / "disc_train_000.txt").read_text()


WRONG = {
    "no words": (["photos"], ["--classes", "--from"]),
    "unknown class": (["photos", "--from", "run", "--classes", "green"], ["--classes", "green", "red, blue"]),
    "no run": (["photos", "--from", "photos"], ["no trained detector is there"]),
    "no photos": (["gone", "--from", "run"], ["gone", "there is no such picture or folder"]),
    "unreadable": (["photos/tuesday/notes.jpg", "--from", "run"], ["none of the 1 pictures can be read"]),
    "format": (["photos", "--from", "run", "--format", "yolov8"], ["did you mean 'yolo'"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_one_message_and_nothing_is_written(case: str, terminal: Terminal, tmp_path: Path) -> None:
    arguments, words = WRONG[case]
    code, _, errors = terminal.boxpaint("annotate", *arguments, "--out", str(tmp_path / "out"), "--device", "cpu")
    assert code == 2
    assert all(word in errors for word in words), errors
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_knows_no_words_says_what_to_take(terminal: Terminal, tmp_path: Path) -> None:
    Path("pocket.yaml").write_text("bundle: pocket\n")
    code, _, errors = terminal.boxpaint(
        "annotate", "photos", "--classes", "a", "--config", "pocket.yaml", "--out", str(tmp_path / "out")
    )
    assert code == 2
    assert "pocket.yaml: column 'models.detector'" in errors
    assert "take bundle: sd21, or --from" in errors


def test_photos_are_never_written_over(terminal: Terminal) -> None:
    before = {path.name: path.read_bytes() for path in Path("photos/monday").iterdir()}
    code, _, errors = terminal.boxpaint("annotate", "photos/monday", "--from", "run", "--out", "photos/monday")
    assert code == 2
    assert "photos/monday" in errors
    assert {path.name: path.read_bytes() for path in Path("photos/monday").iterdir()} == before
    Image.open("photos/monday/disc_train_000.png").verify()
