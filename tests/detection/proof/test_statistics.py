from __future__ import annotations

import math

import numpy as np
import pytest

from detection.proof.statistics import Interval, difference, spread

# What a drawing of the test pictures does to both arms alike: a difference must not feel it.
LUCK = np.linspace(-0.1, 0.1, 400)
SURE = np.zeros(400)
# Student's t at 97.5 % for 1, 2 and 4 degrees of freedom, as any table has it.
T1, T2, T4 = 12.706, 4.303, 2.776


@pytest.mark.parametrize(
    ("value", "error", "sign"), [(0.15, 0.01, 1), (-0.15, 0.01, -1), (0.0, 0.1, 0), (0.05, 0.02, 0), (0.06, 0.02, 1)]
)
def test_sign(value: float, error: float, sign: int) -> None:
    assert Interval(value=value, error=error, subsets=5).sign == sign


def test_more_confidence_is_wider() -> None:
    narrow = Interval(value=0.1, error=0.02, subsets=4)
    # Student's t with 3 degrees of freedom: 3.182 at 97.5 %, 5.841 at 99.5 %
    assert narrow.high == pytest.approx(0.1 + 3.182 * 0.02, abs=1e-4)
    assert narrow.at(0.99).high == pytest.approx(0.1 + 5.841 * 0.02, abs=1e-4)


@pytest.mark.parametrize(
    ("first", "second", "drawn", "other_drawn", "value", "half"),
    [
        ([0.3, 0.5], [0.2, 0.4], LUCK, LUCK, 0.1, 0),
        # Gains of .0, .1 and .2: their variance is .01, the mean's error sqrt(.01 / 3).
        ([0.5, 0.6, 0.7], [0.5] * 3, SURE, SURE, 0.1, T2 * 0.1 / 3**0.5),
        # Over trainings .1, .1, .2, .2, .3: variance .007; over pictures that of LUCK
        ([0.6, 0.6, 0.7, 0.7, 0.8], [0.5] * 5, LUCK, SURE, 0.18, T4 * (0.007 / 5 + LUCK.var(ddof=1)) ** 0.5),
        ([0.4, 0.6, 0.8], [0.5, 0.7], SURE, SURE, 0.0, T1 * (0.04 / 3 + 0.02 / 2) ** 0.5),
        ([0.9], [0.1], SURE, SURE, 0.8, math.nan),
    ],
    ids=["paired", "luck of trainings", "and of pictures", "other numbers of trainings", "one training"],
)
def test_both_kinds_of_luck_are_in_the_interval(
    first: list[float], second: list[float], drawn: np.ndarray, other_drawn: np.ndarray, value: float, half: float
) -> None:
    found = difference(np.array(first), np.array(second), drawn, other_drawn)
    assert found.value == pytest.approx(value)
    assert (found.low, found.high) == pytest.approx((value - half, value + half), abs=2e-4, nan_ok=True)
    assert found.subsets == min(len(first), len(second))
    assert found.sign == (0 if math.isnan(half) else int(half < value))


@pytest.mark.parametrize("trainings", [2, 3, 5])
def test_equal_arms_are_seldom_told_apart(trainings: int) -> None:
    """Luck of each training and arm, and of 36 test pictures, which both arms share in part."""
    claims = 0
    for trial in range(600):
        rng = np.random.default_rng([trainings, trial])
        pictures = rng.normal(0, 0.2, 36)
        weights = rng.multinomial(36, np.full(36, 1 / 36), size=100) / 36
        first, second = (
            0.5 + pictures + rng.normal(0, 0.03, (trainings, 1)) + rng.normal(0, 0.05, (trainings, 36))
            for _ in range(2)
        )
        drawn = [(arm @ weights.T).mean(axis=0) for arm in (first, second)]
        claims += difference(first.mean(axis=1), second.mean(axis=1), *drawn).sign != 0
    assert claims / 600 <= 0.07


def test_spread_needs_two() -> None:
    assert spread(np.array([0.4, 0.6])) == pytest.approx(0.1 * 2**0.5)
    assert math.isnan(spread(np.array([0.4])))
