"""Checks of what the verifier saw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from generator.config import LabelConfig
from generator.foundation.geometry import Box
from generator.labels.checks import CHECKS, SIGHTING_CHECKS, SightingCheck, run_checks
from generator.types import Sighting
from tests.generator.labels.checks.crops import BOX, LIMITS, REGION, evidence, of, rectangle

every_sighting_check = pytest.mark.parametrize(
    ("name", "check"), SIGHTING_CHECKS.items(), ids=[f"sighting: {name}" for name in SIGHTING_CHECKS]
)
SURE = Sighting(score=0.75, rival="", rival_score=0.25)


@every_sighting_check
@pytest.mark.parametrize("mask", [rectangle(0, 0, 0, 0), rectangle(15, 15, 25, 25), REGION], ids=["none", "box", "all"])
@pytest.mark.parametrize(
    "sighting",
    [
        SURE,
        Sighting(score=0.0, rival="platelet", rival_score=1.0, box=Box.from_xywh(0, 0, 1, 1), box_score=0.5),
        Sighting(score=0.5, rival="platelet", rival_score=0.5, box=BOX, box_score=0.5),
    ],
    ids=["sure", "sure of something else", "undecided"],
)
def test_every_check_of_a_sighting_gives_a_verdict_that_can_be_stored(
    name: str, check: SightingCheck, mask: np.ndarray, sighting: Sighting
) -> None:
    verdict = check(evidence(mask, sighting=sighting), sighting, LIMITS)
    assert verdict.check == name
    assert (type(verdict.passed), type(verdict.score), type(verdict.reason)) == (bool, float, str)
    assert -1 <= verdict.score <= 1
    assert verdict.passed == (verdict.reason == ""), "a reason is given when, and only when, it failed"


@pytest.mark.parametrize(
    ("sighting", "score", "reason"),
    [
        pytest.param(Sighting(score=1.0, rival="", rival_score=0.0), 1.0, "", id="certain"),
        pytest.param(SURE, 0.5, "", id="by as much as it must be"),
        pytest.param(
            Sighting(score=0.7, rival="platelet", rival_score=0.3),
            0.4,
            "looks like platelet (30%), and like what it should be 70%: a margin of 40%, below 50%",
            id="by too little",
        ),
        pytest.param(
            Sighting(score=0.25, rival="", rival_score=0.625),
            -0.375,
            "looks like nothing (62.5%), and like what it should be 25%: a margin of -37.5%, below 50%",
            id="background",
        ),
        pytest.param(
            Sighting(score=0.0, rival="white blood cell", rival_score=1.0),
            -1.0,
            "looks like white blood cell (100%), and like what it should be 0%: a margin of -100%, below 50%",
            id="another class",
        ),
    ],
)
def test_relevance(sighting: Sighting, score: float, reason: str) -> None:
    verdict = SIGHTING_CHECKS["relevance"](evidence(REGION), sighting, LabelConfig(min_margin=0.5))
    assert (verdict.score, verdict.reason, verdict.passed) == (score, reason, not reason)


def test_the_least_margin_lets_everything_pass() -> None:
    other = Sighting(score=0.0, rival="platelet", rival_score=1.0)
    assert SIGHTING_CHECKS["relevance"](evidence(REGION), other, LabelConfig(min_margin=-1.0)).passed


@pytest.mark.parametrize(
    ("box", "mask", "kept", "score", "reason"),
    [
        # The mask has a box of 10 x 10.
        pytest.param(BOX, rectangle(15, 15, 25, 25), None, 1.0, "", id="the same"),
        pytest.param(Box.from_xywh(15, 15, 10, 5), rectangle(15, 15, 25, 25), None, 0.5, "", id="half: just enough"),
        pytest.param(
            Box.from_xywh(15, 15, 5, 5),
            rectangle(15, 15, 25, 25),
            None,
            0.25,
            "the verifier's box agrees with an IoU of 0.25, below 0.5",
            id="a quarter",
        ),
        # 50 shared pixels of 150.
        pytest.param(
            Box.from_xywh(20, 15, 10, 10),
            rectangle(15, 15, 25, 25),
            None,
            0.3333,
            "the verifier's box agrees with an IoU of 0.333, below 0.5",
            id="moved by half",
        ),
        pytest.param(
            Box.from_xywh(0, 0, 15, 15),
            rectangle(15, 15, 25, 25),
            None,
            0.0,
            "the verifier's box agrees with an IoU of 0, below 0.5",
            id="elsewhere",
        ),
        pytest.param(None, rectangle(15, 15, 25, 25), None, 0.0, "", id="without a detector nothing speaks against it"),
        # That nothing was painted is for changed_area to say.
        pytest.param(BOX, rectangle(0, 0, 0, 0), None, 0.0, "", id="nothing painted"),
        pytest.param(
            Box.from_xywh(15, 15, 10, 5), REGION, rectangle(15, 15, 25, 20), 1.0, "", id="what the blend left"
        ),
        pytest.param(
            BOX, of(rectangle(15, 15, 17, 17), rectangle(23, 23, 25, 25)), None, 1.0, "", id="around all parts"
        ),
    ],
)
def test_agreement(box: Box | None, mask: np.ndarray, kept: np.ndarray | None, score: float, reason: str) -> None:
    sighting = replace(SURE, box=box, box_score=0.5)
    verdict = SIGHTING_CHECKS["agreement"](evidence(mask, kept=kept), sighting, LabelConfig(min_agreement=0.5))
    assert (verdict.score, verdict.reason, verdict.passed) == (score, reason, not reason)


def test_without_a_verifier_nothing_is_said_of_what_it_would_see() -> None:
    assert [verdict.check for verdict in run_checks(evidence(REGION), LIMITS)] == list(CHECKS)


def test_the_checks_of_a_sighting_come_last() -> None:
    sighting = Sighting(score=0.1, rival="platelet", rival_score=0.9, box=Box.from_xywh(0, 0, 4, 4), box_score=0.9)
    verdicts = run_checks(evidence(rectangle(15, 15, 25, 25), sighting=sighting), LIMITS)
    assert [verdict.check for verdict in verdicts] == [*CHECKS, *SIGHTING_CHECKS]
    assert [verdict.check for verdict in verdicts if not verdict.passed] == ["relevance", "agreement"]
    sound = run_checks(evidence(rectangle(15, 15, 25, 25), sighting=replace(SURE, box=BOX)), LIMITS)
    assert all(verdict.passed for verdict in sound)


def test_the_pixels_are_judged_alike_with_and_without_a_sighting() -> None:
    without = run_checks(evidence(REGION), LIMITS)
    assert run_checks(evidence(REGION, sighting=SURE), LIMITS)[: len(CHECKS)] == without
