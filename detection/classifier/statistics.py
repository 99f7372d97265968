"""Is the gain more than luck? Intervals over test pictures and seeds (see intervals.py), and McNemar's test.

Pictures are drawn, not crops: crops of one photo share its light and stain. McNemar 1947,
https://doi.org/10.1007/BF02295996, in its exact binomial form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from detection.classifier.scores import Measures, measure
from detection.proof.statistics import Interval, difference
from generator.foundation.seeds import derive_rng

# Pictures times resamples in memory at a time.
_BLOCK = 2**22


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
    seeds, pictures, classes = arms[0].shape[:3]
    values = [measure(arm.sum(1)) for arm in arms]
    rng = derive_rng(seed)
    drawn: list[list[Measures]] = [[], []]
    block = max(1, _BLOCK // max(pictures, 1))
    for start in range(0, count, block):
        size = min(block, count - start)
        weights = rng.multinomial(pictures, np.full(pictures, 1 / pictures), size=size).astype(float)
        for arm, found in zip(arms, drawn, strict=True):
            sums = np.stack([weights @ one.reshape(pictures, -1) for one in arm])
            found.append(measure(sums.reshape(seeds, size, classes, classes)))

    def gain(name: str) -> list[Interval]:
        before, after = (getattr(each, name).reshape(seeds, -1) for each in values)
        resampled = [
            np.concatenate([getattr(part, name).mean(0).reshape(part.accuracy.shape[1], -1) for part in found])
            for found in drawn
        ]
        return [
            difference(after[:, k], before[:, k], resampled[1][:, k], resampled[0][:, k]) for k in range(after.shape[1])
        ]

    return Gains(
        accuracy=gain("accuracy")[0], macro_f1=gain("macro_f1")[0], recall=tuple(gain("recall")), f1=tuple(gain("f1"))
    )


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
