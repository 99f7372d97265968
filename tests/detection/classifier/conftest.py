from __future__ import annotations

from pathlib import Path

import pytest

from detection.classifier.settings import ClassifierSettings
from tests.detection.discs import disc_splits


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real discs in the splits train (9 pictures), val (6) and test (6)."""
    folder = tmp_path_factory.mktemp("discs")
    disc_splits(folder, {"train": 9, "val": 6, "test": 6}, seed=1)
    return folder


@pytest.fixture(scope="session")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other discs, that stand for painted ones."""
    folder = tmp_path_factory.mktemp("painted")
    disc_splits(folder, {"train": 9}, seed=2, prefix="painted")
    return folder


@pytest.fixture()
def settings() -> ClassifierSettings:
    """A training of a second."""
    return ClassifierSettings(
        model="small",
        steps=6,
        batch_size=9,
        seeds=2,
        warmup_steps=1,
        validate_every=3,
        checkpoint_every=2,
        bootstrap=100,
    )
