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
from detection.classifier.trainer import predict, train
from detection.datasets.read import read_detection_set
from generator.foundation.errors import BoxpaintError, ModelError
from generator.foundation.stopping import Stopped
from generator.foundation.training import History

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def crops(discs: Path) -> dict[str, Crops]:
    return {
        split: cut_crops(read_detection_set(discs, split=split), margin=0.15, side_px=64) for split in ("train", "val")
    }


class StoppedError(Exception):
    """The user has pressed Ctrl-C."""


def fit(
    crops: dict[str, Crops],
    settings: ClassifierSettings,
    *,
    checkpoint: Path | None = None,
    stop_after: int | None = None,
    end_at: int | None = None,
    seed: int = 1,
) -> tuple[Classifier, History]:
    def on_step(step: int, _loss: float) -> None:
        if step == stop_after:
            raise StoppedError
        if step == end_at:
            os.kill(os.getpid(), signal.SIGTERM)

    model = build_classifier("small", crops["train"].classes, "none", seed=seed)
    history = train(
        model,
        Batches(crops["train"], None, settings, side_px=64, seed=seed),
        settings,
        device=CPU,
        validation=crops["val"],
        checkpoint=checkpoint,
        made_from={"seed": seed},
        on_step=on_step,
    )
    return model, history


def test_it_learns_red_from_blue(crops: dict[str, Crops], settings: ClassifierSettings) -> None:
    longer = settings.model_copy(update={"steps": 30, "validate_every": 10})
    model, history = fit(crops, longer)
    assert [step for step, _ in history.validations] == [10, 20, 30]
    assert np.mean(history.losses[-5:]) < 0.6 * np.mean(history.losses[:3])
    found = predict(model, crops["val"], 0.15)
    assert found.sum(1) == pytest.approx(1, abs=1e-5)
    assert np.mean(found.argmax(1) == crops["val"].labels) > 0.8


@pytest.mark.parametrize("stop_after", [1, 3, 5])
def test_interrupted_and_resumed_gives_the_same_bytes(
    crops: dict[str, Crops], settings: ClassifierSettings, tmp_path: Path, stop_after: int
) -> None:
    whole, history = fit(crops, settings)
    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(StoppedError):
        fit(crops, settings, checkpoint=checkpoint, stop_after=stop_after)
    assert checkpoint.exists() == (stop_after >= 2)
    resumed, again = fit(crops, settings, checkpoint=checkpoint)
    assert again == history
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


def test_sigterm_keeps_the_step_in_hand(crops: dict[str, Crops], settings: ClassifierSettings, tmp_path: Path) -> None:
    whole, history = fit(crops, settings)
    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(Stopped):
        fit(crops, settings, checkpoint=checkpoint, end_at=1)
    assert len(torch.load(checkpoint, weights_only=True)["state"]["losses"]) == 1
    resumed, again = fit(crops, settings, checkpoint=checkpoint)
    assert again == history
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


def test_a_checkpoint_of_another_training_is_refused(
    crops: dict[str, Crops], settings: ClassifierSettings, tmp_path: Path
) -> None:
    fit(crops, settings, checkpoint=tmp_path / "checkpoint.pt")
    with pytest.raises(BoxpaintError, match=r"of another training.*\n  seed: 1 before, 2 now"):
        fit(crops, settings, checkpoint=tmp_path / "checkpoint.pt", seed=2)


def test_patience_keeps_the_best_weights_not_the_last(crops: dict[str, Crops], settings: ClassifierSettings) -> None:
    patient = settings.model_copy(update={"validate_every": 2, "patience": 1, "steps": 40})
    model, history = fit(crops, patient)
    step, score = next(each for each in history.validations if each[0] == history.best_step)
    assert len(history.losses) < 40
    assert history.validations[-1][0] == step + 2
    assert score == max(value for _, value in history.validations)
    stopped, _ = fit(crops, patient.model_copy(update={"patience": None, "steps": 40}))
    assert any(not torch.equal(value, stopped.state_dict()[name]) for name, value in model.state_dict().items())


def test_a_training_that_breaks_down_is_said(crops: dict[str, Crops], settings: ClassifierSettings) -> None:
    model = build_classifier("small", crops["train"].classes, "none", seed=0)
    with torch.no_grad():
        model.network.fc.bias.fill_(float("nan"))
    batches = Batches(crops["train"], None, settings, side_px=64, seed=0)
    with pytest.raises(ModelError, match=r"loss became nan.*below 0\.003"):
        train(model, batches, settings, device=CPU, made_from={})
