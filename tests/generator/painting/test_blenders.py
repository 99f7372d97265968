"""Contract tests: every blender of BLENDERS, every shape of mask that a stitch can come up with."""

from __future__ import annotations

import typing
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from generator.config import BlenderName
from generator.painting.blenders import BLENDERS, Blender
from generator.plan import BLENDERS_IN_MIX

SIZES_HW = [(8, 8), (20, 20), (33, 47), (64, 96)]


def picture(shape_hw: tuple[int, int], seed: int) -> np.ndarray:
    """Smooth colours with some grain (HWC uint8)."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((6, 6, 3), dtype=np.float32)
    smooth = cv2.resize(coarse, shape_hw[::-1], interpolation=cv2.INTER_LINEAR) * 180 + 30
    return np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


def _blob(h: int, w: int) -> np.ndarray:
    y, x = np.mgrid[:h, :w]
    depth = 1 - np.hypot((y - h / 2 + 0.5) / (0.42 * h), (x - w / 2 + 0.5) / (0.42 * w))
    return np.clip(2.5 * depth, 0, 1)


def _left_half(h: int, w: int) -> np.ndarray:
    return np.broadcast_to(np.clip((0.6 * w - np.arange(w)) / (0.2 * w), 0, 1), (h, w))


def _bottom_right(h: int, w: int) -> np.ndarray:
    return np.flip(_left_half(h, w) * _left_half(w, h).T)


def _one_pixel(h: int, w: int) -> np.ndarray:
    weights = np.zeros((h, w))
    weights[h // 2, w // 3] = 1
    return weights


def _one_row(h: int, w: int) -> np.ndarray:
    weights = np.zeros((h, w))
    weights[h - 1] = 1
    return weights


def _two_parts(h: int, w: int) -> np.ndarray:
    weights = np.zeros((h, w))
    weights[1 : h // 3, 1 : w // 3] = 1
    weights[h // 2 :, w // 2 :] = 0.7
    return weights


MASKS: dict[str, Callable[[int, int], np.ndarray]] = {
    "blob": _blob,
    "left edge": _left_half,
    "corner": _bottom_right,
    "everything": lambda h, w: np.ones((h, w)),
    "nothing": lambda h, w: np.zeros((h, w)),
    "faint": lambda h, w: 0.4 * _blob(h, w),
    "one pixel": _one_pixel,
    "one row": _one_row,
    "two parts": _two_parts,
    "hard": lambda h, w: (_blob(h, w) > 0).astype(float),
}

every_blender = pytest.mark.parametrize("blend", BLENDERS.values(), ids=BLENDERS.keys())
every_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
every_size = pytest.mark.parametrize("shape_hw", SIZES_HW, ids=str)


def test_the_config_knows_every_blender_and_the_plan_draws_from_known_ones() -> None:
    assert set(BLENDERS_IN_MIX) <= set(BLENDERS)
    assert set(typing.get_args(BlenderName)) == {*BLENDERS, "mixed"}


@every_blender
@every_mask
@every_size
def test_pixels_without_weight_are_kept_bit_for_bit(
    blend: Blender, mask: Callable[[int, int], np.ndarray], shape_hw: tuple[int, int]
) -> None:
    before, patch = picture(shape_hw, 1), picture(shape_hw, 2).astype(np.float32)
    weights = mask(*shape_hw).astype(np.float32)
    copies = before.copy(), patch.copy(), weights.copy()
    mixed = blend(before, patch, weights)
    assert (mixed.shape, mixed.dtype) == (before.shape, np.uint8)
    assert np.array_equal(mixed[weights == 0], before[weights == 0])
    assert np.array_equal(blend(before, patch, weights), mixed), "the same input gives the same bytes"

    for array, copy in zip((before, patch, weights), copies, strict=True):
        assert np.array_equal(array, copy), "inputs are left alone"


@every_blender
@every_mask
@every_size
def test_a_patch_equal_to_the_picture_changes_nothing(
    blend: Blender, mask: Callable[[int, int], np.ndarray], shape_hw: tuple[int, int]
) -> None:
    # A clone that lands a pixel off its place would show here.
    before = picture(shape_hw, 3)
    mixed = blend(before, before.astype(np.float32), mask(*shape_hw).astype(np.float32))
    assert np.abs(mixed.astype(int) - before).max() <= 1


@every_blender
@pytest.mark.parametrize(
    "centre",
    [(48, 36), (10, 10), (88, 60), (96, 36), (48, 0)],
    ids=["inside", "near", "nearer", "cut right", "cut top"],
)
@pytest.mark.parametrize("colour", [(20, 20, 30), (235, 230, 240), (200, 40, 160)], ids=["dark", "bright", "bold"])
def test_a_painted_object_arrives_where_it_was_painted(
    blend: Blender, centre: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    # At the picture's own edge the weights do not fade (stitch.py): an object that it cuts has to be there, too.
    before = np.full((72, 96, 3), (150, 140, 120), np.uint8)
    patch = before.copy()
    cv2.circle(patch, centre, 6, colour, -1)
    grown = cv2.circle(np.zeros((72, 96), np.uint8), centre, 18, 1, -1)
    weights = np.clip(cv2.distanceTransform(np.pad(grown, 30, mode="edge"), cv2.DIST_L2, 5)[30:-30, 30:-30] / 6, 0, 1)
    mixed = blend(before, patch.astype(np.float32), weights)
    object_mask = cv2.circle(np.zeros((72, 96), np.uint8), centre, 5, 1, -1).astype(bool)
    assert np.abs(mixed.astype(int) - patch)[object_mask].mean() < 6
    beside = (weights > 0) & ~cv2.circle(np.zeros((72, 96), np.uint8), centre, 8, 1, -1).astype(bool)
    assert np.abs(mixed.astype(int) - before)[beside].mean() < 3


@every_blender
@every_mask
def test_a_little_weight_changes_little(blend: Blender, mask: Callable[[int, int], np.ndarray]) -> None:
    before, weights = np.full((64, 96, 3), 100, np.uint8), mask(64, 96).astype(np.float32)
    changed = np.abs(blend(before, np.full((64, 96, 3), 200, np.float32), weights).astype(int) - before).max(axis=2)
    # At most twice its weight of the difference, and a grey level for rounding: a hard paste changes all of it.
    assert (changed <= 100 * np.minimum(2 * weights, 1) + 1).all()


def test_feather_is_the_weighted_mean() -> None:
    before = np.full((2, 3, 3), 100, np.uint8)
    weights = np.array([[0, 0.25, 0.5], [0.75, 1, 0.1]], np.float32)
    mixed = BLENDERS["feather"](before, np.full((2, 3, 3), 200, np.float32), weights)
    assert mixed[..., 0].tolist() == [[100, 125, 150], [175, 200, 110]]


@pytest.mark.parametrize("name", ["feather", "pyramid"])
def test_full_weight_gives_the_patch_itself(name: str) -> None:
    before, patch = picture((128, 128), 4), picture((128, 128), 5)
    weights = np.zeros((128, 128), np.float32)
    weights[16:112, 16:112] = 1
    mixed = BLENDERS[name](before, patch.astype(np.float32), weights)
    # A pyramid of four levels carries the edge up to 2 * 2**4 pixels inwards.
    inner = slice(16, 112) if name == "feather" else slice(60, 68)
    assert np.abs(mixed.astype(int) - patch)[inner, inner].max() <= (0 if name == "feather" else 4)


def test_poisson_takes_the_colours_around_and_the_patchs_detail() -> None:
    before = picture((96, 96), 6) // 2 + 40
    tinted = before.astype(np.float32) + 30
    mixed = BLENDERS["poisson"](before, tinted, MASKS["blob"](96, 96).astype(np.float32))
    assert np.abs(mixed.astype(int) - before).max() <= 3


@every_blender
def test_what_overshoots_does_not_wrap_around(blend: Blender) -> None:
    before = np.full((40, 40, 3), 250, np.uint8)
    before[:, 20:] = 5
    patch = np.where(before > 100, 255, 0).astype(np.float32)
    mixed = blend(before, patch, MASKS["blob"](40, 40).astype(np.float32))
    assert mixed[:, :18].min() >= 230
    assert mixed[:, 22:].max() <= 25
