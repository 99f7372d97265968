from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import t as student_t

from detection.experiment.config import Arm, Kind, ValueCurveConfig
from detection.experiment.results import Cell, Gain
from detection.experiment.verdict import advice, arm_name, curve_of, range_of, share_sentence, verdict
from detection.proof.statistics import Interval, difference
from tests.detection.experiment.conftest import cell

ABOUT = "painted, then refined on real, against the best arm without them: real with copy-paste)."


def gain(
    number: int, value: float, half: float, *, judged: int = 1, subsets: int = 5, baseline: Kind = "copy_paste"
) -> Gain:
    """A gain that reaches `half` to both sides where so many numbers are judged together."""
    error = half / float(student_t.ppf(1 - 0.025 / judged, max(1, subsets - 1)))
    return Gain(
        arm=Arm(kind="refined"),
        baseline=Arm(kind=baseline),
        number=number,
        whole=Interval(value=value, error=error, subsets=subsets),
        of_category=(),
    )


RAISE = "Painted images raise mAP 0.50:0.95 on 36 unseen real photos"


@pytest.mark.parametrize(
    ("gains", "sentence"),
    [
        (
            [gain(3, 0.0712, 0.031)],
            f"{RAISE} by 7.1 points [4.0, 10.2] with 3 real images (5 subsets) (95 % intervals; ",
        ),
        (
            [gain(3, 0.0712, 0.031, judged=3), gain(5, 0.05, 0.04, judged=3), gain(40, 0.001, 0.003, judged=3)],
            f"{RAISE} by 7.1 points [4.0, 10.2] with 3 real images (5 subsets) "
            "and 5.0 [1.0, 9.0] with 5 real images (5 subsets); no clear difference with all 40 real images "
            "(+0.1 [-0.2, 0.4], 5 seeds) (98.33 % intervals, together 95 %; ",
        ),
        (
            [gain(10, -0.004, 0.024, judged=2), gain(40, 0.001, 0.003, judged=2, subsets=3)],
            "No gain: no clear difference in mAP 0.50:0.95 on 36 unseen real photos with 10 real images "
            "(-0.4 [-2.8, 2.0], 5 subsets) and with all 40 real images (+0.1 [-0.2, 0.4], 3 seeds) "
            "(97.5 % intervals, together 95 %; ",
        ),
        (
            [gain(3, 0.0712, 0.031, judged=2), gain(40, -0.03, 0.02, judged=2)],
            f"{RAISE} by 7.1 points [4.0, 10.2] with 3 real images (5 subsets); they lower it by 3.0 points "
            "[-5.0, -1.0] with all 40 real images (5 seeds) (97.5 % intervals, together 95 %; ",
        ),
        (
            [gain(10, -0.004, 0.024, judged=2), gain(40, -0.03, 0.02, judged=2)],
            "No gain: painted images lower mAP 0.50:0.95 on 36 unseen real photos by 3.0 points [-5.0, -1.0] with "
            "all 40 real images (5 seeds); no clear difference with 10 real images (-0.4 [-2.8, 2.0], 5 subsets) "
            "(97.5 % intervals, together 95 %; ",
        ),
        (
            [gain(3, 0.0712, 0.031), gain(10, 0.04, 0.01, subsets=2)],
            f"{RAISE} by 7.1 points [4.0, 10.2] with 3 real images (5 subsets); no claim with 10 real images "
            "(+4.0 [3.0, 5.0], 2 subsets): 3 trainings an arm are the least (95 % intervals; ",
        ),
        (
            [gain(3, 0.04, 0.01, subsets=2), gain(40, 0.04, 0.01, subsets=1)],
            "No claim about mAP 0.50:0.95 on 36 unseen real photos with 3 real images (+4.0 [3.0, 5.0], 2 subsets) and "
            "with all 40 real images (+4.0 [no interval], 1 seed): 3 trainings an arm are the least (",
        ),
    ],
    ids=["gain", "gain and nothing", "nothing", "gain and loss", "loss and nothing", "gain and too few", "too few"],
)
def test_the_first_line_says_what_the_intervals_say(gains: list[Gain], sentence: str) -> None:
    assert verdict(gains, photos=36, total=40) == sentence + ABOUT


def test_one_of_several_must_be_clearer_than_one_alone() -> None:
    just = gain(3, 0.05, 0.049)
    assert verdict([just], photos=36, total=40).startswith("Painted images raise")
    others = [gain(number, 0.0, 0.05) for number in (5, 10, 20)]
    assert verdict([just, *others], photos=36, total=40).startswith("No gain: no clear difference")


def test_every_baseline_is_named_and_without_one_there_is_no_verdict() -> None:
    found = verdict([gain(3, 0.07, 0.03), gain(10, 0.02, 0.01, baseline="real")], photos=36, total=40)
    assert found.endswith("against the best arm without them: real with copy-paste, real only).")
    assert verdict([], photos=36, total=40).startswith("No verdict")


def test_four_numbers_together_seldom_claim_what_is_not_there() -> None:
    claims = 0
    for trial in range(1000):
        luck = np.random.default_rng(trial).normal(0, 0.03, (4, 3))  # of three subsets at each number
        gains = [
            replace(gain(number, 0, 1), whole=difference(each, np.zeros(3), np.zeros(2), np.zeros(2)))
            for number, each in enumerate(luck, start=1)
        ]
        claims += "no clear difference in mAP" not in verdict(gains, photos=36, total=99)
    assert claims / 1000 <= 0.07


def test_share() -> None:
    error = 0.12 / float(student_t.ppf(0.975, 4))
    sentence = share_sentence(Arm(kind="synthetic"), Interval(value=0.83, error=error, subsets=5), 292, 3)
    assert "reach 83 % [71, 95] of the mAP that all 292 real images reach" in sentence
    alone = Interval(value=0.83, error=float("nan"), subsets=1)
    assert "reach 83 % [no interval] of" in share_sentence(Arm(kind="synthetic"), alone, 292, 3)
    assert range_of(alone) == "[no interval]"


def test_an_arm_whose_boxes_know_real_pictures_says_how_many() -> None:
    assert arm_name(Arm(kind="calibrated"), 3) == "painted only, boxes measured on 3 real"
    assert arm_name(Arm(kind="synthetic"), 0) == "painted only"


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
