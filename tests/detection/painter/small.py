"""A painter that was trained for a few steps on drawn photos: it knows next to nothing, and has all its parts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import yaml

from detection.datasets.sources import read_source
from detection.painter import training
from detection.painter.run import PainterResult, train_painter
from detection.painter.settings import Listener, PainterSettings
from tests.conftest import made_once
from tests.detection.discs import disc_splits

SETTINGS = {
    **{"steps": 3, "vae_steps": 3, "clip_steps": 2, "batch_size": 2, "side": 64, "samples": 1, "validate_every": 2},
    "scene": "an empty place",
}


def few_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure held-out figures on few samples: that takes longer than so few steps. No setting of a training."""
    for name, count in {"HELD_OUT_SAMPLES": 2, "MEASURED_PICTURES": 2, "GRAIN_PICTURES": 1, "CLIP_BATCH": 8}.items():
        monkeypatch.setattr(training, name, count)


def train(folder: Path, out: Path, listener: Listener | None = None) -> PainterResult:
    """Train on the photos of a folder, as `boxpaint train painter --real FOLDER/photos --config ...` does."""
    settings = PainterSettings.model_validate(SETTINGS)
    photos = read_source(str(folder / "photos"), "real").data
    return train_painter(photos, out, settings, device=torch.device("cpu"), listener=listener)


def small_painter(factory: pytest.TempPathFactory) -> Path:
    """A folder with photos/, settings.yaml and painter/, trained without a stop."""

    def make(folder: Path) -> None:
        disc_splits(folder / "photos", {"train": 6, "val": 2}, seed=1)
        (folder / "settings.yaml").write_text(yaml.safe_dump(SETTINGS))
        with pytest.MonkeyPatch.context() as patch:
            few_figures(patch)
            train(folder, folder / "painter")

    return made_once(factory, "small_painter", make)


def copy_of(small: Path, to: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(small, to, dirs_exist_ok=True))
