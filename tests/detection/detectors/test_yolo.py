"""YOLO keeps the promises of every detector, and no clock decides what it finds."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from detection.datasets.read import read_rgb
from detection.datasets.types import DetectionDataset, Sample
from detection.detectors.settings import FitSettings
from detection.detectors.types import TrainingMix
from detection.detectors.yolo import YoloModel, labels_for_loss
from detection.evaluation.coco_metrics import mean_average_precision
from generator.foundation.history import Listener
from tests.detection.detectors.test_contract import (
    assert_equal_answers,
    check_resumed,
    check_saved_and_loaded,
    odd_pictures,
)
from tests.detection.detectors.tiny_yolo import CATEGORIES, TINY, make, write_tiny
from tests.detection.discs import disc_set

pytestmark = pytest.mark.slow

SETTINGS = FitSettings(steps=3, batch_size=2, warmup_steps=0, checkpoint_every=1, validate_every=1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_tiny(tmp_path_factory.mktemp("network") / "tiny.yaml")


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> DetectionDataset:
    return disc_set(tmp_path_factory.mktemp("discs"), 8, seed=1)


@pytest.fixture(scope="module")
def mix(discs: DetectionDataset) -> TrainingMix:
    blank = Sample.of(discs.samples[0].path, (discs.samples[0].width, discs.samples[0].height), [], [])
    other = DetectionDataset(categories=CATEGORIES, samples=(blank, discs.samples[2]))
    return TrainingMix(sets=(discs.choose([0, 1]), other), shares=(0.5, 0.5))


def test_stopped_and_resumed_gives_the_weights_of_an_undisturbed_training(
    mix: TrainingMix, discs: DetectionDataset, tiny: str, tmp_path: Path
) -> None:
    check_resumed(lambda: make(tiny), mix, tmp_path, settings=SETTINGS, validation=discs)


@pytest.mark.parametrize("variant", ["tiny", "yolo26n"])  # with and without suppression of overlaps
def test_saved_and_loaded_answers_alike_on_pictures_of_any_size(variant: str, tiny: str, tmp_path: Path) -> None:
    detector = make(tiny if variant == "tiny" else variant)
    check_saved_and_loaded(detector, tmp_path, has_masks=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors", "network.json"]


def test_learns_two_pictures(discs: DetectionDataset, tiny: str) -> None:
    detector = make(tiny)
    chosen = discs.choose([2, 5])  # with a disc of each category
    settings = FitSettings(steps=200, batch_size=2, learning_rate=2e-2, warmup_steps=10, augment="none")
    losses: list[float] = []

    class Losses(Listener):
        def on_step(self, step: int, loss: float) -> None:
            losses.append(loss)

    detector.fit(TrainingMix.of(chosen), settings, seed=0, listener=Losses())
    found = detector.predict([read_rgb(sample.path) for sample in chosen.samples])
    # Where the weights end differs between processors: one finds both discs by now, another one.
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) / 1.5
    assert mean_average_precision(chosen, found) > 0.25


def test_a_frozen_backbone_keeps_weights_and_statistics(mix: TrainingMix, tiny: str) -> None:
    detector = make(tiny)
    before = copy.deepcopy(detector.model.state_dict())
    detector.fit(mix, SETTINGS.model_copy(update={"freeze_backbone": True}), seed=0)
    changed = {name for name, value in detector.model.state_dict().items() if not torch.equal(value, before[name])}
    backbone = {name for name in before if int(name.split(".")[2]) < len(TINY["backbone"])}
    assert backbone
    assert changed
    assert not changed & backbone


def test_labels_are_shares_of_the_padded_picture() -> None:
    targets = [
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)},
        {"boxes": torch.tensor([[8.0, 4.0, 24.0, 12.0]]), "labels": torch.tensor([2])},
    ]
    labels = labels_for_loss(targets, torch.zeros(2, 3, 32, 64))
    assert labels["batch_idx"].tolist() == [1]
    assert labels["cls"].tolist() == [1]
    assert labels["bboxes"].tolist() == [[0.25, 0.25, 0.25, 0.25]]


def test_the_loss_is_computed_in_float32_on_pictures_padded_to_whole_strides(tiny: str) -> None:
    model = make(tiny).model
    assert isinstance(model, YoloModel)
    seen: dict[str, Any] = {}

    def loss(answers: dict[str, Any], labels: dict[str, torch.Tensor]) -> tuple[torch.Tensor, None]:
        seen.update(answers)
        return answers["boxes"].sum() * torch.tensor([1.0, 2.0, 3.0]), None

    model._loss = loss
    targets = [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}]
    with torch.autocast("cpu", torch.bfloat16):
        model.train()(list(torch.zeros(1, 3, 50, 70)), targets)
    assert {seen[name].dtype for name in ("boxes", "scores")} == {torch.float32}
    # 70 x 50 px become 80 x 64: 10 x 8 cells and 5 x 4
    assert seen["boxes"].shape[2] == 80 + 20


def test_a_busy_machine_empties_no_prediction(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = make(tiny)
    pictures = odd_pictures()
    before = detector.predict(pictures)
    hours = iter(range(10**6))
    monkeypatch.setattr("ultralytics.utils.nms.time.time", lambda: 3600.0 * next(hours))
    assert_equal_answers(detector.predict(pictures), before)
    assert next(hours) > len(pictures)  # it did look at the clock
    assert all(len(found.labels) for found in before)
