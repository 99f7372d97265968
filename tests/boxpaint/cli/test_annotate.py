"""`boxpaint annotate` as a user meets it: proposals that open elsewhere, or one message and nothing written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from detection.datasets.read import read_detection_set
from detection.detectors.registry import DETECTORS
from detection.detectors.settings import ModelCard, ModelOptions
from generator.dataset.validation import validate_dataset
from tests.boxpaint.terminal import boxpaint, nothing_written
from tests.detection.discs import disc_set
from tests.generator.models.tiny_owl import save_tiny_owl


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
    (folder / "pocket.yaml").write_text("bundle: pocket\n")
    return folder


def test_a_detector_proposes_and_the_unreadable_is_named(workplace: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--from", "run", "--min-score", "0.001", "--masks", "--device", "cpu"]
    boxpaint("annotate", "photos", *arguments, "--out", out, cwd=workplace).says(
        "tuesday/notes.jpg is left out", "boxpaint import"
    )
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


def test_words_find_what_the_bundle_knows_and_any_format_will_do(workplace: Path, tmp_path: Path) -> None:
    arguments = ["annotate", "photos/monday", "--classes", "zebra, lion", "--config", "config.yaml", "--device", "cpu"]
    boxpaint(*arguments, "--out", tmp_path / "out", "--format", "yolo", cwd=workplace).says("as yolo: 3 pictures")
    assert (tmp_path / "out" / "labels" / "proposed" / "disc_train_000.txt").read_text()


MISTAKES = {
    "no words": (["photos"], ["--classes", "--from"]),
    "unknown class": (["photos", "--from", "run", "--classes", "green"], ["--classes", "green", "red, blue"]),
    "no run": (["photos", "--from", "photos"], ["no trained detector is there"]),
    "no photos": (["gone", "--from", "run"], ["gone", "there is no such picture or folder"]),
    "unreadable": (["photos/tuesday/notes.jpg", "--from", "run"], ["none of the 1 pictures can be read"]),
    "format": (["photos", "--from", "run", "--format", "yolov8"], ["did you mean 'yolo'"]),
    "a bundle that knows no words": (
        ["photos", "--classes", "a", "--config", "pocket.yaml"],
        ["pocket.yaml: column 'models.detector'", "take bundle: sd21, or --from"],
    ),
    # Photos are never written over.
    "photos": (["photos/monday", "--from", "run", "--out", "photos/monday"], ["photos/monday"]),
}


@pytest.mark.parametrize(("arguments", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_message_and_nothing_is_written(
    workplace: Path, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    with nothing_written(workplace):
        command = ["annotate", "--out", tmp_path / "out", "--device", "cpu", *arguments]
        boxpaint(*command, cwd=workplace).refuses(*words)
    assert list(tmp_path.iterdir()) == []
