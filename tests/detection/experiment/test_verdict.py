from __future__ import annotations

import pytest

from detection.experiment.config import Arm
from detection.experiment.statistics import Gain, Interval
from detection.experiment.verdict import share_sentence, verdict

TAIL = " (95 % intervals; painted, then refined on real, against the best arm without them: real with copy-paste)."


def gain(number: int, value: float, low: float, high: float, baseline: Arm = "copy_paste") -> Gain:
    whole = Interval(value=value, low=low, high=high)
    return Gain(arm="refined", baseline=baseline, number=number, whole=whole, of_category=())


RAISE = "Painted images raise mAP 0.50:0.95 on 36 unseen real pictures"
UP3, UP5 = gain(3, 0.0712, 0.04, 0.102), gain(5, 0.05, 0.01, 0.09)
FLAT10, FLAT40 = gain(10, -0.004, -0.03, 0.02), gain(40, 0.001, -0.002, 0.004)
DOWN40 = gain(40, -0.03, -0.05, -0.01)


@pytest.mark.parametrize(
    ("gains", "sentence"),
    [
        (
            [UP3],
            f"{RAISE} by 7.1 points [4.0, 10.2] with 3 real images",
        ),
        (
            [UP3, UP5, FLAT40],
            f"{RAISE} by 7.1 points [4.0, 10.2] with 3 real images "
            "and 5.0 [1.0, 9.0] with 5 real images; no clear difference with all 40 real images (+0.1 [-0.2, 0.4])",
        ),
        (
            [FLAT10, FLAT40],
            "No gain: no clear difference in mAP 0.50:0.95 on 36 unseen real pictures with 10 real images "
            "(-0.4 [-3.0, 2.0]) and with all 40 real images (+0.1 [-0.2, 0.4])",
        ),
        (
            [UP3, DOWN40],
            "Painted images raise mAP 0.50:0.95 on 36 unseen real pictures by 7.1 points [4.0, 10.2] with 3 real "
            "images; they lower it by 3.0 points [-5.0, -1.0] with all 40 real images",
        ),
        (
            [FLAT10, DOWN40],
            "No gain: painted images lower mAP 0.50:0.95 on 36 unseen real pictures by 3.0 points [-5.0, -1.0] with "
            "all 40 real images; no clear difference with 10 real images (-0.4 [-3.0, 2.0])",
        ),
    ],
    ids=["gain", "gain and nothing", "nothing", "gain and loss", "loss and nothing"],
)
def test_the_first_line_says_what_the_intervals_say(gains: list[Gain], sentence: str) -> None:
    assert verdict(gains, pictures=36, total=40) == sentence + TAIL


def test_every_baseline_is_named() -> None:
    found = verdict([UP3, gain(10, 0.02, 0.01, 0.03, "real")], pictures=36, total=40)
    assert found.endswith("against the best arm without them: real with copy-paste, real only).")


def test_without_a_comparison_there_is_no_verdict() -> None:
    assert verdict([], pictures=36, total=40).startswith("No verdict")


def test_share() -> None:
    sentence = share_sentence("synthetic", Interval(value=0.83, low=0.71, high=0.958), 292, 3)
    assert "reach 83 % [71, 96] of the mAP that all 292 real images reach" in sentence
