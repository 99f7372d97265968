"""Cells with numbers made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detection.experiment.config import Arm
from detection.experiment.results import Cell

DRAWS = 400


def cell(
    arm: Arm,
    of_category: Sequence[Sequence[float]],
    *,
    number: int = 3,
    painted: int = 0,
    luck: np.ndarray | float = 0.0,
) -> Cell:
    """A cell whose AP of each subset and category is given; on drawing b of the pictures all are higher by luck[b]."""
    ap = np.array(of_category, float)
    resampled = np.repeat(ap[:, None, :], DRAWS, axis=1) + np.broadcast_to(luck, (DRAWS,))[None, :, None]
    return Cell(
        arm=arm,
        number=number,
        painted=painted,
        ap=ap.mean(axis=1),
        ap50=ap.mean(axis=1) + 0.1,
        ap_of_category=ap,
        resampled=resampled,
    )
