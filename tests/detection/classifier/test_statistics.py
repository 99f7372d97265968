from __future__ import annotations

import numpy as np
import pytest

from detection.classifier.scores import confusions_by_picture, measure
from detection.classifier.statistics import bootstrap_gains, mcnemar

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
        assert (gain.value, gain.low, gain.high, gain.sign) == (0, 0, 0, 0)


def test_a_clear_gain_is_called_one_and_its_mirror_a_loss() -> None:
    worse = [confusions(share, seed) for seed, share in enumerate((0.5, 0.6, 0.55))]
    better = [confusions(share, seed) for seed, share in enumerate((0.9, 0.95, 0.93), start=3)]
    gains = bootstrap_gains(worse, better, count=500, seed=0)
    values = [measure(np.stack(arm).sum(1)).accuracy.mean() for arm in (worse, better)]
    assert gains.accuracy.value == pytest.approx(values[1] - values[0])
    assert gains.accuracy.low < gains.accuracy.value < gains.accuracy.high
    assert gains.macro_f1.sign == 1
    assert bootstrap_gains(better, worse, count=500, seed=0).macro_f1.sign == -1


def test_the_luck_of_pictures_is_that_of_a_plain_bootstrap() -> None:
    first, second = confusions(0.6, 1), confusions(0.8, 2)
    # Seeds that agree add no luck of their own.
    gain = bootstrap_gains([first, first], [second, second], count=4000, seed=0).accuracy
    drawn = np.random.default_rng(9).integers(len(first), size=(4000, len(first)))
    plain = [float(measure(second[row].sum(0)).accuracy - measure(first[row].sum(0)).accuracy) for row in drawn]
    assert gain.error == pytest.approx(np.std(plain), rel=0.05)


def test_seeds_that_disagree_make_the_interval_wider() -> None:
    before = [confusions(0.6, seed) for seed in range(4)]
    alike = [confusions(0.8, seed) for seed in range(4, 8)]
    apart = [confusions(share, seed) for share, seed in ((0.62, 4), (0.98, 5), (0.65, 6), (0.95, 7))]
    narrow, wide = (bootstrap_gains(before, after, count=500, seed=0).macro_f1 for after in (alike, apart))
    assert (narrow.sign, wide.sign) == (1, 0)
    assert wide.error > 3 * narrow.error


def test_one_seed_has_a_gain_and_no_interval() -> None:
    gain = bootstrap_gains([confusions(0.5, 1)], [confusions(0.9, 2)], count=100, seed=0).accuracy
    assert gain.value > 0.3
    assert np.isnan(gain.low)
    assert gain.sign == 0


def test_pictures_are_the_units_not_crops() -> None:
    # Twenty copies of every crop in its picture say nothing new.
    first, second = [confusions(0.6, 1), confusions(0.65, 3)], [confusions(0.8, 2), confusions(0.75, 4)]
    once = bootstrap_gains(first, second, count=500, seed=0).accuracy
    many = bootstrap_gains([20 * each for each in first], [20 * each for each in second], count=500, seed=0).accuracy
    assert (many.low, many.high) == pytest.approx((once.low, once.high))


def test_a_class_without_crops_has_no_gain() -> None:
    counts = np.zeros((4, 2, 2), np.int64)
    counts[:, 0, 0] = 3
    gains = bootstrap_gains([counts], [counts], count=100, seed=0)
    assert gains.macro_f1.value == 0
    assert np.isnan(gains.recall[1].value)


def test_mcnemar_counts_only_what_differs() -> None:
    labels = np.zeros(12, np.int64)
    original = np.array([1] * 6 + [0] * 6)
    augmented = np.array([0] * 5 + [1] + [0] * 5 + [1])
    result = mcnemar(labels, original, augmented)
    assert (result.only_original, result.only_augmented) == (1, 5)
    # Six throws of a coin with one head or fewer, and as far on the other side: 2 * (1 + 6) / 64
    assert result.p_value == pytest.approx(14 / 64)
    assert mcnemar(labels, original, original).p_value == 1
