"""Means, spreads and paired intervals of what the jobs scored. Pure functions; numbers are AP in [0, 1].

Two things are luck here: which test pictures there are, and which real pictures and seed a training got. The interval
of a value v, a mean over S subsets, holds the luck of both levels:

    v +- t * sqrt(V + s^2 / S)        t: quantile of Student's t with S - 1 degrees of freedom

V is the variance over bootstrap drawings of the test pictures (Efron and Tibshirani 1993, An Introduction to the
Bootstrap, chapter 6), of the mean over the subsets, the same drawings for all arms. s^2 is the variance over subsets of
the difference between two arms, paired, since subset k holds the same pictures in each; where they have unequally many,
s^2 / S is the sum of both arms' own, and S the smaller number. Why the luck of trainings belongs into it, and few of
them need t: Bouthillier et al. 2021, Accounting for Variance in Machine Learning Benchmarks (arXiv 2103.03098).

The sum errs on the wide side: part of V is in s^2, too. A percentile bootstrap over three to five subsets, in its
place, finds a difference between equal arms in every fourth to sixth experiment, since it takes the spread for known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t as student_t

from detection.experiment.config import Arm

CONFIDENCE = 0.95
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
class Interval:
    """A value, its standard error over pictures and `subsets`, and the range around it; NaN where it is unknown."""

    value: float
    error: float
    subsets: int
    confidence: float = CONFIDENCE

    @property
    def low(self) -> float:
        """Lower end."""
        return self.value - self._half

    @property
    def high(self) -> float:
        """Upper end."""
        return self.value + self._half

    @property
    def sign(self) -> int:
        """1 or -1 where zero lies outside of the interval, else 0."""
        return int(self.low > 0) - int(self.high < 0)

    def at(self, confidence: float) -> Interval:
        """The same value with a wider or narrower range."""
        return replace(self, confidence=confidence)

    @property
    def _half(self) -> float:
        if self.subsets < 2 or math.isnan(self.error):
            return float("nan")
        return float(student_t.ppf((1 + self.confidence) / 2, self.subsets - 1)) * self.error


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
        of_subsets = _variance(first - second) / len(first)
    else:
        of_subsets = _variance(first) / len(first) + _variance(second) / len(second)
    return Interval(
        value=float(first.mean() - second.mean()),
        error=math.sqrt(_variance(drawn - other_drawn) + of_subsets),
        subsets=min(len(first), len(second)),
    )


def _drawn(cell: Cell) -> np.ndarray:
    """AP over categories and subsets on each drawing, (B,); a drawing without any object counts as 0."""
    ap = cell.resampled.mean(axis=0)
    known = ~np.isnan(ap)
    return np.asarray(np.where(known, ap, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1))


def _variance(values: np.ndarray) -> float:
    """Of the numbers among `values`; NaN for fewer than two."""
    known = values[np.isfinite(values)]
    return float(known.var(ddof=1)) if len(known) > 1 else float("nan")
