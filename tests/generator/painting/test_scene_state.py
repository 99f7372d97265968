"""What comes next, and what of a crop goes into the picture."""

from __future__ import annotations

import numpy as np
import pytest

from generator.config import Config
from generator.foundation.geometry import Box
from generator.painting.backgrounds import Background
from generator.painting.scene_state import InpaintTask, SceneState, next_tasks
from generator.painting.stable_diffusion import StableDiffusionPainter
from tests.generator.painting.stand_ins import place, scene

CANVAS_WH = (416, 320)


@pytest.fixture(scope="module")
def painter() -> StableDiffusionPainter:
    return StableDiffusionPainter(Config(painting={"steps": 1}))


def state_of(*boxes: Box) -> SceneState:
    placements = [place(number, box) for number, box in enumerate(boxes)]
    picture = np.full((CANVAS_WH[1], CANVAS_WH[0], 3), 100, np.uint8)
    background = Background(pixels=picture, attempts=(), taken=0)
    return SceneState(plan=scene(placements=placements), background=background, rejected={})


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
    boxes: list[tuple[int, int, int, int]], at_once: list[int], painter: StableDiffusionPainter
) -> None:
    tasks = next_tasks(state_of(*(Box.from_xyxy(*box) for box in boxes)), painter)
    assert [task.placement.object_index for task in tasks] == at_once


def test_two_in_overlapping_crops_leave_each_other_alone(painter: StableDiffusionPainter) -> None:
    state = state_of(Box.from_xyxy(100, 100, 140, 140), Box.from_xyxy(160, 100, 200, 140))
    first, second = next_tasks(state, painter)
    assert first.frame.crop.x_max > second.frame.crop.x_min
    for task, grey in ((first, 10), (second, 20)):
        task.put_into(state.image, _painted(task, grey))
    for task, grey in ((first, 10), (second, 20)):
        assert (state.image[task.frame.region_on_canvas().slices] == grey).all()
    changed = sum(task.frame.region_on_canvas().area for task in (first, second))
    assert (state.image != 100).any(axis=2).sum() == changed


def _painted(task: InpaintTask, grey: int) -> np.ndarray:
    pixels = task.before.copy()
    crop = task.frame.crop
    pixels[task.frame.region_on_canvas().shifted(-crop.x_min, -crop.y_min).slices] = grey
    return pixels
