from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from detection.experiment.config import Arm
from detection.experiment.results import Cell
from tests.detection.discs import disc_splits

DRAWS = 400
OWN: dict[str, Any] = {"data": "painted", "background": "b.csv", "classes": "c.csv", "num_images": 5, "tuned": {}}
"""Of `synthetic`, what arms need whose painted pictures know their real ones."""
TUNED = {"kind": "refined", "painter": "tuned"}
IN_PHOTOS = {"kind": "synthetic", "scenes": "photos"}


def settings(**changes: Any) -> dict[str, Any]:
    """A tiny experiment on discs, as its YAML says it; its data lies beside the file."""
    return {
        "real": {"data": "real", "train": ["train", "val"], "test": "test"},
        "categories": ["red", "blue"],
        "synthetic": {"data": "painted", "boxes": "tight"},
        "detector": {"name": "retinanet_small", "input_wh": [64, 64]},
        "fit": {"steps": 10, "batch_size": 4, "learning_rate": 0.004, "warmup_steps": 2, "checkpoint_every": 4},
        "refine": {"steps": 4},
        "copy_paste": {"num_images": 3},
        "arms": ["real", "refined"],
        "real_images": [{"number": 2, "subsets": 2}, {"number": "all", "subsets": 2}],
        "synthetic_seeds": 2,
        "bootstrap": 100,
        **changes,
    }


def write_experiment(folder: Path, **changes: Any) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(settings(**changes)))
    return path


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with real/ (6 pictures to train with, 6 to score on) and painted/ (6 pictures)."""
    folder = tmp_path_factory.mktemp("discs")
    disc_splits(folder / "real", {"train": 3, "val": 3, "test": 6}, seed=1, prefix="real")
    disc_splits(folder / "painted", {"train": 4, "val": 2}, seed=2, prefix="painted")
    return folder


def cell(
    arm: Any,
    of_category: Sequence[Sequence[float]],
    *,
    number: int = 3,
    painted: int = 0,
    luck: np.ndarray | float = 0.0,
) -> Cell:
    """A cell of an arm, as a file says it, whose AP of each subset and category is given.

    On drawing b of the pictures all are higher by luck[b].
    """
    ap = np.array(of_category, float)
    resampled = np.repeat(ap[:, None, :], DRAWS, axis=1) + np.broadcast_to(luck, (DRAWS,))[None, :, None]
    return Cell(
        arm=Arm.model_validate(arm),
        number=number,
        painted=painted,
        ap=ap.mean(axis=1),
        ap50=ap.mean(axis=1) + 0.1,
        ap_of_category=ap,
        resampled=resampled,
    )
