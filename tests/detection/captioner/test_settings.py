"""Settings, and when a training is over."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

from boxpaint.cli.captioner import captioner
from detection.captioner.settings import CaptionerSettings, EpochLoss, best_epoch, is_over
from generator.foundation.errors import BoxpaintError


@pytest.mark.parametrize(
    ("val", "best", "over"),
    [
        ([], 0, False),
        ([2.0], 1, False),
        ([2.0, 2.1], 1, False),
        ([2.0, 2.1, 2.0], 1, True),  # two epochs without a lower loss
        ([2.0, 2.1, 1.9], 3, False),
        ([2.0, 1.9, 1.8, 1.7, 1.6], 5, True),  # all epochs
    ],
)
def test_it_stops_early(val: list[float], best: int, over: bool) -> None:
    losses = [EpochLoss(epoch=number, train=1.0, val=value) for number, value in enumerate(val, start=1)]
    assert best_epoch(losses) == best
    assert is_over(losses, CaptionerSettings(epochs=5, patience=2)) is over


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("val_share", 0.0),
        ("val_share", 1.0),
        ("patience", 0),
        ("max_tokens", 2),
        ("seed", -1),
        ("weight_decay", 1.0),
    ],
)
def test_settings_that_cannot_be_used_are_named(name: str, value: float) -> None:
    with pytest.raises(BoxpaintError, match=f"{name}: found {value}"):
        dataclasses.replace(CaptionerSettings(), **{name: value})


def test_every_setting_is_an_option_or_the_librarys() -> None:
    names = {field.name for field in dataclasses.fields(CaptionerSettings)}
    assert names - set(inspect.signature(captioner).parameters) == {"max_tokens", "weight_decay"}
