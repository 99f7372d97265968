"""What run.json says of the models and the machine."""

from __future__ import annotations

import pytest

from generator.config import Config
from generator.foundation.errors import ModelError
from generator.painting.describe import describe_models


def test_what_decides_the_last_bit_is_said(tiny_config: dict[str, object]) -> None:
    described = describe_models(Config.load(**tiny_config, dtype="float32"), threads=3)
    assert described["device"].startswith("cpu (")
    assert described["inpaint"].endswith(", float32")
    assert (described["batch_size"], described["threads"]) == ("2", "3")
    assert described["inpaint"] != described["background"]
    assert "clip" not in described


def test_who_looks_at_pictures_is_said_where_somebody_does() -> None:
    assert describe_models(Config(), threads=1)["clip"].startswith("sha256:")
    assert "clip" not in describe_models(Config(labels={"verify": False}), threads=1)


def test_a_device_that_is_not_there_is_one_message() -> None:
    with pytest.raises(ModelError, match="'cuda:7' cannot be used on this machine"):
        describe_models(Config(device="cuda:7"), threads=1)
