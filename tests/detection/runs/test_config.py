from pathlib import Path

import pytest

from detection.detectors.settings import FitSettings, ModelOptions
from detection.runs.config import TrainConfig, read_config, read_refine_config, read_train_config
from generator.foundation.errors import ConfigError


def test_options_win_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "train.yaml"
    file.write_text("steps: 7\nbatch_size: 3\ninput_wh: [64, 48]\ndetector: ssdlite\n")
    config = read_config(TrainConfig, file, {"steps": 9, "batch_size": None}, TrainConfig())
    assert config.detector == "ssdlite"
    assert config.settings == FitSettings(steps=9, batch_size=3)
    assert config.options == ModelOptions(input_wh=(64, 48))
    assert read_config(TrainConfig, None, {}, TrainConfig(steps=4)).settings == FitSettings(steps=4)


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("stpes: 7\n", {}, ["train.yaml:1", "did you mean 'steps'?"]),
        ("seed: 1\n\nbatch_size: 0\n", {}, ["train.yaml:3", "'batch_size'", "'0'"]),
        ("", {"learning_rate": 11.0}, ["the command line", "learning_rate", "11.0"]),
        ("", {"input_wh": [8, 8]}, ["the command line", "input_wh", "32"]),
        ("steps 7\n", {}, ["train.yaml:1", "a mapping is needed"]),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, options: dict[str, object], words: list[str]) -> None:
    file = tmp_path / "train.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_config(TrainConfig, file, options, TrainConfig())
    for word in words:
        assert word in str(caught.value)


def test_refining_is_gentle() -> None:
    of_run = FitSettings(
        steps=1000,
        optimizer="sgd",
        learning_rate=0.02,
        batch_size=4,
        warmup_steps=200,
        freeze_backbone=True,
        vertical_flip=True,
    )
    assert read_refine_config(None, {}, of_run, has_validation=True) == FitSettings(
        steps=500,
        optimizer="adamw",
        learning_rate=0.002,
        batch_size=4,
        warmup_steps=25,
        vertical_flip=True,
        validate_every=25,
        patience=5,
    )
    short = read_refine_config(None, {}, FitSettings(steps=1), has_validation=False)
    assert (short.steps, short.validate_every, short.warmup_steps, short.patience) == (1, 1, 0, None)


def test_refining_goes_by_the_steps_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "refine.yaml"
    file.write_text("steps: 100\n")
    for options, steps, every, warmup in (({"steps": 40}, 40, 2, 2), ({}, 100, 5, 5), ({"warmup_steps": 9}, 100, 5, 9)):
        settings = read_refine_config(file, options, FitSettings(steps=2000), has_validation=True)
        assert (settings.steps, settings.validate_every, settings.warmup_steps) == (steps, every, warmup)


@pytest.mark.parametrize(
    ("options", "warmup"),
    [({}, 50), ({"steps": 200}, 50), ({"steps": 40}, 10), ({"steps": 40, "warmup_steps": 39}, 39)],
)
def test_the_warm_up_is_a_part_of_a_short_training(options: dict[str, int], warmup: int) -> None:
    assert read_train_config(None, options, TrainConfig()).warmup_steps == warmup
