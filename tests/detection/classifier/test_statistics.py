from __future__ import annotations

import numpy as np
import pytest

from detection.classifier.scores import confusions_by_picture, measure
from detection.classifier.statistics import Gain, bootstrap_gains, mcnemar

RNG = np.random.default_rng(0)
LABELS = RNG.integers(3, size=240)
PICTURES = [f"{number // 6:02d}" for number in range(240)]


def confusions(share_right: float, seed: int) -> np.ndarray:
    """Confusion counts of predictions of which so many are right."""
    rng = np.random.default_rng(seed)
    said = np.where(rng.random(240) < share_right, LABELS, (LABELS + 1) % 3)
    return confusions_by_picture(LABELS, said, PICTURES, 3)


def test_equal_arms_gain_nothing() -> None:
    arm = [confusions(0.7, 1), confusions(0.7, 2)]
    gains = bootstrap_gains(arm, arm, count=200, seed=0)
    for gain in (gains.accuracy, gains.macro_f1, *gains.recall, *gains.f1):
        assert (gain.value, gain.low, gain.high, gain.verdict) == (0, 0, 0, "no clear difference")


def test_a_clear_gain_is_called_one_and_its_mirror_a_loss() -> None:
    worse, better = [confusions(0.5, 1), confusions(0.6, 2)], [confusions(0.9, 3), confusions(0.95, 4)]
    gains = bootstrap_gains(worse, better, count=500, seed=0)
    values = [measure(np.stack(arm).sum(1)).accuracy.mean() for arm in (worse, better)]
    assert gains.accuracy.value == pytest.approx(values[1] - values[0])
    assert gains.accuracy.low < gains.accuracy.value < gains.accuracy.high
    assert gains.macro_f1.verdict == "better"
    assert bootstrap_gains(better, worse, count=500, seed=0).macro_f1.verdict == "worse"


def test_the_interval_is_that_of_a_plain_bootstrap() -> None:
    first, second = confusions(0.6, 1), confusions(0.8, 2)
    gain = bootstrap_gains([first], [second], count=4000, seed=0).accuracy
    drawn = np.random.default_rng(9).integers(len(first), size=(4000, len(first)))
    plain = [float(measure(second[row].sum(0)).accuracy - measure(first[row].sum(0)).accuracy) for row in drawn]
    assert (gain.low, gain.high) == pytest.approx(tuple(np.quantile(plain, [0.025, 0.975])), abs=0.01)


def test_pictures_are_the_units_not_crops() -> None:
    # Twenty copies of every crop in its picture say nothing new.
    first, second = confusions(0.6, 1), confusions(0.8, 2)
    once = bootstrap_gains([first], [second], count=500, seed=0).accuracy
    assert bootstrap_gains([20 * first], [20 * second], count=500, seed=0).accuracy == once


def test_a_class_without_crops_has_no_gain() -> None:
    counts = np.zeros((4, 2, 2), np.int64)
    counts[:, 0, 0] = 3
    gains = bootstrap_gains([counts], [counts], count=100, seed=0)
    assert gains.macro_f1.value == 0
    assert np.isnan(gains.recall[1].value)


@pytest.mark.parametrize(("low", "high", "verdict"), [(0.1, 0.2, "better"), (-0.1, 0.2, "no clear difference")])
def test_the_verdict_is_by_the_interval(low: float, high: float, verdict: str) -> None:
    assert Gain(value=0.1, low=low, high=high).verdict == verdict


def test_mcnemar_counts_only_what_differs() -> None:
    labels = np.zeros(12, np.int64)
    original = np.array([1] * 6 + [0] * 6)
    augmented = np.array([0] * 5 + [1] + [0] * 5 + [1])
    result = mcnemar(labels, original, augmented)
    assert (result.only_original, result.only_augmented) == (1, 5)
    # Six throws of a coin with one head or fewer, and as far on the other side: 2 * (1 + 6) / 64
    assert result.p_value == pytest.approx(14 / 64)
    assert mcnemar(labels, original, original).p_value == 1
