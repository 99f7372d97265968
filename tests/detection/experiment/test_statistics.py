from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detection.experiment.results import Cell, Gain, best_of, gain_of, share_of
from detection.experiment.verdict import verdict
from tests.detection.experiment.cells import DRAWS, cell

# What a drawing of the test pictures does to every arm alike: the gain must not feel it.
LUCK = np.linspace(-0.1, 0.1, DRAWS)
# Student's t at 97.5 % for 1, 2, 3 and 4 degrees of freedom, as any table has it.
T1, T2, T4 = 12.706, 4.303, 2.776


def test_mean_and_spread_over_subsets() -> None:
    made = cell("real", [[0.2, 0.6], [0.4, 0.8]])
    assert made.mean == pytest.approx(0.5)
    assert made.spread == pytest.approx(0.1 * 2**0.5)  # .4 and .6
    assert np.isnan(cell("real", [[0.2, 0.6]]).spread)


def test_a_gain_is_paired_over_pictures_and_subsets() -> None:
    base = cell("real", [[0.2, 0.6], [0.4, 0.8]], luck=LUCK)
    better = cell("refined", [[0.3, 0.6], [0.5, 0.8]], luck=LUCK)
    gain = gain_of(better, base)
    assert (gain.arm, gain.baseline, gain.number) == ("refined", "real", 3)
    for found, value in ((gain.whole, 0.05), (gain.of_category[0], 0.1), (gain.of_category[1], 0.0)):
        assert (found.value, found.low, found.high) == pytest.approx((value, value, value))
    assert gain.whole.sign == 1


def test_luck_of_the_subsets_alone() -> None:
    # Gains of .0, .1 and .2: their variance is .01, the mean's error sqrt(.01 / 3).
    arm, base = cell("refined", [[0.5], [0.6], [0.7]]), cell("real", [[0.5]] * 3)
    gain = gain_of(arm, base)
    half = T2 * 0.1 / 3**0.5
    assert (gain.whole.low, gain.whole.high) == pytest.approx((0.1 - half, 0.1 + half), abs=1e-4)
    assert gain.whole.sign == 0  # although no subset lost


def test_luck_of_the_pictures_is_added_as_a_variance() -> None:
    arm = cell("refined", [[0.6], [0.6], [0.7], [0.7], [0.8]], luck=LUCK)
    gain = gain_of(arm, cell("real", [[0.5]] * 5))
    # Over subsets .1, .1, .2, .2, .3: variance .007; over pictures that of LUCK
    half = T4 * (0.007 / 5 + LUCK.var(ddof=1)) ** 0.5
    assert (gain.whole.value, gain.whole.high) == pytest.approx((0.18, 0.18 + half), abs=1e-4)


def test_arms_with_other_numbers_of_subsets_add_their_own_luck() -> None:
    gain = gain_of(cell("refined", [[0.4], [0.6], [0.8]]), cell("real", [[0.5], [0.7]]))
    half = T1 * (0.04 / 3 + 0.02 / 2) ** 0.5
    assert (gain.whole.value, gain.whole.high) == pytest.approx((0.0, half), rel=1e-3)
    assert gain.whole.subsets == 2


def test_a_single_training_has_no_interval() -> None:
    gain = gain_of(cell("refined", [[0.9]]), cell("real", [[0.1]])).whole
    assert gain.value == pytest.approx(0.8)
    assert np.isnan([gain.low, gain.high]).all()
    assert gain.sign == 0


def test_a_drawing_without_objects_of_a_category_counts_the_others() -> None:
    made = cell("real", [[0.2, 0.6], [0.2, 0.6]], luck=LUCK)
    resampled = made.resampled.copy()
    resampled[:, :, 1] = np.nan
    gain = gain_of(replace(made, resampled=resampled), cell("real", [[0.2, 0.6]] * 2))
    # The mean over categories is now that of the first alone.
    assert gain.whole.error == pytest.approx((LUCK + 0.2 - 0.4).std(ddof=1))
    assert np.isnan(gain.of_category[1].low)
    assert gain.of_category[1].sign == 0


def test_share_of_another_arm() -> None:
    share = share_of(cell("synthetic", [[0.4], [0.4]], number=0), cell("real", [[0.5], [0.5]], number=9))
    assert share is not None
    assert (share.value, share.low, share.high) == pytest.approx((0.8, 0.8, 0.8))
    assert share_of(cell("synthetic", [[0.4]]), cell("real", [[0.0]])) is None


def test_a_share_does_not_feel_luck_that_lifts_both_alike() -> None:
    # a = .4, .3, .5 of b = .5, once with it: a / b is .8, and a_k - .8 b_k is .0, -.1 and .1
    share = share_of(cell("synthetic", [[0.4], [0.3], [0.5]], number=0), cell("real", [[0.5]] * 3))
    assert share is not None
    assert share.error == pytest.approx(0.1 / 3**0.5 / 0.5)
    parallel = share_of(cell("synthetic", [[0.4], [0.32], [0.48]]), cell("real", [[0.5], [0.4], [0.6]]))
    assert parallel is not None
    assert parallel.error == pytest.approx(0)


def test_the_hardest_baseline_has_the_highest_mean() -> None:
    strong = cell("copy_paste", [[0.5], [0.6]])
    assert best_of([cell("real", [[0.9], [0.1]]), strong]) is strong


@pytest.mark.parametrize("subsets", [2, 3, 5])
def test_equal_arms_are_seldom_told_apart(subsets: int) -> None:
    found = [_null_gain(subsets, trial).whole.sign != 0 for trial in range(600)]
    assert np.mean(found) <= 0.07


def test_four_numbers_together_seldom_claim_what_is_not_there() -> None:
    lines = [
        verdict([_null_gain(3, 4 * trial + number, number=number) for number in range(1, 5)], photos=36, total=99)
        for trial in range(300)
    ]
    assert all(line.startswith(("No gain", "Painted images raise")) for line in lines)
    assert np.mean(["no clear difference in mAP" not in line for line in lines]) <= 0.07


def _null_gain(subsets: int, trial: int, number: int = 3) -> Gain:
    """Two equal arms: luck of each subset and arm, and of 36 test pictures, which both arms share in part."""
    rng = np.random.default_rng([subsets, trial])
    pictures = rng.normal(0, 0.2, 36)
    weights = rng.multinomial(36, np.full(36, 1 / 36), size=100) / 36

    def arm(name: str) -> Cell:
        of_picture = 0.5 + pictures + rng.normal(0, 0.03, (subsets, 1)) + rng.normal(0, 0.05, (subsets, 36))
        ap = of_picture.mean(axis=1)
        resampled = (of_picture @ weights.T)[:, :, None]
        plain = cell("refined" if name == "refined" else "real", [[each] for each in ap], number=number)
        return replace(plain, resampled=resampled)

    return gain_of(arm("refined"), arm("real"))
