"""How to train, from a YAML file and options of the command line; the options win."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from detection.detectors.settings import FitSettings, ModelOptions
from generator.foundation.typed_yaml import Lines, Model, fill_model, read_yaml

DEFAULT_DETECTOR = "retinanet_small"
# Of the run that it refines: the shares of its steps and its rate, and how often to look at the validation pictures.
_STEPS_SHARE, _RATE_SHARE, _VALIDATIONS, _PATIENCE = 0.5, 0.1, 20, 5
_WARMUP_SHARE = 0.05
# Of a short run's steps, at most, where no warm-up is asked for.
_LONGEST_WARMUP = 0.25


class TrainConfig(FitSettings, ModelOptions):
    """All keys of a file for `boxpaint train detector`: those of FitSettings and ModelOptions, and the detector."""

    detector: str = DEFAULT_DETECTOR

    @property
    def settings(self) -> FitSettings:
        """How to train."""
        return FitSettings(**{name: getattr(self, name) for name in FitSettings.model_fields})

    @property
    def options(self) -> ModelOptions:
        """Which member of the detector's family, at which size."""
        return ModelOptions(**{name: getattr(self, name) for name in ModelOptions.model_fields})


def read_config(model: type[Model], file: Path | None, options: Mapping[str, Any], defaults: Model) -> Model:
    """What the options of the command line say, else a YAML file, else `defaults`; None is an option not given.

    Raises ConfigError naming the line of the file, or the option, of what cannot be used.
    """
    chosen = _of_file(model, file) if file is not None else {}
    given = {name: value for name, value in options.items() if value is not None}
    chosen |= fill_model(model, given, file="the command line", lines=Lines()).model_dump(exclude_unset=True)
    return model.model_validate({**defaults.model_dump(), **chosen})


def read_train_config(file: Path | None, options: Mapping[str, Any], defaults: TrainConfig) -> TrainConfig:
    """As `read_config`, with a warm-up that fits the steps asked for, where none is asked for."""
    steps = read_config(TrainConfig, file, options, defaults).steps
    warmup = min(defaults.warmup_steps, round(steps * _LONGEST_WARMUP))
    return read_config(TrainConfig, file, options, defaults.model_copy(update={"warmup_steps": warmup}))


def read_refine_config(
    file: Path | None, options: Mapping[str, Any], of_run: FitSettings, *, has_validation: bool
) -> FitSettings:
    """As `read_config`; by default as the run's settings, but half its steps, a tenth of its rate, and stopped early.

    The optimizer is AdamW whatever the run had, and its backbone is trained: both are asked for by name.
    """
    half = of_run.model_copy(update={"steps": max(1, round(of_run.steps * _STEPS_SHARE))})
    steps = read_config(FitSettings, file, options, half).steps
    changes = {
        "steps": steps,
        "optimizer": "adamw",
        "learning_rate": of_run.learning_rate * _RATE_SHARE,
        "warmup_steps": min(of_run.warmup_steps, round(steps * _WARMUP_SHARE)),
        "freeze_backbone": False,
        "start_share": 0.0,
        "validate_every": max(1, steps // _VALIDATIONS),
        "patience": _PATIENCE if has_validation else None,
    }
    return read_config(FitSettings, file, options, of_run.model_copy(update=changes))


def _of_file(model: type[BaseModel], file: Path) -> dict[str, Any]:
    data, lines = read_yaml(file)
    return fill_model(model, data, file=str(file), lines=lines).model_dump(exclude_unset=True)
