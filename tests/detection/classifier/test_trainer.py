"""What is the classifier's own of a training; tests/generator/foundation/test_training.py has the loop."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from detection.classifier.batches import Batches
from detection.classifier.crops import Crops, cut_crops
from detection.classifier.models import Classifier, build_classifier
from detection.classifier.settings import ClassifierSettings
from detection.classifier.trainer import History, predict, train
from detection.datasets.read import read_detection_set
from generator.foundation.errors import BoxpaintError
from generator.foundation.stopping import Stopped

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def crops(discs: Path) -> dict[str, Crops]:
    return {
        split: cut_crops(read_detection_set(discs, split=split), margin=0.15, side_px=64) for split in ("train", "val")
    }


def fit(
    crops: dict[str, Crops],
    settings: ClassifierSettings,
    *,
    checkpoint: Path | None = None,
    end_at: int | None = None,
    seed: int = 1,
) -> tuple[Classifier, History]:
    def on_step(step: int, _loss: float) -> None:
        if step == end_at:
            os.kill(os.getpid(), signal.SIGTERM)

    model = build_classifier("small", crops["train"].classes, "none", seed=seed)
    history = train(
        model,
        Batches(crops["train"], None, settings, side_px=64, seed=seed),
        settings,
        device=torch.device("cpu"),
        validation=crops["val"],
        checkpoint=checkpoint,
        made_from={"seed": seed},
        on_step=on_step,
    )
    return model, history


def same_weights(first: Classifier, second: Classifier) -> bool:
    return all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


def test_it_learns_red_from_blue(crops: dict[str, Crops], settings: ClassifierSettings) -> None:
    longer = settings.model_copy(update={"steps": 30, "validate_every": 10})
    model, history = fit(crops, longer)
    assert [step for step, _ in history.validations] == [10, 20, 30]
    assert np.mean(history.losses[-5:]) < 0.6 * np.mean(history.losses[:3])
    found = predict(model, crops["val"], 0.15)
    assert found.sum(1) == pytest.approx(1, abs=1e-5)
    assert np.mean(found.argmax(1) == crops["val"].labels) > 0.8


def test_stopped_and_resumed_gives_the_same_bytes_and_another_training_is_refused(
    crops: dict[str, Crops], settings: ClassifierSettings, tmp_path: Path
) -> None:
    whole, history = fit(crops, settings)
    checkpoint = tmp_path / "checkpoint.pt"
    for step in (1, 4):
        with pytest.raises(Stopped):
            fit(crops, settings, checkpoint=checkpoint, end_at=step)
    resumed, again = fit(crops, settings, checkpoint=checkpoint)
    assert again == history
    assert same_weights(whole, resumed)
    with pytest.raises(BoxpaintError, match=r"of another training.*\n  seed: 1 before, 2 now"):
        fit(crops, settings, checkpoint=checkpoint, seed=2)


def test_patience_keeps_the_best_weights_not_the_last(crops: dict[str, Crops], settings: ClassifierSettings) -> None:
    patient = settings.model_copy(update={"validate_every": 2, "patience": 1, "steps": 40})
    model, history = fit(crops, patient)
    assert len(history.losses) < 40
    assert history.validations[-1][0] == history.best_step + 2
    assert dict(history.validations)[history.best_step] == max(score for _, score in history.validations)
    stopped, _ = fit(crops, patient.model_copy(update={"patience": None}))
    assert not same_weights(model, stopped)
