"""How far an object stands out: of flat colours it is their distance, less what the surroundings vary."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.config import LabelConfig
from generator.labels.checks import CHECKS
from generator.labels.checks.contrast import MOST, measure_contrast
from tests.generator.labels.checks.crops import REGION, evidence, of, rectangle

GREY, PURPLE, RED = (220, 220, 215), (130, 80, 200), (200, 150, 145)
OBJECT = rectangle(16, 14, 26, 28)

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
    neighbours = of(rectangle(8, 6, 15, 34), rectangle(27, 6, 34, 34))
    alone = measure_contrast(painted((OBJECT, PURPLE)), OBJECT)
    beside_red = measure_contrast(painted((neighbours, RED), (OBJECT, PURPLE)), OBJECT)
    assert 0 < beside_red < alone - 20
    assert measure_contrast(painted((neighbours, PURPLE), (OBJECT, PURPLE)), OBJECT) == 0


def test_a_pale_rim_is_neither_object_nor_surroundings() -> None:
    rim = rectangle(14, 12, 28, 30)
    pale = painted((rim, (175, 150, 208)), (OBJECT, PURPLE))
    assert measure_contrast(pale, OBJECT) == pytest.approx(distance(PURPLE, GREY), abs=1e-3)


def test_of_nothing_there_is_none_and_what_fills_the_picture_has_the_most() -> None:
    assert measure_contrast(painted(), rectangle(0, 0, 0, 0)) == 0
    assert measure_contrast(painted(), np.ones((40, 40), bool)) == MOST


@pytest.mark.parametrize(
    ("contrast", "score", "reason"),
    [
        (28.0, 28.0, ""),
        (64.3, 64.3, ""),
        # What would be written down as the limit is within it.
        (27.99996, 28.0, ""),
        (12.3, 12.3, "hardly stands out from what is around it: 12.3, below 28"),
        (0.0, 0.0, "hardly stands out from what is around it: 0, below 28"),
    ],
)
def test_contrast(contrast: float, score: float, reason: str) -> None:
    verdict = CHECKS["contrast"](evidence(REGION, contrast=contrast), LabelConfig(min_contrast=28.0))
    assert (verdict.score, verdict.reason, verdict.passed) == (score, reason, not reason)


def test_unless_it_is_asked_for_nothing_has_to_stand_out() -> None:
    assert CHECKS["contrast"](evidence(REGION), LabelConfig()).passed


def test_what_just_misses_a_limit_does_not_look_like_it() -> None:
    verdict = CHECKS["contrast"](evidence(REGION, contrast=27.96), LabelConfig(min_contrast=28.0))
    assert verdict.reason == "hardly stands out from what is around it: 27.96, below 28"
