from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detection.experiment.results import best_of, gain_of, paired_arms, share_of
from tests.detection.experiment.conftest import DRAWS, cell

# What a drawing of the test pictures does to every arm alike: the gain must not feel it.
LUCK = np.linspace(-0.1, 0.1, DRAWS)


def test_a_gain_is_paired_over_pictures_and_subsets() -> None:
    base = cell("real", [[0.2, 0.6], [0.4, 0.8]], luck=LUCK)
    better = cell("refined", [[0.3, 0.6], [0.5, 0.8]], luck=LUCK)
    gain = gain_of(better, base)
    assert (base.mean, base.spread) == pytest.approx((0.5, 0.1 * 2**0.5))  # .4 and .6
    assert (gain.arm.name, gain.baseline.name, gain.number) == ("refined", "real", 3)
    for found, value in ((gain.whole, 0.05), (gain.of_category[0], 0.1), (gain.of_category[1], 0.0)):
        assert (found.value, found.low, found.high) == pytest.approx((value, value, value))
    assert gain.whole.sign == 1


def test_a_drawing_without_objects_of_a_category_counts_the_others() -> None:
    made = cell("real", [[0.2, 0.6], [0.2, 0.6]], luck=LUCK)
    resampled = made.resampled.copy()
    resampled[:, :, 1] = np.nan
    gain = gain_of(replace(made, resampled=resampled), cell("real", [[0.2, 0.6]] * 2))
    # The mean over categories is now that of the first alone.
    assert gain.whole.error == pytest.approx((LUCK + 0.2 - 0.4).std(ddof=1))
    assert np.isnan(gain.of_category[1].low)
    assert gain.of_category[1].sign == 0


@pytest.mark.parametrize(
    ("arm", "whole", "error"),
    [
        ([0.4, 0.4], [0.5, 0.5], 0),
        # a / b is .8 with b = .5 each time, and a_k - .8 b_k is .0, -.1 and .1
        ([0.4, 0.3, 0.5], [0.5] * 3, 0.1 / 3**0.5 / 0.5),
        ([0.4, 0.32, 0.48], [0.5, 0.4, 0.6], 0),
    ],
    ids=["without luck", "luck of one arm", "luck that lifts both alike"],
)
def test_share_of_another_arm(arm: list[float], whole: list[float], error: float) -> None:
    share = share_of(cell("synthetic", [[each] for each in arm], number=0), cell("real", [[each] for each in whole]))
    assert share is not None
    assert (share.value, share.error) == pytest.approx((0.8, error))
    assert share_of(cell("synthetic", [[0.4]]), cell("real", [[0.0]])) is None


def test_the_hardest_baseline_has_the_highest_mean() -> None:
    strong = cell("copy_paste", [[0.5], [0.6]])
    assert best_of([cell("real", [[0.9], [0.1]]), strong]) is strong


def test_an_arm_stands_beside_those_that_differ_in_one_thing() -> None:
    tuned, photos = {"painter": "tuned"}, {"scenes": "photos"}
    arms = {
        "refined": ("refined", 3),
        "tuned": ({"kind": "refined", **tuned}, 3),
        "both": ({"kind": "refined", **tuned, **photos}, 3),
        "photos": ({"kind": "synthetic", **photos}, 3),
        "alone": ("synthetic", 0),
        "later": ({"kind": "synthetic", **tuned}, 10),
    }
    cells = {name: cell(arm, [[0.5]], number=number) for name, (arm, number) in arms.items()}
    found = {
        (name, other)
        for first, second in paired_arms(cells.values())
        for name, one in cells.items()
        for other, two in cells.items()
        if one is first and two is second
    }
    # What knows nothing real stands beside every number.
    assert found == {("tuned", "refined"), ("both", "tuned"), ("photos", "alone"), ("later", "alone")}
