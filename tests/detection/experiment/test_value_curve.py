from __future__ import annotations

from itertools import pairwise

import pytest

from detection.experiment.config import ValueCurveConfig
from detection.experiment.results import Cell
from detection.experiment.verdict import advice, curve_of
from tests.detection.experiment.cells import cell

SETTINGS = ValueCurveConfig(numbers=(0, 50, 100, 200, 400), real_images=5, subsets=2, flat_below=0.02)
CATEGORIES = ("cell", "platelet")


def point(painted: int, first: tuple[float, float], second: tuple[float, float]) -> Cell:
    """Two subsets; AP of (cell, platelet) of each."""
    return cell("refined" if painted else "real", [first, second], number=5, painted=painted)


START = point(0, (0.4, 0.2), (0.4, 0.2))
UP50 = point(50, (0.5, 0.3), (0.5, 0.3))
# One subset gains .2, the other loses as much: unclear, and not flat
UNCLEAR100 = point(100, (0.7, 0.5), (0.3, 0.1))
UNCLEAR200 = point(200, (0.5, 0.3), (0.5, 0.3))
FLAT100 = point(100, (0.49, 0.32), (0.51, 0.3))
# 5 points more, and a little less than clear
UNSURE50 = point(50, (0.446, 0.246), (0.454, 0.254))
PLATELET100 = point(100, (0.46, 0.36), (0.46, 0.36))


@pytest.mark.parametrize(
    ("points", "worth", "is_flat", "is_over"),
    [
        ([START], 0, False, False),
        ([START, UP50], 50, False, False),
        ([START, UP50, UNCLEAR100], 50, False, False),
        ([START, UP50, UNCLEAR100, UNCLEAR200], 50, False, True),
        ([START, UP50, FLAT100], 50, True, True),
    ],
    ids=["one point", "rising", "unclear once", "unclear twice", "flat"],
)
def test_when_it_ends(points: list[Cell], worth: int, is_flat: bool, is_over: bool) -> None:
    curve = curve_of(points, SETTINGS)
    assert (curve.worth, curve.is_flat, curve.is_over) == (worth, is_flat, is_over)
    assert [step.whole.value for step in curve.steps] == pytest.approx(
        [after.mean - before.mean for before, after in pairwise(points)]
    )


def test_two_unclear_steps_may_be_clear_together() -> None:
    # Steps of +.15 and -.05, then the other way round; from the first point to the last +.1 in both subsets
    between = point(50, (0.55, 0.35), (0.35, 0.15))
    curve = curve_of([START, between, point(100, (0.5, 0.3), (0.5, 0.3))], SETTINGS)
    assert [step.whole.sign for step in curve.steps] == [0, 0]
    assert curve.worth == 100


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (
            [START, UP50],
            [
                "Next to 5 real images, against real only, the score still rises at 50 painted images ",
                "(+10.0 [10.0, 10.0] from 0 to 50): paint more",
            ],
        ),
        (
            [START, UP50, FLAT100],
            ["Next to 5 real images, against real only, 50 painted images are worth it; beyond, the score is flat"],
        ),
        ([START, UP50, FLAT100], ["No class rises clearly in the last step", "platelet gained most in all (+11.0)"]),
        # Clearly better than the start, but hardly than the point before it.
        (
            [START, UNSURE50, point(100, (0.451, 0.251), (0.459, 0.259))],
            ["100 painted images are worth it; in the last step the score is flat (+0.5 [0.5, 0.5] from 50 to 100)"],
        ),
        ([START, UP50, UNCLEAR100, UNCLEAR200], ["50 painted images are worth it; beyond, no further gain shows"]),
        ([START, UNCLEAR100], ["no number of painted images up to 100 shows a gain"]),
        ([START, UP50, PLATELET100], ["In the last step platelet (+6.0 [6.0, 6.0]) still rises: paint more of that"]),
    ],
)
def test_advice(points: list[Cell], words: list[str]) -> None:
    found = advice(curve_of(points, SETTINGS), SETTINGS, CATEGORIES)
    assert all(each in found for each in words), found
