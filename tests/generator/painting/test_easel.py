"""Whose turn it is, and what of a crop goes into the picture."""

from __future__ import annotations

import numpy as np
import pytest

from generator.config import Config
from generator.foundation.geometry import Box
from generator.painting.backgrounds import Background
from generator.painting.easel import Easel, Turn, next_turns
from generator.painting.painter import Painter
from tests.generator.painting.stand_ins import place, scene

CANVAS_WH = (416, 320)


@pytest.fixture(scope="module")
def painter() -> Painter:
    return Painter(Config(painting={"steps": 1}))


def easel_of(*boxes: Box) -> Easel:
    placements = [place(number, box) for number, box in enumerate(boxes)]
    picture = np.full((CANVAS_WH[1], CANVAS_WH[0], 3), 100, np.uint8)
    return Easel(
        plan=scene(placements=placements),
        image=picture,
        background=Background(pixels=picture, attempts=(), taken=0),
        pending=list(placements),
        rejected={},
    )


@pytest.mark.parametrize(
    ("boxes", "at_once"),
    [
        pytest.param(
            [(100, 100, 140, 140), (160, 100, 200, 140)], [0, 1], id="crops overlap, what is repainted does not"
        ),
        pytest.param([(100, 100, 140, 140), (142, 100, 182, 140)], [0], id="borders of the boxes meet"),
        pytest.param([(100, 100, 140, 140), (120, 120, 160, 160), (240, 200, 280, 240)], [0, 2], id="one must wait"),
        pytest.param(
            [(100, 100, 140, 140), (130, 100, 170, 140), (160, 100, 200, 140)],
            [0],
            id="the last is to lie on the second, which waits for the first",
        ),
    ],
)
def test_what_lies_apart_is_painted_at_once(
    boxes: list[tuple[int, int, int, int]], at_once: list[int], painter: Painter
) -> None:
    turns = next_turns(easel_of(*(Box.from_xyxy(*box) for box in boxes)), painter, painter.config)
    assert [turn.placement.object_index for turn in turns] == at_once


def test_two_in_overlapping_crops_leave_each_other_alone(painter: Painter) -> None:
    easel = easel_of(Box.from_xyxy(100, 100, 140, 140), Box.from_xyxy(160, 100, 200, 140))
    first, second = next_turns(easel, painter, painter.config)
    assert first.frame.crop.x_max > second.frame.crop.x_min
    for turn, grey in ((first, 10), (second, 20)):
        turn.put_into(easel.image, _painted(turn, grey))
    for turn, grey in ((first, 10), (second, 20)):
        assert (easel.image[turn.frame.region_on_canvas().slices] == grey).all()
    changed = sum(turn.frame.region_on_canvas().area for turn in (first, second))
    assert (easel.image != 100).any(axis=2).sum() == changed


def _painted(turn: Turn, grey: int) -> np.ndarray:
    pixels = turn.before.copy()
    crop = turn.frame.crop
    pixels[turn.frame.region_on_canvas().shifted(-crop.x_min, -crop.y_min).slices] = grey
    return pixels
