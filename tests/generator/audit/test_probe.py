"""The probes find what is there and nothing else, on textures whose history is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from generator.audit import cnn
from generator.audit.places import Place, centres_of, draw_untouched
from generator.audit.probe import probe
from generator.foundation.geometry import Box

pytestmark = pytest.mark.slow

SIDE_PX = 160


def texture(rng: np.random.Generator) -> np.ndarray:
    """Soft blobs with grain, as a micrograph has them."""
    blobs = cv2.GaussianBlur(rng.normal(0, 1, (SIDE_PX, SIDE_PX, 3)).astype(np.float32), (0, 0), 5) * 180
    grain = rng.normal(0, 4, blobs.shape)
    return np.clip(150 + blobs + grain, 0, 255).astype(np.uint8)


def leave_alone(picture: np.ndarray, box: Box, rng: np.random.Generator) -> None:
    """Paint nothing."""


def paste(picture: np.ndarray, box: Box, rng: np.random.Generator) -> None:
    """Cut a rectangle out of another picture."""
    picture[box.slices] = texture(rng)[box.slices]


def smooth(picture: np.ndarray, box: Box, rng: np.random.Generator) -> None:
    """Take the grain away, as a decoder does, with a soft edge: no line is to be seen."""
    weight = np.zeros(picture.shape[:2], np.float32)
    weight[box.slices] = 1
    weight = cv2.GaussianBlur(weight, (0, 0), 3)[..., None]
    blurred = cv2.GaussianBlur(picture, (0, 0), 1.2).astype(np.float32)
    picture[:] = np.rint(picture + (blurred - picture) * weight).astype(np.uint8)


def tint(picture: np.ndarray, box: Box, rng: np.random.Generator) -> None:
    """Make the rectangle a little redder."""
    picture[box.slices] = np.clip(picture[box.slices] + np.array([9.0, -4.0, 0.0]), 0, 255)


def places(
    edit: Callable[[np.ndarray, Box, np.random.Generator], None], pictures: int, seed: int = 0, sky_px: int = 0
) -> list[Place]:
    """Edit one place in each picture, its centre below the `sky_px` rows of a smooth sky."""
    rng = np.random.default_rng(seed)
    changed: list[Place] = []
    for group in range(pictures):
        picture = texture(rng)
        picture[:sky_px] = 200
        width, height = rng.integers(30, 60, 2)
        x, y = (int(rng.integers(20, SIDE_PX - side - 20)) for side in (width, height))
        if sky_px:  # feet on the ground
            y = int(rng.integers(sky_px, SIDE_PX - 50)) - int(height) // 2
        box = Box.from_xywh(x, y, int(width), int(height))
        edit(picture, box, rng)
        changed.append(Place(picture=picture, box=box, group=group, is_painted=True))
    centres = centres_of(changed)
    pairs = [pair for place in changed for pair in draw_untouched([place], [place.box], centres, rng)]
    return [place for pair in pairs for place in pair]


@pytest.mark.parametrize("edit", [paste, smooth, tint])
def test_what_was_done_is_found(edit: Callable[..., None]) -> None:
    found = probe(places(edit, 40), seed=0, with_network=False)
    assert found.finding is not None
    assert found.finding.leak.value > 0.9
    assert found.finding.leak.low > 0.8
    assert found.finding.leak.low <= found.finding.leak.value <= found.finding.leak.high


def test_where_nothing_was_done_nothing_is_found() -> None:
    found = probe(places(leave_alone, 120), seed=0, with_network=False)
    assert found.finding is not None
    assert found.finding.leak.low < 0.5 < found.finding.leak.high


def test_on_what_ground_objects_stand_is_no_trace_of_painting() -> None:
    found = probe(places(leave_alone, 60, sky_px=75), seed=0, with_network=False)
    assert found.finding is not None
    assert found.finding.leak.low < 0.5 < found.finding.leak.high


def test_the_network_finds_a_paste_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cnn, "_STEPS", 60)  # a hard paste is learnt fast
    # As if of two pictures: two networks are trained, one for each fold, and not five.
    found = probe([replace(place, group=place.group % 2) for place in places(paste, 40)], seed=0)
    assert found.finding is not None
    assert found.finding.auc["network"].value > 0.9


def test_the_same_places_get_the_same_judgement() -> None:
    some = places(smooth, 24)
    first, second = (probe(some, seed=3, with_network=False) for _ in range(2))
    assert first.finding is not None
    assert first.finding == second.finding
    np.testing.assert_array_equal(first.suspicion, second.suspicion)


def test_too_few_places_say_nothing_but_how_many_they_were() -> None:
    some = places(paste, 12)
    few = probe(some, seed=0)
    assert (few.finding, few.compared) == (None, len(some) // 2)
    assert not np.isfinite(few.suspicion).any()
    nothing = probe([], seed=0)
    assert (nothing.finding, nothing.compared) == (None, 0)
