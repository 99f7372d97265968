from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detection.experiment.statistics import Interval, best_of, gain_of, interval_of, share_of
from tests.detection.experiment.cells import DRAWS, cell

# What a drawing of the test pictures does to every arm alike: the gain must not feel it.
LUCK = np.linspace(-0.1, 0.1, DRAWS)


def test_mean_and_spread_over_subsets() -> None:
    made = cell("real", [[0.2, 0.6], [0.4, 0.8]])
    assert made.mean == pytest.approx(0.5)
    assert made.spread == pytest.approx(0.1 * 2**0.5)  # .4 and .6
    assert np.isnan(cell("real", [[0.2, 0.6]]).spread)


def test_a_gain_is_paired_over_pictures_and_subsets() -> None:
    base = cell("real", [[0.2, 0.6], [0.4, 0.8]], luck=LUCK)
    better = cell("refined", [[0.3, 0.6], [0.5, 0.8]], luck=LUCK)
    gain = gain_of(better, base, seed=0)
    assert (gain.arm, gain.baseline, gain.number) == ("refined", "real", 3)
    for found, value in ((gain.whole, 0.05), (gain.of_category[0], 0.1), (gain.of_category[1], 0.0)):
        assert (found.value, found.low, found.high) == pytest.approx((value, value, value))
    assert gain.whole.sign == 1


def test_luck_of_the_pictures_alone_gives_its_own_quantiles() -> None:
    found = interval_of(cell("real", [[0.5, 0.5]], luck=LUCK), seed=0)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.405, 0.595), abs=1e-3)


def test_luck_of_the_subsets_is_drawn_too() -> None:
    # Gains of .0 and .2: a drawing of two subsets has the mean .0, .1, .1 or .2.
    gain = gain_of(cell("refined", [[0.5], [0.7]]), cell("real", [[0.5], [0.5]]), seed=0)
    assert gain.whole.value == pytest.approx(0.1)
    assert (gain.whole.low, gain.whole.high) == pytest.approx((0.0, 0.2))
    assert gain.whole.sign == 0


def test_arms_with_other_numbers_of_subsets_are_drawn_apart() -> None:
    gain = gain_of(cell("refined", [[0.4], [0.6], [0.8]]), cell("real", [[0.5], [0.7]]), seed=0)
    assert gain.whole.value == pytest.approx(0.0)
    assert gain.whole.low < -0.1 < 0.1 < gain.whole.high


def test_a_drawing_without_objects_of_a_category_counts_the_others() -> None:
    made = cell("real", [[0.2, 0.6]])
    resampled = made.resampled.copy()
    resampled[:, :, 1] = np.nan
    found = interval_of(replace(made, resampled=resampled), seed=0)
    assert (found.low, found.high) == pytest.approx((0.2, 0.2))
    gain = gain_of(replace(made, resampled=resampled), made, seed=0)
    assert np.isnan(gain.of_category[1].low)
    assert gain.of_category[1].sign == 0


def test_share_of_another_arm() -> None:
    share = share_of(cell("synthetic", [[0.4], [0.4]], number=0), cell("real", [[0.5], [0.5]], number=9), seed=0)
    assert share is not None
    assert (share.value, share.low, share.high) == pytest.approx((0.8, 0.8, 0.8))
    assert share_of(cell("synthetic", [[0.4]]), cell("real", [[0.0]]), seed=0) is None


def test_the_hardest_baseline_has_the_highest_mean() -> None:
    strong = cell("copy_paste", [[0.5], [0.6]])
    assert best_of([cell("real", [[0.9], [0.1]]), strong]) is strong


@pytest.mark.parametrize(("low", "high", "sign"), [(0.1, 0.2, 1), (-0.2, -0.1, -1), (-0.1, 0.1, 0), (0.0, 0.1, 0)])
def test_sign(low: float, high: float, sign: int) -> None:
    assert Interval(value=0.0, low=low, high=high).sign == sign
