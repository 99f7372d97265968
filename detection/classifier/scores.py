"""How good predictions are, and whether a gain is more than luck: confusion counts are all that is needed.

Intervals hold the luck of test pictures and of seeds (detection/proof/statistics.py). Pictures are drawn, not crops:
crops of one photo share its light and stain. McNemar 1947, https://doi.org/10.1007/BF02295996, exact binomial form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from detection.proof.statistics import Interval, difference
from generator.foundation.seeds import derive_rng

AVERAGES = ("precision", "recall", "f1")
# Pictures times resamples in memory at a time.
_BLOCK = 2**22


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of confusion counts (..., K, K), rows are the truth, as scikit-learn has them with zero_division=0.

    `precision`, `recall`, `f1`: (..., K), NaN for a class without crops, which averages leave out.

    >>> float(Scores(np.array([[3, 1], [0, 4]])).accuracy)
    0.875
    """

    confusion: np.ndarray

    @property
    def accuracy(self) -> np.ndarray:
        """Share of crops that are right, (...,)."""
        return self._right.sum(-1) / self._truth.sum(-1)

    @property
    def precision(self) -> np.ndarray:
        """Of what was said to be of a class, the share that is, (..., K)."""
        return np.where(self._truth > 0, self._right / np.maximum(self.confusion.sum(-2), 1), np.nan)

    @property
    def recall(self) -> np.ndarray:
        """Of the crops of a class, the share that was found, (..., K)."""
        with np.errstate(invalid="ignore"):
            return self._right / self._truth

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean of precision and recall, (..., K)."""
        with np.errstate(invalid="ignore"):
            return np.where(self._truth > 0, 2 * self._right / (self._truth + self.confusion.sum(-2)), np.nan)

    @property
    def macro(self) -> np.ndarray:
        """Mean over the classes of each of AVERAGES, (..., 3)."""
        known = (self._truth > 0).sum(-1)
        return np.stack([np.nansum(getattr(self, name), -1) / known for name in AVERAGES], -1)

    @property
    def weighted(self) -> np.ndarray:
        """The same, each class weighted by its crops."""
        weights, total = self._truth, self._truth.sum(-1)
        return np.stack([np.nansum(getattr(self, name) * weights, -1) / total for name in AVERAGES], -1)

    @property
    def macro_f1(self) -> np.ndarray:
        """Mean F1 of the classes, (...,)."""
        return self.macro[..., AVERAGES.index("f1")]

    @property
    def _right(self) -> np.ndarray:
        return np.diagonal(self.confusion, axis1=-2, axis2=-1).astype(float)

    @property
    def _truth(self) -> np.ndarray:
        return self.confusion.sum(-1).astype(float)


def confusions_by_picture(
    labels: np.ndarray, predicted: np.ndarray, pictures: Sequence[str], num_classes: int
) -> np.ndarray:
    """Confusion counts (P, K, K) of each picture, in the order of their names; rows are the truth."""
    names, index = np.unique(np.array(pictures), return_inverse=True)
    counts = np.zeros((len(names), num_classes, num_classes), np.int64)
    np.add.at(counts, (index, labels, predicted), 1)
    return counts


def score_predictions(labels: np.ndarray, probabilities: np.ndarray, num_classes: int) -> Scores:
    """Score probabilities (N, K) against labels (N,), N at least 1."""
    return Scores(confusions_by_picture(labels, probabilities.argmax(1), [""] * len(labels), num_classes)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Gains:
    """What the augmented arm has more than the original one in each score, mean over seeds; of classes in order."""

    accuracy: Interval
    macro_f1: Interval
    recall: tuple[Interval, ...]
    f1: tuple[Interval, ...]


def bootstrap_gains(original: Sequence[np.ndarray], augmented: Sequence[np.ndarray], *, count: int, seed: int) -> Gains:
    """Resample test pictures `count` times, the same ones for both arms and all seeds.

    `original`, `augmented`: for each seed confusion counts (P, K, K) of the same pictures. Scores are averaged over the
    seeds before they are compared. A class without crops has NaN.
    """
    arms = [np.stack(arm) for arm in (original, augmented)]
    whole = [Scores(arm.sum(1)) for arm in arms]
    drawn = [Scores(arm) for arm in _draw(arms, count, derive_rng(seed))]

    def gain(name: str) -> tuple[Interval, ...]:
        before, after = (getattr(each, name).reshape(len(arms[0]), -1) for each in whole)
        lucky_before, lucky_after = (getattr(each, name).mean(0).reshape(count, -1) for each in drawn)
        return tuple(
            difference(after[:, k], before[:, k], lucky_after[:, k], lucky_before[:, k]) for k in range(after.shape[1])
        )

    return Gains(accuracy=gain("accuracy")[0], macro_f1=gain("macro_f1")[0], recall=gain("recall"), f1=gain("f1"))


def _draw(arms: Sequence[np.ndarray], count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Confusion counts (S, P, K, K) of arms -> those of drawings of their pictures, (S, count, K, K)."""
    seeds, pictures, classes = arms[0].shape[:3]
    drawn: list[list[np.ndarray]] = [[] for _ in arms]
    block = max(1, _BLOCK // max(pictures, 1))
    for start in range(0, count, block):
        size = min(block, count - start)
        weights = rng.multinomial(pictures, np.full(pictures, 1 / pictures), size=size).astype(float)
        for arm, found in zip(arms, drawn, strict=True):
            found.append(np.stack([weights @ one.reshape(pictures, -1) for one in arm]))
    return [np.concatenate(found, axis=1).reshape(seeds, count, classes, classes) for found in drawn]


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """Crops that only one of two models got right, and the probability of so uneven a split by chance (two-sided)."""

    only_original: int
    only_augmented: int
    p_value: float


def mcnemar(labels: np.ndarray, original: np.ndarray, augmented: np.ndarray) -> McNemar:
    """Compare the predictions (N,) of two models of one seed."""
    right, other = original == labels, augmented == labels
    first, second = int((right & ~other).sum()), int((other & ~right).sum())
    p_value = float(binomtest(first, first + second, 0.5).pvalue) if first + second else 1.0
    return McNemar(only_original=first, only_augmented=second, p_value=p_value)
