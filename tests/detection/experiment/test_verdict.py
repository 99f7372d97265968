from __future__ import annotations

import pytest
from scipy.stats import t as student_t

from detection.experiment.config import Arm
from detection.experiment.results import Gain
from detection.experiment.verdict import arm_name, range_of, share_sentence, verdict
from detection.proof.statistics import Interval

ABOUT = "painted, then refined on real, against the best arm without them: real with copy-paste)."


def gain(
    number: int, value: float, half: float, *, judged: int = 1, subsets: int = 5, baseline: Arm = "copy_paste"
) -> Gain:
    """A gain that reaches `half` to both sides where so many numbers are judged together."""
    error = half / float(student_t.ppf(1 - 0.025 / judged, max(1, subsets - 1)))
    return Gain(
        arm="refined",
        baseline=baseline,
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


def test_every_baseline_is_named() -> None:
    found = verdict([gain(3, 0.07, 0.03), gain(10, 0.02, 0.01, baseline="real")], photos=36, total=40)
    assert found.endswith("against the best arm without them: real with copy-paste, real only).")


def test_without_a_comparison_there_is_no_verdict() -> None:
    assert verdict([], photos=36, total=40).startswith("No verdict")


def test_share() -> None:
    error = 0.12 / float(student_t.ppf(0.975, 4))
    sentence = share_sentence("synthetic", Interval(value=0.83, error=error, subsets=5), 292, 3)
    assert "reach 83 % [71, 95] of the mAP that all 292 real images reach" in sentence
    alone = Interval(value=0.83, error=float("nan"), subsets=1)
    assert "reach 83 % [no interval] of" in share_sentence("synthetic", alone, 292, 3)
    assert range_of(alone) == "[no interval]"


def test_an_arm_whose_boxes_know_real_pictures_says_how_many() -> None:
    assert arm_name("calibrated", 3) == "painted only, boxes measured on 3 real"
    assert arm_name("synthetic", 0) == "painted only"
