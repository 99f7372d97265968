"""Means, spreads and paired intervals of what the jobs scored. Pure NumPy; numbers are AP in [0, 1].

Two things are luck here: which test pictures there are, and which real pictures and seed a training got. The bootstrap
draws both again (Efron and Tibshirani 1993, chapter 8): test pictures, the same ones for all arms, and subsets, the
same ones for the arms that are compared, since subset k holds the same pictures in each. With three to five subsets
the second part is an estimate on the low side, which the card says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detection.experiment.config import Arm
from generator.seeds import derive_rng

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """All trainings of one arm with one number of real pictures.

    `ap`, `ap50`: (S,) of each subset on the test pictures; `ap_of_category`: (S, K); `resampled`: (S, B, K), AP of
    each category on each drawing of the test pictures; NaN where there is nothing to find.
    """

    arm: Arm
    number: int
    painted: int
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
class Interval:
    """A value, and the range that holds 95 % of the bootstrap's."""

    value: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 or -1 where zero lies outside of the interval, else 0."""
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """How much better one arm is than another at one number of real pictures: of all categories, and of each."""

    arm: Arm
    baseline: Arm
    number: int
    whole: Interval
    of_category: tuple[Interval, ...]


def gain_of(cell: Cell, baseline: Cell, *, seed: int) -> Gain:
    """Compare an arm with another one, paired over test pictures and subsets."""
    drawn, drawn_base = _draw_subsets(cell, baseline, seed)
    difference = drawn - drawn_base
    categories = cell.ap_of_category.mean(axis=0) - baseline.ap_of_category.mean(axis=0)
    return Gain(
        arm=cell.arm,
        baseline=baseline.arm,
        number=cell.number,
        whole=_interval(cell.mean - baseline.mean, _over_categories(drawn) - _over_categories(drawn_base)),
        of_category=tuple(_interval(float(value), difference[:, number]) for number, value in enumerate(categories)),
    )


def interval_of(cell: Cell, *, seed: int) -> Interval:
    """The mean AP of an arm, with its interval."""
    drawn, _ = _draw_subsets(cell, cell, seed)
    return _interval(cell.mean, _over_categories(drawn))


def share_of(cell: Cell, whole: Cell, *, seed: int) -> Interval | None:
    """AP of one arm as a share of another's, with its interval; None where the other has found nothing at all."""
    if whole.mean == 0:
        return None
    drawn, drawn_whole = map(_over_categories, _draw_subsets(cell, whole, seed))
    return _interval(cell.mean / whole.mean, drawn[drawn_whole > 0] / drawn_whole[drawn_whole > 0])


def best_of(cells: Sequence[Cell]) -> Cell:
    """The arm with the highest mean: of baselines, the hardest to beat."""
    return max(cells, key=lambda cell: cell.mean)


def _draw_subsets(cell: Cell, other: Cell, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean over drawn subsets, AP of each category on each drawing: (B, K) of both.

    The same subsets are drawn where both arms have equally many, else those of each by themselves.
    """
    draws = cell.resampled.shape[1]
    first = derive_rng(seed, 0).integers(len(cell.ap), size=(len(cell.ap), draws))
    second = first
    if len(other.ap) != len(cell.ap):
        second = derive_rng(seed, 1).integers(len(other.ap), size=(len(other.ap), draws))
    number = np.arange(draws)
    return cell.resampled[first, number].mean(axis=0), other.resampled[second, number].mean(axis=0)


def _over_categories(ap: np.ndarray) -> np.ndarray:
    """Mean (B,) over the categories (B, K) that a drawing holds; a drawing without any object counts as 0."""
    known = ~np.isnan(ap)
    counts = np.maximum(known.sum(axis=1), 1)
    return np.where(known, ap, 0.0).sum(axis=1) / counts


def _interval(value: float, drawn: np.ndarray) -> Interval:
    tail = (1 - CONFIDENCE) / 2
    known = drawn[np.isfinite(drawn)]
    if not known.size:
        return Interval(value=value, low=float("nan"), high=float("nan"))
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(value=value, low=float(low), high=float(high))
