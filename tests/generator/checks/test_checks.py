from __future__ import annotations

import math

import numpy as np
import pytest

from generator.checks import CHECKS, Check, run_checks
from generator.checks.evidence import Evidence
from generator.config import LabelConfig
from generator.geometry import Box
from generator.types import Sighting

LIMITS = LabelConfig(min_area=0.08, max_edge_contact=0.12)
CLOSED = (False, False, False, False)
every_check = pytest.mark.parametrize(("name", "check"), CHECKS.items(), ids=CHECKS)


def rectangle(x_min: int, y_min: int, x_max: int, y_max: int) -> np.ndarray:
    """A 40 x 40 crop with one rectangle (HW bool)."""
    mask = np.zeros((40, 40), bool)
    mask[y_min:y_max, x_min:x_max] = True
    return mask


REGION = rectangle(10, 10, 30, 30)
BOX = Box.from_xywh(15, 15, 10, 10)


def evidence(
    mask: np.ndarray,
    *,
    kept: np.ndarray | None = None,
    fault: str = "",
    open_edges: tuple[bool, bool, bool, bool] = CLOSED,
    region: np.ndarray = REGION,
    sharpness: float = 1.0,
    sighting: Sighting | None = None,
) -> Evidence:
    return Evidence(
        fault=fault,
        region=region,
        mask=mask,
        kept=np.ones((40, 40), bool) if kept is None else kept,
        box=BOX,
        open_edges=open_edges,
        sharpness=sharpness,
        sighting=sighting,
    )


@every_check
@pytest.mark.parametrize(
    "mask",
    [rectangle(0, 0, 0, 0), rectangle(15, 15, 25, 25), REGION, rectangle(12, 12, 13, 13)],
    ids=["nothing", "the box", "the whole region", "one pixel"],
)
@pytest.mark.parametrize("fault", ["", "the picture is black"])
@pytest.mark.parametrize("open_edges", [CLOSED, (True, True, True, True)], ids=["closed", "open"])
def test_every_check_gives_a_verdict_that_can_be_stored(
    name: str, check: Check, mask: np.ndarray, fault: str, open_edges: tuple[bool, bool, bool, bool]
) -> None:
    verdict = check(evidence(mask, fault=fault, open_edges=open_edges), LIMITS)
    assert verdict.check == name
    # Exact types: numpy's own would not go into JSON.
    assert (type(verdict.passed), type(verdict.score), type(verdict.reason)) == (bool, float, str)
    assert 0 <= verdict.score < math.inf
    assert verdict.passed == (verdict.reason == ""), "a reason is given when, and only when, it failed"


@every_check
def test_every_check_passes_a_sound_object(name: str, check: Check) -> None:
    assert check(evidence(rectangle(15, 15, 25, 25)), LIMITS).passed


def test_run_checks_runs_them_all_in_order() -> None:
    verdicts = run_checks(evidence(rectangle(0, 0, 0, 0), fault="the picture is black"), LIMITS)
    assert [verdict.check for verdict in verdicts] == list(CHECKS)
    assert [verdict.check for verdict in verdicts if verdict.passed] == ["edge_contact", "fragments", "sharpness"]


@pytest.mark.parametrize(
    ("mask", "kept", "score", "reason"),
    [
        # The box has 100 pixels.
        (rectangle(15, 15, 25, 25), None, 1.0, ""),
        (rectangle(15, 15, 19, 17), None, 0.08, ""),
        (rectangle(15, 15, 22, 16), None, 0.07, "changed area is 7% of the box, below 8%"),
        (rectangle(0, 0, 0, 0), None, 0.0, "changed area is 0% of the box, below 8%"),
        # Larger than asked for is no fault.
        (REGION, None, 4.0, ""),
        # What the blend faded out is not in the picture.
        (rectangle(15, 15, 25, 25), rectangle(15, 15, 25, 16), 0.1, ""),
        (rectangle(15, 15, 25, 25), rectangle(15, 15, 20, 16), 0.05, "changed area is 5% of the box, below 8%"),
    ],
    ids=["box", "just enough", "too little", "nothing", "more", "faded", "faded too much"],
)
def test_changed_area(mask: np.ndarray, kept: np.ndarray | None, score: float, reason: str) -> None:
    verdict = CHECKS["changed_area"](evidence(mask, kept=kept), LIMITS)
    assert (verdict.score, verdict.reason) == (score, reason)


@pytest.mark.parametrize(
    ("mask", "open_edges", "score", "passed"),
    [
        # The region's edge is four sides of 20 pixels.
        pytest.param(rectangle(12, 12, 28, 28), CLOSED, 0.0, True, id="two pixels off"),
        pytest.param(rectangle(11, 15, 20, 20), CLOSED, 5 / 80, True, id="one pixel off the left: 5 of 80"),
        pytest.param(rectangle(10, 12, 20, 28), CLOSED, 16 / 80, False, id="left: 16 of 80"),
        pytest.param(rectangle(20, 12, 30, 28), CLOSED, 16 / 80, False, id="right"),
        pytest.param(rectangle(12, 10, 28, 20), CLOSED, 16 / 80, False, id="top"),
        pytest.param(rectangle(12, 20, 28, 30), CLOSED, 16 / 80, False, id="bottom"),
        pytest.param(rectangle(10, 10, 15, 15), CLOSED, 10 / 80, False, id="a corner counts on both sides"),
        pytest.param(REGION, CLOSED, 1.0, False, id="all of it"),
        # An object may be cut by the picture's own edge; the other sides still count, out of 60.
        pytest.param(rectangle(10, 12, 20, 28), (True, False, False, False), 0.0, True, id="cut by the picture, left"),
        pytest.param(rectangle(12, 10, 28, 20), (False, True, False, False), 0.0, True, id="cut by the picture, top"),
        pytest.param(rectangle(20, 12, 30, 28), (False, False, True, False), 0.0, True, id="cut by the picture, right"),
        pytest.param(rectangle(12, 20, 28, 30), (False, False, False, True), 0.0, True, id="cut by the picture, below"),
        pytest.param(rectangle(10, 12, 20, 28), (False, True, False, False), 16 / 60, False, id="cut elsewhere"),
        pytest.param(REGION, (True, True, True, True), 0.0, True, id="the picture is the region"),
    ],
)
def test_edge_contact(mask: np.ndarray, open_edges: tuple[bool, bool, bool, bool], score: float, passed: bool) -> None:
    verdict = CHECKS["edge_contact"](evidence(mask, open_edges=open_edges), LIMITS)
    assert verdict.score == pytest.approx(score, abs=1e-4)
    assert verdict.passed is passed


def test_edge_contact_says_how_much() -> None:
    verdict = CHECKS["edge_contact"](evidence(rectangle(10, 12, 20, 28)), LIMITS)
    assert verdict.reason == "touches 20% of the painted region's edge, above 12%"


@pytest.mark.parametrize(("fault", "score"), [("", 1.0), ("the picture is black", 0.0)])
def test_picture_hands_on_the_painters_fault(fault: str, score: float) -> None:
    verdict = CHECKS["picture"](evidence(REGION, fault=fault), LIMITS)
    assert (verdict.score, verdict.reason, verdict.passed) == (score, fault, not fault)
