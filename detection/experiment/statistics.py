"""Means, spreads and gains of what the jobs scored, AP in [0, 1]; intervals.py says what an interval holds.

Subset k holds the same pictures in each arm, so that differences are paired. Where two arms have unequally many,
s^2 / S is the sum of both arms' own, and S the smaller number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from detection.experiment.config import Arm
from detection.intervals import Interval, paired_interval, variance

MIN_SUBSETS = 3
"""Fewer trainings carry no claim: two have t = 12.7, and one has no spread at all."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """All trainings of one arm with one number of real pictures.

    `measured`: real pictures that the boxes of painted ones were scaled on. `ap`, `ap50`: (S,) of each subset on the
    test pictures; `ap_of_category`: (S, K); `resampled`: (S, B, K), AP of each category on each drawing of the test
    pictures; NaN where there is nothing to find.
    """

    arm: Arm
    number: int
    painted: int
    measured: int = 0
    ap: np.ndarray
    ap50: np.ndarray
    ap_of_category: np.ndarray
    resampled: np.ndarray

    @property
    def mean(self) -> float:
        """Mean AP over the subsets."""
        return float(self.ap.mean())

    @property
    def spread(self) -> float:
        """Standard deviation of the AP over the subsets; NaN for a single one."""
        return float(self.ap.std(ddof=1)) if len(self.ap) > 1 else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """How much better one arm is than another at one number of real pictures: of all categories, and of each."""

    arm: Arm
    baseline: Arm
    number: int
    whole: Interval
    of_category: tuple[Interval, ...]


def gain_of(cell: Cell, baseline: Cell) -> Gain:
    """Compare an arm with another one, paired over test pictures and subsets."""
    return Gain(
        arm=cell.arm,
        baseline=baseline.arm,
        number=cell.number,
        whole=_difference(cell.ap, baseline.ap, _drawn(cell), _drawn(baseline)),
        of_category=tuple(
            _difference(
                cell.ap_of_category[:, number],
                baseline.ap_of_category[:, number],
                cell.resampled[:, :, number].mean(axis=0),
                baseline.resampled[:, :, number].mean(axis=0),
            )
            for number in range(cell.ap_of_category.shape[1])
        ),
    )


def share_of(cell: Cell, whole: Cell) -> Interval | None:
    """AP of one arm as a share of another's, with its interval; None where the other has found nothing at all.

    The error of a / b is that of a / b - (a' / b') b / b' at the values a', b' that were found (the delta method).
    """
    if whole.mean == 0:
        return None
    share, scale = cell.mean / whole.mean, 1 / whole.mean
    error = _difference(cell.ap * scale, whole.ap * share * scale, _drawn(cell) * scale, _drawn(whole) * share * scale)
    return replace(error, value=share)


def best_of(cells: Sequence[Cell]) -> Cell:
    """The arm with the highest mean: of baselines, the hardest to beat."""
    return max(cells, key=lambda cell: cell.mean)


def _difference(first: np.ndarray, second: np.ndarray, drawn: np.ndarray, other_drawn: np.ndarray) -> Interval:
    """Mean of `first` (S,) less that of `second` (T,); their means on each drawing of the pictures are (B,)."""
    if len(first) == len(second):
        return paired_interval(first - second, drawn - other_drawn)
    of_subsets = variance(first) / len(first) + variance(second) / len(second)
    return Interval(
        value=float(first.mean() - second.mean()),
        error=math.sqrt(variance(drawn - other_drawn) + of_subsets),
        subsets=min(len(first), len(second)),
    )


def _drawn(cell: Cell) -> np.ndarray:
    """AP over categories and subsets on each drawing, (B,); a drawing without any object counts as 0."""
    ap = cell.resampled.mean(axis=0)
    known = ~np.isnan(ap)
    return np.asarray(np.where(known, ap, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1))
