from __future__ import annotations

import cv2
import numpy as np
import pytest

from generator.painting.colour import match_to_ring

SIZE_PX = 96


@pytest.fixture
def before() -> np.ndarray:
    noise = np.random.default_rng(1).random((12, 12, 3), dtype=np.float32)
    return (60 + 120 * cv2.resize(noise, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_LINEAR)).astype(np.uint8)


@pytest.fixture
def known() -> np.ndarray:
    """Everything but a region of 40 x 40 px."""
    ring = np.ones((SIZE_PX, SIZE_PX), bool)
    ring[28:68, 28:68] = False
    return ring


@pytest.mark.parametrize("tint", [(0, 0, 0), (6, 6, 6), (-12, 3, 9), (40, -40, 0)])
def test_a_constant_tint_is_removed(before: np.ndarray, known: np.ndarray, tint: tuple[int, int, int]) -> None:
    drawn = before.copy()
    cv2.circle(drawn, (48, 48), 12, (90, 40, 110), -1)
    matched = match_to_ring((drawn.astype(int) + tint).astype(np.uint8), before, known)
    assert (matched.dtype, matched.shape) == (np.float32, before.shape)
    assert np.abs(matched - drawn).max() < 0.01


def test_a_slow_drift_is_mostly_removed(before: np.ndarray, known: np.ndarray) -> None:
    drift = np.linspace(-6, 6, SIZE_PX)[None, :, None]
    tinted = np.rint(before + drift).astype(np.uint8)
    matched = match_to_ring(tinted, before, known)
    assert np.abs(matched - before)[28:68, 28:68].mean() < 0.35 * np.abs(drift[:, 28:68]).mean() + 0.3
    assert np.abs(matched - before).mean() < 0.5 * np.abs(tinted.astype(int) - before).mean()


def test_what_is_drawn_in_the_region_does_not_count(before: np.ndarray, known: np.ndarray) -> None:
    drawn = before.copy()
    drawn[28:68, 28:68] = (250, 5, 5)
    assert np.abs(match_to_ring(drawn, before, known) - drawn).max() < 0.01


def test_a_redrawn_thing_in_the_ring_is_no_tint(before: np.ndarray, known: np.ndarray) -> None:
    drawn = before.copy()
    drawn[40:56, 4:12] = 0  # a dark thing left of the region: differs by 60 to 180 grey levels
    # Believed in full, such a thing would lift the region beside it by tens of grey levels.
    assert np.abs(match_to_ring(drawn, before, known) - drawn)[28:68, 28:68].max() < 3


def test_equal_pictures_stay_equal(before: np.ndarray, known: np.ndarray) -> None:
    assert np.abs(match_to_ring(before, before, known) - before).max() < 0.01


def test_nothing_known_means_nothing_changed(before: np.ndarray) -> None:
    patch = 255 - before
    assert np.array_equal(match_to_ring(patch, before, np.zeros((SIZE_PX, SIZE_PX), bool)), patch.astype(np.float32))


def test_the_result_stays_in_range(known: np.ndarray) -> None:
    patch, before = np.full((SIZE_PX, SIZE_PX, 3), 10, np.uint8), np.full((SIZE_PX, SIZE_PX, 3), 5, np.uint8)
    patch[40:50, 40:50] = 0  # 5 below black after the correction
    matched = match_to_ring(patch, before, known)
    assert matched.min() == 0
    assert matched.max() <= 255


def test_the_inputs_are_left_alone(before: np.ndarray, known: np.ndarray) -> None:
    patch = before + np.uint8(3)
    copies = patch.copy(), before.copy()
    match_to_ring(patch, before, known)
    assert np.array_equal(patch, copies[0])
    assert np.array_equal(before, copies[1])
