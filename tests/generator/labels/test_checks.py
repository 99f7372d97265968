"""Checks of one attempt: rectangles in a crop of 40 x 40 px, verdicts worked by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.config import LabelConfig
from generator.foundation.geometry import Box
from generator.labels.checks import (
    CHECKS,
    MOST_CONTRAST,
    SIGHTING_CHECKS,
    Evidence,
    measure_contrast,
    run_checks,
)
from generator.types import Sighting

LIMITS = LabelConfig(min_area=0.08, max_edge_contact=0.12)
CLOSED = (False, False, False, False)


def rect(x_min: int, y_min: int, x_max: int, y_max: int) -> np.ndarray:
    """A 40 x 40 crop with one rectangle (HW bool)."""
    mask = np.zeros((40, 40), bool)
    mask[y_min:y_max, x_min:x_max] = True
    return mask


REGION = rect(10, 10, 30, 30)
BOX = Box.from_xywh(15, 15, 10, 10)


def evidence(
    mask: np.ndarray,
    *,
    kept: np.ndarray | None = None,
    fault: str = "",
    open_edges: tuple[bool, bool, bool, bool] = CLOSED,
    region: np.ndarray = REGION,
    sharpness: float = 1.0,
    contrast: float = 0.0,
    left_visible: float = 1.0,
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
        contrast=contrast,
        left_visible=left_visible,
        sighting=sighting,
    )


def of(*masks: np.ndarray) -> np.ndarray:
    """Several rectangles in one mask."""
    together: np.ndarray = np.logical_or.reduce(masks)
    return together


SURE = Sighting(score=0.75, rival="", rival_score=0.25)
SIGHTINGS = {
    "sure": SURE,
    "sure of something else": Sighting(
        score=0.0, rival="platelet", rival_score=1.0, box=Box.from_xywh(0, 0, 1, 1), box_score=0.5
    ),
    "undecided": Sighting(score=0.5, rival="platelet", rival_score=0.5, box=BOX, box_score=0.5),
}


@pytest.mark.parametrize("sighting", SIGHTINGS.values(), ids=SIGHTINGS)
@pytest.mark.parametrize("name", [*CHECKS, *SIGHTING_CHECKS])
@pytest.mark.parametrize(
    "mask",
    [rect(0, 0, 0, 0), rect(15, 15, 25, 25), REGION, rect(12, 12, 13, 13)],
    ids=["nothing", "the box", "the whole region", "one pixel"],
)
@pytest.mark.parametrize("fault", ["", "the picture is black"])
@pytest.mark.parametrize("open_edges", [CLOSED, (True, True, True, True)], ids=["closed", "open"])
def test_every_check_gives_a_verdict_that_can_be_stored(
    name: str, mask: np.ndarray, fault: str, open_edges: tuple[bool, bool, bool, bool], sighting: Sighting
) -> None:
    given = evidence(mask, fault=fault, open_edges=open_edges, sighting=sighting)
    verdict = CHECKS[name](given, LIMITS) if name in CHECKS else SIGHTING_CHECKS[name](given, sighting, LIMITS)
    assert verdict.check == name
    # Exact types: numpy's own would not go into JSON.
    assert (type(verdict.passed), type(verdict.score), type(verdict.reason)) == (bool, float, str)
    assert 0 <= verdict.score < math.inf if name in CHECKS else -1 <= verdict.score <= 1
    assert verdict.passed == (verdict.reason == ""), "a reason is given when, and only when, it failed"


STRICT = LabelConfig(
    min_area=0.9,
    max_edge_contact=0.0,
    min_visible=0.9,
    max_fragments=0.0,
    size_range=(0.9, 1.1),
    max_sharpness=1.0,
    min_contrast=10.0,
    min_margin=0.9,
    min_agreement=0.9,
)
SPOILT = {
    "nothing": evidence(rect(0, 0, 0, 0), fault="the picture is black", sharpness=9.0, left_visible=0.1),
    "pieces up to the edge": evidence(of(rect(10, 10, 14, 30), rect(26, 10, 30, 30))),
}


@pytest.mark.parametrize("name", [*CHECKS, *SIGHTING_CHECKS])
def test_every_check_accepts_what_is_sound_and_refuses_something_that_is_not(name: str) -> None:
    def passes(given: Evidence, sighting: Sighting) -> bool:
        check = CHECKS.get(name)
        verdict = check(given, STRICT) if check else SIGHTING_CHECKS[name](given, sighting, STRICT)
        return verdict.passed

    seen = Sighting(score=1.0, rival="", rival_score=0.0, box=BOX, box_score=0.9)
    assert passes(evidence(rect(15, 15, 25, 25), contrast=50.0), seen)
    assert not all(passes(spoilt, SIGHTINGS["sure of something else"]) for spoilt in SPOILT.values())


def test_run_checks_runs_them_all_in_order() -> None:
    verdicts = run_checks(evidence(rect(0, 0, 0, 0), fault="the picture is black"), LIMITS)
    assert [verdict.check for verdict in verdicts] == list(CHECKS)
    assert [verdict.check for verdict in verdicts if verdict.passed] == [
        "edge_contact",
        "fragments",
        "sharpness",
        "contrast",
        "covering",
    ]


@pytest.mark.parametrize(
    ("name", "mask", "kept", "score", "share"),
    [
        # The box has 100 pixels.
        pytest.param("changed_area", rect(15, 15, 25, 25), None, 1.0, "", id="box"),
        pytest.param("changed_area", rect(15, 15, 19, 17), None, 0.08, "", id="just enough"),
        pytest.param("changed_area", rect(15, 15, 22, 16), None, 0.07, "7%", id="too little"),
        pytest.param("changed_area", rect(0, 0, 0, 0), None, 0.0, "0%", id="nothing"),
        # Larger than asked for is no fault.
        pytest.param("changed_area", REGION, None, 4.0, "", id="more"),
        # What the blend faded out is not in the picture.
        pytest.param("changed_area", rect(15, 15, 25, 25), rect(15, 15, 25, 16), 0.1, "", id="faded"),
        pytest.param("changed_area", rect(15, 15, 25, 25), rect(15, 15, 20, 16), 0.05, "5%", id="faded too much"),
        pytest.param("fragments", rect(0, 0, 0, 0), None, 0.0, "", id="nothing has no parts"),
        pytest.param("fragments", rect(15, 15, 25, 25), None, 0.0, "", id="one part"),
        # 10 x 6 and 10 x 2 pixels: 20 of 80 lie apart.
        pytest.param(
            "fragments", of(rect(15, 15, 25, 21), rect(15, 23, 25, 25)), None, 0.25, "", id="as much as may be"
        ),
        # 10 x 6 and 10 x 3: 30 of 90.
        pytest.param(
            "fragments", of(rect(15, 15, 25, 21), rect(15, 22, 25, 25)), None, 0.3333, "33.3%", id="more than may be"
        ),
        pytest.param(
            "fragments",
            of(rect(12, 12, 16, 16), rect(20, 12, 24, 16), rect(12, 20, 16, 24)),
            None,
            0.6667,
            "66.7%",
            id="two of three",
        ),
        pytest.param(
            "fragments", of(rect(15, 15, 20, 20), rect(20, 20, 25, 25)), None, 0.0, "", id="corners hang together"
        ),
        # What the blend faded out holds nothing together: 10 x 4 above the gap, 10 x 4 below it.
        pytest.param("fragments", rect(15, 15, 25, 25), ~rect(15, 19, 25, 21), 0.5, "50%", id="cut by the blend"),
        pytest.param(
            "fragments",
            of(rect(15, 15, 25, 21), rect(15, 22, 25, 25)),
            rect(15, 15, 25, 21),
            0.0,
            "",
            id="a part faded out",
        ),
        # The box has sides of 10: a score of 0.3 is 3 x 3 pixels.
        pytest.param("size", rect(15, 15, 25, 25), None, 1.0, "", id="the box"),
        pytest.param("size", rect(15, 15, 18, 18), None, 0.3, "", id="as small as may be"),
        pytest.param("size", rect(15, 15, 17, 17), None, 0.2, "20%", id="a dwarf"),
        pytest.param("size", rect(12, 12, 25, 25), None, 1.3, "", id="as large as may be"),
        pytest.param("size", rect(12, 12, 26, 26), None, 1.4, "140%", id="a giant"),
        pytest.param("size", rect(0, 0, 0, 0), None, 0.0, "0%", id="none"),
        # The root of 20 x 5 by 10 x 10: the shape is not judged.
        pytest.param("size", rect(10, 15, 30, 20), None, 1.0, "", id="long"),
        pytest.param("size", rect(0, 0, 10, 10), None, 1.0, "", id="elsewhere"),
        # Its box counts, not its area: a cross of two lines.
        pytest.param("size", of(rect(15, 19, 25, 20), rect(19, 15, 20, 25)), None, 1.0, "", id="thin"),
        pytest.param("size", rect(15, 15, 25, 25), rect(15, 15, 17, 17), 0.2, "20%", id="but a corner faded"),
        pytest.param("size", rect(12, 12, 26, 26), rect(15, 15, 25, 25), 1.0, "", id="faded to the box"),
    ],
)
def test_a_mask_is_held_against_its_limit(
    name: str, mask: np.ndarray, kept: np.ndarray | None, score: float, share: str
) -> None:
    """`share` is what the reason says of one that fails."""
    limits = LabelConfig(min_area=0.08, max_fragments=0.25, size_range=(0.3, 1.3))
    verdict = CHECKS[name](evidence(mask, kept=kept), limits)
    reasons = {
        "changed_area": f"changed area is {share} of the box, below 8%",
        "fragments": f"{share} of it lies apart from the rest, above 25%",
        "size": f"{share} of the size asked for, not 30% to 130%",
    }
    assert (verdict.score, verdict.reason, verdict.passed) == (score, reasons[name] if share else "", not share)


@pytest.mark.parametrize(
    ("mask", "open_edges", "score", "share"),
    [
        # The region's edge is four sides of 20 pixels.
        pytest.param(rect(12, 12, 28, 28), CLOSED, 0.0, "", id="two pixels off"),
        pytest.param(rect(11, 15, 20, 20), CLOSED, 5 / 80, "", id="one pixel off the left: 5 of 80"),
        pytest.param(rect(10, 12, 20, 28), CLOSED, 16 / 80, "20%", id="left: 16 of 80"),
        pytest.param(rect(20, 12, 30, 28), CLOSED, 16 / 80, "20%", id="right"),
        pytest.param(rect(12, 10, 28, 20), CLOSED, 16 / 80, "20%", id="top"),
        pytest.param(rect(12, 20, 28, 30), CLOSED, 16 / 80, "20%", id="bottom"),
        pytest.param(rect(10, 10, 15, 15), CLOSED, 10 / 80, "12.5%", id="a corner counts on both sides"),
        pytest.param(REGION, CLOSED, 1.0, "100%", id="all of it"),
        # An object may be cut by the picture's own edge; the other sides still count, out of 60.
        pytest.param(rect(10, 12, 20, 28), (True, False, False, False), 0.0, "", id="cut by the picture, left"),
        pytest.param(rect(12, 10, 28, 20), (False, True, False, False), 0.0, "", id="cut by the picture, top"),
        pytest.param(rect(20, 12, 30, 28), (False, False, True, False), 0.0, "", id="cut by the picture, right"),
        pytest.param(rect(12, 20, 28, 30), (False, False, False, True), 0.0, "", id="cut by the picture, below"),
        pytest.param(rect(10, 12, 20, 28), (False, True, False, False), 16 / 60, "26.7%", id="cut elsewhere"),
        pytest.param(REGION, (True, True, True, True), 0.0, "", id="the picture is the region"),
    ],
)
def test_edge_contact(mask: np.ndarray, open_edges: tuple[bool, bool, bool, bool], score: float, share: str) -> None:
    verdict = CHECKS["edge_contact"](evidence(mask, open_edges=open_edges), LIMITS)
    assert verdict.score == pytest.approx(score, abs=1e-4)
    reason = f"touches {share} of the painted region's edge, above 12%" if share else ""
    assert (verdict.reason, verdict.passed) == (reason, not share)


def test_a_box_that_is_not_square_is_measured_by_both_of_its_sides() -> None:
    # 12 x 3 pixels of a box of 20 x 5: the root of 0.36.
    oblong = replace(evidence(rect(15, 15, 27, 18)), box=Box.from_xywh(15, 15, 20, 5))
    assert CHECKS["size"](oblong, LIMITS).score == 0.6


@pytest.mark.parametrize(
    ("name", "measured", "score", "reason"),
    [
        ("picture", {"fault": ""}, 1.0, ""),
        ("picture", {"fault": "the picture is black"}, 0.0, "the picture is black"),
        ("sharpness", {"sharpness": 1.0}, 1.0, ""),
        # What would be written down as the limit is within it.
        ("sharpness", {"sharpness": 8.00004}, 8.0, ""),
        ("sharpness", {"sharpness": 8.1}, 8.1, "8.1 times as sharp as what is around it, above 8"),
        ("sharpness", {"sharpness": 63.75}, 63.75, "63.75 times as sharp as what is around it, above 8"),
        ("contrast", {"contrast": 28.0}, 28.0, ""),
        ("contrast", {"contrast": 27.99996}, 28.0, ""),
        # What just misses a limit does not look like it.
        ("contrast", {"contrast": 27.96}, 27.96, "hardly stands out from what is around it: 27.96, below 28"),
        ("contrast", {"contrast": 0.0}, 0.0, "hardly stands out from what is around it: 0, below 28"),
        ("covering", {"left_visible": 0.4}, 0.4, ""),
        ("covering", {"left_visible": 0.39}, 0.39, "leaves only 39% of an earlier object visible, below 40%"),
    ],
)
def test_what_was_measured_is_held_against_its_limit(
    name: str, measured: dict[str, Any], score: float, reason: str
) -> None:
    limits = LabelConfig(max_sharpness=8.0, min_contrast=28.0, min_visible=0.4)
    verdict = CHECKS[name](evidence(REGION, **measured), limits)
    assert (verdict.score, verdict.reason, verdict.passed) == (score, reason, not reason)


def test_the_limit_of_pieces_is_inclusive_and_sizes_count_the_gap_between_them() -> None:
    # 70 of 100 pixels hang together: 30 % lie apart, which in floating point is a little more by one way of counting.
    pieces = rect(12, 12, 22, 19) | rect(12, 25, 22, 28)
    assert CHECKS["fragments"](evidence(pieces), LIMITS).score == 0.3
    assert CHECKS["fragments"](evidence(pieces), LIMITS).passed
    # From row 12 to row 28 and 10 wide, of 10 x 10 asked for.
    assert CHECKS["size"](evidence(pieces), LIMITS).score == pytest.approx((160 / 100) ** 0.5, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "limits", "left_visible", "passed"),
    [
        pytest.param("covering", LabelConfig(min_visible=0.0), 0.0, False, id="none is hidden wholly"),
        pytest.param("covering", LabelConfig(min_visible=0.0), 0.01, True, id="nearly"),
        pytest.param("contrast", LabelConfig(), 1.0, True, id="nothing has to stand out unless it is asked for"),
        pytest.param("relevance", LabelConfig(min_margin=-1.0), 1.0, True, id="anything looks like enough"),
    ],
)
def test_limits_at_their_ends(name: str, limits: LabelConfig, left_visible: float, passed: bool) -> None:
    sighting = SIGHTINGS["sure of something else"]
    verdicts = run_checks(evidence(REGION, left_visible=left_visible, sighting=sighting), limits)
    assert {verdict.check: verdict.passed for verdict in verdicts}[name] is passed


# How far an object stands out: of flat colours it is their distance, less what the surroundings vary.

GREY, PURPLE, RED = (220, 220, 215), (130, 80, 200), (200, 150, 145)
OBJECT = rect(16, 14, 26, 28)

colours = st.tuples(*[st.integers(0, 255)] * 3)


def painted(*parts: tuple[np.ndarray, tuple[int, int, int]], ground: tuple[int, int, int] = GREY) -> np.ndarray:
    picture = np.full((40, 40, 3), ground, np.uint8)
    for mask, colour in parts:
        picture[mask] = colour
    return picture


def distance(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    a, b = (cv2.cvtColor(np.float32([[each]]) / 255, cv2.COLOR_RGB2LAB)[0, 0] for each in (one, other))
    return float(np.linalg.norm(a - b))


@settings(deadline=None, derandomize=True)
@given(object_colour=colours, ground=colours)
def test_of_flat_colours_it_is_their_distance(
    object_colour: tuple[int, int, int], ground: tuple[int, int, int]
) -> None:
    picture = painted((OBJECT, object_colour), ground=ground)
    assert measure_contrast(picture, OBJECT) == pytest.approx(distance(object_colour, ground), abs=1e-3)


@settings(deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_it_is_no_less_than_nothing_and_alike_from_every_side(seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8)
    contrast = measure_contrast(picture, OBJECT)
    assert contrast >= 0
    for turned in (lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: np.swapaxes(a, 0, 1)):
        assert measure_contrast(turned(picture), turned(OBJECT)) == pytest.approx(contrast, abs=1e-3)


def test_what_its_surroundings_have_themselves_is_no_contrast() -> None:
    neighbours = of(rect(8, 6, 15, 34), rect(27, 6, 34, 34))
    alone = measure_contrast(painted((OBJECT, PURPLE)), OBJECT)
    beside_red = measure_contrast(painted((neighbours, RED), (OBJECT, PURPLE)), OBJECT)
    assert 0 < beside_red < alone - 20
    assert measure_contrast(painted((neighbours, PURPLE), (OBJECT, PURPLE)), OBJECT) == 0


def test_a_pale_rim_is_neither_object_nor_surroundings() -> None:
    rim = rect(14, 12, 28, 30)
    pale = painted((rim, (175, 150, 208)), (OBJECT, PURPLE))
    assert measure_contrast(pale, OBJECT) == pytest.approx(distance(PURPLE, GREY), abs=1e-3)


def test_of_nothing_there_is_none_and_what_fills_the_picture_has_the_most() -> None:
    assert measure_contrast(painted(), rect(0, 0, 0, 0)) == 0
    assert measure_contrast(painted(), np.ones((40, 40), bool)) == MOST_CONTRAST


# What the verifier saw.


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


@pytest.mark.parametrize(
    ("box", "mask", "kept", "score", "iou"),
    [
        # The mask has a box of 10 x 10.
        pytest.param(BOX, rect(15, 15, 25, 25), None, 1.0, "", id="the same"),
        pytest.param(Box.from_xywh(15, 15, 10, 5), rect(15, 15, 25, 25), None, 0.5, "", id="half: just enough"),
        pytest.param(Box.from_xywh(15, 15, 5, 5), rect(15, 15, 25, 25), None, 0.25, "0.25", id="a quarter"),
        # 50 shared pixels of 150.
        pytest.param(Box.from_xywh(20, 15, 10, 10), rect(15, 15, 25, 25), None, 0.3333, "0.333", id="moved by half"),
        pytest.param(Box.from_xywh(0, 0, 15, 15), rect(15, 15, 25, 25), None, 0.0, "0", id="elsewhere"),
        pytest.param(None, rect(15, 15, 25, 25), None, 0.0, "", id="no detector"),
        # That nothing was painted is for changed_area to say.
        pytest.param(BOX, rect(0, 0, 0, 0), None, 0.0, "", id="nothing painted"),
        pytest.param(Box.from_xywh(15, 15, 10, 5), REGION, rect(15, 15, 25, 20), 1.0, "", id="what the blend left"),
        pytest.param(BOX, of(rect(15, 15, 17, 17), rect(23, 23, 25, 25)), None, 1.0, "", id="around all parts"),
    ],
)
def test_agreement(box: Box | None, mask: np.ndarray, kept: np.ndarray | None, score: float, iou: str) -> None:
    sighting = replace(SURE, box=box, box_score=0.5)
    verdict = SIGHTING_CHECKS["agreement"](evidence(mask, kept=kept), sighting, LabelConfig(min_agreement=0.5))
    reason = f"the verifier's box agrees with an IoU of {iou}, below 0.5" if iou else ""
    assert (verdict.score, verdict.reason, verdict.passed) == (score, reason, not reason)


def test_the_checks_of_a_sighting_come_last() -> None:
    sighting = Sighting(score=0.1, rival="platelet", rival_score=0.9, box=Box.from_xywh(0, 0, 4, 4), box_score=0.9)
    verdicts = run_checks(evidence(rect(15, 15, 25, 25), sighting=sighting), LIMITS)
    assert verdicts[: len(CHECKS)] == run_checks(evidence(rect(15, 15, 25, 25)), LIMITS)
    assert [verdict.check for verdict in verdicts] == [*CHECKS, *SIGHTING_CHECKS]
    assert [verdict.check for verdict in verdicts if not verdict.passed] == ["relevance", "agreement"]
    sound = run_checks(evidence(rect(15, 15, 25, 25), sighting=replace(SURE, box=BOX)), LIMITS)
    assert all(verdict.passed for verdict in sound)
