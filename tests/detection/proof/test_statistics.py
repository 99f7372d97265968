from __future__ import annotations

import math

import numpy as np
import pytest

from detection.proof.statistics import Interval, difference


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


def test_one_training_has_no_interval() -> None:
    alone = Interval(value=0.1, error=0.02, subsets=1)
    assert math.isnan(alone.low)
    assert alone.sign == 0


def test_both_kinds_of_luck_are_in_the_error() -> None:
    first, second, drawn = np.array([0.2, 0.4, 0.6]), np.array([0.1, 0.2, 0.3]), np.array([0.18, 0.2, 0.22])
    # Differences of .1, .2 and .3: their variance is .01, that over drawings .0004
    found = difference(first, second, drawn, np.zeros(3))
    assert found.value == pytest.approx(0.2)
    assert found.error == pytest.approx(math.sqrt(0.02**2 + 0.1**2 / 3))
