"""The interval of a mean over trainings, scored on the same pictures. Pure functions.

Two things are luck: which test pictures there are, and which real pictures and seed a training got. The interval of a
value v, a mean over S trainings, holds the luck of both levels:

    v +- t * sqrt(V + s^2 / S)        t: quantile of Student's t with S - 1 degrees of freedom

V is the variance over bootstrap drawings of the test pictures (Efron and Tibshirani 1993, An Introduction to the
Bootstrap, chapter 6) of the mean over the trainings, the same drawings for all. s^2 is the variance over trainings; of
a difference between two arms that of the differences, paired. Why the luck of trainings belongs into it, and few of
them need t: Bouthillier et al. 2021, Accounting for Variance in Machine Learning Benchmarks (arXiv 2103.03098).

The sum errs on the wide side: part of V is in s^2, too. A percentile bootstrap over three to five trainings, in its
place, finds a difference between equal arms in every fourth to sixth experiment, since it takes the spread for known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t as student_t

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value, its standard error over pictures and `subsets` (trainings), and the range around it; NaN if unknown."""

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


def difference(first: np.ndarray, second: np.ndarray, drawn: np.ndarray, other_drawn: np.ndarray) -> Interval:
    """Mean of `first` (S,) less that of `second` (T,); their means on each drawing of the test pictures are (B,).

    Equally many trainings are pairs: number k of both saw the same real pictures. Else s^2 / S is the sum of both
    arms' own, and S the smaller number.
    """
    if len(first) == len(second):
        value, of_trainings = float((first - second).mean()), _variance(first - second) / len(first)
    else:
        value = float(first.mean() - second.mean())
        of_trainings = _variance(first) / len(first) + _variance(second) / len(second)
    error = math.sqrt(_variance(drawn - other_drawn) + of_trainings)
    return Interval(value=value, error=error, subsets=min(len(first), len(second)))


def spread(values: np.ndarray) -> float:
    """Standard deviation over trainings (S,); NaN for a single one."""
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def _variance(values: np.ndarray) -> float:
    """Of the numbers among `values`; NaN for fewer than two."""
    known = values[np.isfinite(values)]
    return float(known.var(ddof=1)) if len(known) > 1 else float("nan")
