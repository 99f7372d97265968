from __future__ import annotations

import inspect

import pytest
from pydantic import ValidationError

from boxpaint.cli.captioner import captioner
from detection.captioner.settings import CaptionerSettings


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
    with pytest.raises(ValidationError, match=name):
        CaptionerSettings.model_validate({name: value})


def test_every_setting_is_an_option_or_the_librarys() -> None:
    names = set(CaptionerSettings.model_fields)
    assert names - set(inspect.signature(captioner).parameters) == {"max_tokens", "weight_decay"}
