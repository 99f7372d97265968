"""The way back into the picture: what was not to be touched is not touched, colours are matched, the edge is soft."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.config import PaintingConfig
from generator.foundation.geometry import Box
from generator.painting.blenders import BLENDERS
from generator.painting.crop import CropFrame, frame_around, to_native
from generator.painting.painter import Painting
from generator.painting.stitch import (
    CORNER_ROUNDING,
    MIN_SOFTNESS_PX,
    WOBBLE,
    Stitched,
    blend_weights,
    match_to_ring,
    stitch,
)
from tests.generator.painting.stand_ins import INNER, frame_of, place

CANVAS_WH = (208, 160)
every_blender = pytest.mark.parametrize("blender", BLENDERS)


def inside_region(frame: CropFrame) -> np.ndarray:
    """Pixels of the crop (HW bool) that lie at least partly in the region."""
    left, top, right, bottom = frame.region_edges()
    x, y = np.arange(frame.crop.width), np.arange(frame.crop.height)
    columns = (x + 1 > left + 1e-6) & (x < right - 1e-6)
    rows = (y + 1 > top + 1e-6) & (y < bottom - 1e-6)
    return rows[:, None] & columns[None, :]


def canvas() -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.random((10, 12, 3), dtype=np.float32) * (60, 40, 50) + (130, 120, 110)
    smooth = cv2.resize(coarse.astype(np.float32), CANVAS_WH, interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8)


def framed(box: Box, *, mask_padding: float = 0.12) -> CropFrame:
    return frame_around(box, CANVAS_WH, native_px=128, size_multiple=32, box_share=0.4, mask_padding=mask_padding)


def repaint(before: np.ndarray, frame: CropFrame, box: Box, *, seed: int) -> np.ndarray:
    """What a model would paint: an ellipse in the box, and every other pixel drawn again with noise and a tint."""
    inside = box.shifted(-frame.crop.x_min, -frame.crop.y_min)
    centre = (inside.x_min + inside.width // 2, inside.y_min + inside.height // 2)
    drawn = before.copy()
    cv2.ellipse(drawn, centre, (inside.width // 2 - 2, inside.height // 2 - 2), 0, 0, 360, (70, 30, 110), -1)
    noise = np.random.default_rng(seed).normal(4, 3, (*frame.native_wh[::-1], 3))
    return np.clip(to_native(drawn, frame) + noise, 0, 255).astype(np.uint8)


def stitch_pixels(
    before: np.ndarray,
    pixels: np.ndarray,
    frame: CropFrame,
    box: Box,
    blender: str,
    *,
    protected: np.ndarray | None = None,
    seed: int = 0,
    **settings: Any,
) -> Stitched:
    return stitch(
        before,
        Painting(pixels=pixels, fault="a fault"),
        frame,
        replace(place(0, box), blender=blender),
        protected=np.zeros(before.shape[:2], bool) if protected is None else protected,
        rng=np.random.default_rng(seed),
        settings=PaintingConfig(**settings),
    )


def stitch_object(
    box: Box, blender: str, *, protected: np.ndarray | None = None, seed: int = 0, **settings: Any
) -> tuple[np.ndarray, Stitched, CropFrame]:
    """Paint an object into the box of a canvas; `protected` (HW bool) covers the whole canvas."""
    frame = framed(box, mask_padding=settings.get("mask_padding", 0.12))
    before = canvas()[frame.crop.slices]
    kept = None if protected is None else protected[frame.crop.slices]
    pixels = repaint(before, frame, box, seed=seed)
    return before, stitch_pixels(before, pixels, frame, box, blender, protected=kept, seed=seed, **settings), frame


BOXES = {
    "inside": Box.from_xywh(80, 60, 44, 36),
    "small": Box.from_xywh(30, 90, 8, 10),
    "in the corner": Box.from_xywh(0, 0, 40, 50),
    "at the right": Box.from_xywh(168, 50, 40, 30),
    "long and thin": Box.from_xywh(10, 70, 190, 8),
    "whole canvas": Box.from_xywh(0, 0, *CANVAS_WH),
}
every_box = pytest.mark.parametrize("box", BOXES.values(), ids=BOXES.keys())


@every_blender
@every_box
@pytest.mark.parametrize("match_colour", [True, False])
def test_outside_the_repainted_region_every_pixel_stays(blender: str, box: Box, match_colour: bool) -> None:
    before, stitched, frame = stitch_object(box, blender, match_colour=match_colour)
    region = inside_region(frame)
    assert (stitched.pixels.shape, stitched.pixels.dtype) == (before.shape, np.uint8)
    assert np.array_equal(stitched.pixels[~region], before[~region])
    assert not np.array_equal(stitched.pixels[region], before[region]), "something was painted"
    assert not stitched.evidence.mask[~region].any()
    assert not stitched.evidence.kept[~region].any()


@every_blender
@every_box
@pytest.mark.parametrize("seed", [0, 1, 2, None])
def test_earlier_objects_stay_bit_for_bit(blender: str, box: Box, seed: int | None) -> None:
    protected = np.full(CANVAS_WH[::-1], seed is None, np.uint8)  # None: everything
    if seed is not None:
        rng = np.random.default_rng(seed)
        for _ in range(4):
            centre = int(rng.integers(CANVAS_WH[0])), int(rng.integers(CANVAS_WH[1]))
            cv2.circle(protected, centre, int(rng.integers(4, 20)), 1, -1)
        # One beside the box, so that every case has an earlier object in its region; the box itself is free (chunk.py).
        cv2.circle(protected, (box.x_max, (box.y_min + box.y_max) // 2), 9, 1, -1)
        protected[box.slices] = 0
    before, stitched, frame = stitch_object(box, blender, protected=protected.astype(bool), seed=seed or 0)
    earlier = protected[frame.crop.slices].astype(bool)
    assert np.array_equal(stitched.pixels[earlier], before[earlier])
    assert not stitched.evidence.label_mask[earlier].any()
    assert not stitched.evidence.region[earlier].any()


@every_blender
def test_the_smallest_box_without_a_border_can_be_stitched(blender: str) -> None:
    # 4 px is the least that classes.csv allows; half the weight or more is left in a strip of 2 px or so.
    for x in range(90, 98):
        stitch_object(Box.from_xywh(x, 80, 4, 40), blender, mask_padding=0.0, seed=x)


@every_blender
def test_the_object_is_in_the_picture_and_its_mask_fits(blender: str) -> None:
    box = BOXES["inside"]
    before, stitched, frame = stitch_object(box, blender)
    truth = np.zeros(before.shape[:2], np.uint8)
    inside = box.shifted(-frame.crop.x_min, -frame.crop.y_min)
    centre = (inside.x_min + 22, inside.y_min + 18)
    truth = cv2.ellipse(truth, centre, (20, 16), 0, 0, 360, 1, -1).astype(bool)
    found = stitched.evidence.label_mask
    assert (found & truth).sum() / (found | truth).sum() > 0.9
    core = cv2.erode(truth.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)
    assert np.abs(stitched.pixels[core].astype(int) - (70, 30, 110)).mean() < 12


@every_blender
def test_the_decoders_tint_does_not_show(blender: str) -> None:
    box = BOXES["inside"]
    frame = framed(box)
    before = canvas()[frame.crop.slices]
    # Nothing but a tint: all of it should go.
    tinted = np.clip(to_native(before, frame).astype(int) + np.array([12, -8, 6]), 0, 255).astype(np.uint8)
    stitched = stitch_pixels(before, tinted, frame, box, blender)
    assert np.abs(stitched.pixels.astype(float) - before).mean(axis=(0, 1)).max() < 1.5
    assert not stitched.evidence.mask.any()


@pytest.mark.parametrize(
    ("box", "open_edges"),
    [
        # left, top, right, bottom
        (BOXES["inside"], (False, False, False, False)),
        (BOXES["in the corner"], (True, True, False, False)),
        (BOXES["at the right"], (False, False, True, False)),
        (BOXES["whole canvas"], (True, True, True, True)),
        # A square crop of 160 px, 24 px off the left and right of the canvas: its edge is not the picture's.
        (Box.from_xywh(41, 60, 126, 40), (False, False, False, False)),
    ],
    ids=["inside", "in the corner", "at the right", "whole canvas", "as wide as its crop"],
)
def test_the_evidence_of_where_it_lies_and_of_what_went_wrong(box: Box, open_edges: tuple[bool, ...]) -> None:
    _, stitched, frame = stitch_object(box, "feather")
    evidence = stitched.evidence
    assert evidence.open_edges == open_edges
    assert evidence.box.shifted(frame.crop.x_min, frame.crop.y_min) == box
    assert evidence.region[evidence.box.slices].all()
    assert evidence.fault == "a fault"


@every_blender
def test_no_seam_where_the_picture_goes_on_beyond_the_crop(blender: str) -> None:
    box = Box.from_xywh(41, 60, 126, 40)
    frame = framed(box)
    before = canvas()[frame.crop.slices]
    magenta = np.full((*frame.native_wh[::-1], 3), (255, 0, 255), np.uint8)
    stitched = stitch_pixels(before, magenta, frame, box, blender, match_colour=False)
    change = np.abs(stitched.pixels.astype(int) - before).max(axis=2)
    # Beside these columns lies what was never in the crop: they may show the start of the slope, no more.
    inner = [column for column, x in ((0, frame.crop.x_min), (-1, frame.crop.x_max)) if 0 < x < CANVAS_WH[0]]
    assert not (change[:, inner] > 30).any()


def test_the_same_attempt_gives_the_same_bytes() -> None:
    first, second = (stitch_object(BOXES["small"], "poisson", seed=5)[1] for _ in range(2))
    assert first.pixels.tobytes() == second.pixels.tobytes()
    assert first.evidence.mask.tobytes() == second.evidence.mask.tobytes()


SIDE_PX = 96


@pytest.fixture
def before() -> np.ndarray:
    noise = np.random.default_rng(1).random((12, 12, 3), dtype=np.float32)
    return (60 + 120 * cv2.resize(noise, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR)).astype(np.uint8)


@pytest.fixture
def known() -> np.ndarray:
    """Everything but a region of 40 x 40 px."""
    ring = np.ones((SIDE_PX, SIDE_PX), bool)
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
    drift = np.linspace(-6, 6, SIDE_PX)[None, :, None]
    tinted = np.rint(before + drift).astype(np.uint8)
    matched = match_to_ring(tinted, before, known)
    assert np.abs(matched - before)[28:68, 28:68].mean() < 0.35 * np.abs(drift[:, 28:68]).mean() + 0.3
    assert np.abs(matched - before).mean() < 0.5 * np.abs(tinted.astype(int) - before).mean()


def test_a_redrawn_thing_in_the_ring_is_no_tint(before: np.ndarray, known: np.ndarray) -> None:
    drawn = before.copy()
    drawn[40:56, 4:12] = 0  # a dark thing left of the region: differs by 60 to 180 grey levels
    # Believed in full, such a thing would lift the region beside it by tens of grey levels.
    assert np.abs(match_to_ring(drawn, before, known) - drawn)[28:68, 28:68].max() < 3


def test_nothing_known_means_nothing_changed(before: np.ndarray) -> None:
    patch = 255 - before
    assert np.array_equal(match_to_ring(patch, before, np.zeros((SIDE_PX, SIDE_PX), bool)), patch.astype(np.float32))


def test_the_result_stays_in_range(known: np.ndarray) -> None:
    patch, before = np.full((SIDE_PX, SIDE_PX, 3), 10, np.uint8), np.full((SIDE_PX, SIDE_PX, 3), 5, np.uint8)
    patch[40:50, 40:50] = 0  # 5 below black after the correction
    matched = match_to_ring(patch, before, known)
    assert matched.min() == 0
    assert matched.max() <= 255


SOFTNESS_PX = 6.0


def weights_of(frame: CropFrame, protected: np.ndarray | None = None, *, seed: int = 0, softness: float = SOFTNESS_PX):
    if protected is None:
        protected = np.zeros((frame.crop.height, frame.crop.width), bool)
    return blend_weights(frame, protected, softness_px=softness, rng=np.random.default_rng(seed))


@st.composite
def frames(draw: st.DrawFn) -> CropFrame:
    width, height = draw(st.integers(64, 200)), draw(st.integers(64, 200))
    box_w, box_h = draw(st.integers(4, width)), draw(st.integers(4, height))
    x, y = draw(st.integers(0, width - box_w)), draw(st.integers(0, height - box_h))
    return frame_around(
        Box.from_xywh(x, y, box_w, box_h),
        (width, height),
        native_px=draw(st.sampled_from([64, 256])),
        size_multiple=32,
        box_share=draw(st.floats(0.2, 0.8)),
        mask_padding=draw(st.floats(0, 0.5)),
    )


@settings(max_examples=150, deadline=None)
@given(frames(), st.floats(0, 30), st.integers(0, 99), st.booleans())
def test_weights_stay_in_range_in_the_region_and_off_protected_pixels(
    frame: CropFrame, softness: float, seed: int, has_protected: bool
) -> None:
    protected = np.zeros((frame.crop.height, frame.crop.width), bool)
    if has_protected:
        protected = np.random.default_rng(seed).random(protected.shape) < 0.01
    weights = weights_of(frame, protected, seed=seed, softness=softness)
    assert (weights.shape, weights.dtype) == (protected.shape, np.float32)
    assert np.isfinite(weights).all()
    assert weights.min() >= 0
    assert weights.max() <= 1
    assert not weights[~inside_region(frame)].any()
    assert not weights[protected].any()


@pytest.mark.parametrize("softness", [0.0, 2.0, 6.0, 12.0])
def test_weights_are_one_deep_inside(softness: float) -> None:
    weights = weights_of(INNER, softness=softness)
    # Off the round corners (0.3 of 56 px) and off the edge at its widest (softness and its wobble).
    off = int(np.ceil(max(CORNER_ROUNDING * 56, max(softness, MIN_SOFTNESS_PX) * (1 + WOBBLE))))
    assert (weights[24 + off : 80 - off, 20 + off : 76 - off] == 1).all()


def test_the_edge_fades_without_a_step() -> None:
    row = weights_of(INNER)[52]
    # Smoothstep rises by at most 1.5 / softness a pixel; the wobble adds to it a little.
    assert np.abs(np.diff(row)).max() <= 2 * 1.5 / SOFTNESS_PX
    assert ((row > 0) & (row < 1)).sum() >= SOFTNESS_PX


@pytest.mark.parametrize("seed", range(5))
def test_the_edge_is_no_rectangle(seed: int) -> None:
    weights = weights_of(INNER, seed=seed)
    left = np.argmax(weights[36:68] >= 0.5, axis=1)  # rows between the corners
    assert len(np.unique(left)) >= 2
    assert np.std(weights[36:68, 22]) > 0.02
    assert not any(weights[y, x] for y in (24, 79) for x in (20, 75)), "the corners are round"


@pytest.mark.parametrize(
    ("region", "open_sides"),
    [
        ((0, 48, 112, 160), "left"),
        ((40, 0, 152, 112), "top"),
        ((88, 48, 200, 160), "right"),
        ((40, 88, 152, 200), "bottom"),
        ((0, 0, 112, 112), "left top"),
        ((0, 0, 200, 200), "left top right bottom"),
    ],
)
def test_weights_do_not_fade_at_the_pictures_edge(region: tuple[int, int, int, int], open_sides: str) -> None:
    frame = frame_of(region)
    weights = weights_of(frame)
    x_mid, y_mid = (region[0] + region[2]) // 4, (region[1] + region[3]) // 4
    at_edge = weights[y_mid, 0], weights[0, x_mid], weights[y_mid, -1], weights[-1, x_mid]
    assert at_edge == tuple(float(side in open_sides) for side in ("left", "top", "right", "bottom"))


def test_rounding_does_not_turn_the_pictures_edge_into_a_seam() -> None:
    # 256 / (256 / crop_px) is not crop_px for every size: comparing the two as floats would fade some of them.
    sizes = range(64, 512)
    frames = (frame_of((0, 0, 256, 256), crop_px=crop_px, native_px=256) for crop_px in sizes)
    assert [crop_px for crop_px, frame in zip(sizes, frames, strict=True) if weights_of(frame).min() < 1] == []


@pytest.mark.parametrize(
    ("box_xywh", "canvas_wh", "native_px", "mask_padding"),
    [
        # A square crop of 320 px leaves 45 px of canvas on its left and 51 on its right, and the border of the box
        # ends 5 px from its edges: 4 px at the model's size, which the rounding to 8 px takes to the very edge.
        pytest.param((80, 110, 250, 100), (416, 320), 256, 0.12, id="left and right"),
        pytest.param((110, 80, 100, 250), (320, 416), 256, 0.12, id="top and bottom"),
        pytest.param((300, 300, 420, 200), (1024, 768), 256, 0.4, id="large crop, small model"),
        pytest.param((100, 100, 64, 64), (416, 320), 256, 0.12, id="usual"),
    ],
)
def test_weights_fade_where_the_picture_goes_on_beyond_the_crop(
    box_xywh: tuple[int, int, int, int], canvas_wh: tuple[int, int], native_px: int, mask_padding: float
) -> None:
    options = {"native_px": native_px, "size_multiple": 32, "box_share": 0.4, "mask_padding": mask_padding}
    frame = frame_around(Box.from_xywh(*box_xywh), canvas_wh, **options)
    weights, crop = weights_of(frame), frame.crop
    edges = weights[:, 0], weights[0], weights[:, -1], weights[-1]
    is_inner = crop.x_min > 0, crop.y_min > 0, crop.x_max < canvas_wh[0], crop.y_max < canvas_wh[1]
    # The pixel beyond has weight 0: what is more than the start of the slope would be a hard seam inside the picture.
    assert not any(edge.max() > 0.3 for edge, inner in zip(edges, is_inner, strict=True) if inner)


def test_weights_fade_towards_an_earlier_object() -> None:
    protected = np.zeros((100, 100), bool)
    protected[40:60, 40:50] = True
    weights = weights_of(INNER, protected)
    assert not weights[38:62, 38:52].any(), "two pixels around it stay as well"
    row = weights[50, 52:72]
    assert row[0] < 0.2
    assert row[8] == 1
    assert (np.diff(row[:8]) >= 0).all()
