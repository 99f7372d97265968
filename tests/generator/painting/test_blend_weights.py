"""The edge of what is painted: soft, irregular, off the picture around and off earlier objects."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.foundation.geometry import Box
from generator.painting.crop import CropFrame, frame_around
from generator.painting.stitch import CORNER_ROUNDING, MIN_SOFTNESS_PX, WOBBLE, blend_weights

SOFTNESS_PX = 6.0


def frame_of(region_xyxy: tuple[int, int, int, int], *, crop_px: int = 100, native_px: int = 200) -> CropFrame:
    """Frame of a square crop, two native pixels to one of the canvas unless told."""
    x_min, y_min, x_max, y_max = region_xyxy
    return CropFrame(
        crop=Box.from_xywh(0, 0, crop_px, crop_px),
        native_wh=(native_px, native_px),
        region=Box(x_min=x_min, y_min=y_min, x_max=x_max, y_max=y_max),
    )


INNER = frame_of((40, 48, 152, 160))  # 20..76 by 24..80 on the canvas
NOTHING = np.zeros((100, 100), bool)


def weights_of(frame: CropFrame, protected: np.ndarray | None = None, *, seed: int = 0, softness: float = SOFTNESS_PX):
    if protected is None:
        protected = np.zeros((frame.crop.height, frame.crop.width), bool)
    return blend_weights(frame, protected, softness_px=softness, rng=np.random.default_rng(seed))


def inside_region(frame: CropFrame) -> np.ndarray:
    """Pixels of the crop (HW bool) that lie at least partly in the region."""
    left, top, right, bottom = frame.region_edges()
    x, y = np.arange(frame.crop.width), np.arange(frame.crop.height)
    columns = (x + 1 > left + 1e-6) & (x < right - 1e-6)
    rows = (y + 1 > top + 1e-6) & (y < bottom - 1e-6)
    return rows[:, None] & columns[None, :]


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


def test_the_edge_follows_from_the_random_generator_alone() -> None:
    assert np.array_equal(weights_of(INNER, seed=3), weights_of(INNER, seed=3))
    assert not np.array_equal(weights_of(INNER, seed=3), weights_of(INNER, seed=4))


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
    at_edge = {
        "left": weights[y_mid, 0],
        "top": weights[0, x_mid],
        "right": weights[y_mid, -1],
        "bottom": weights[-1, x_mid],
    }
    assert at_edge == {side: float(side in open_sides.split()) for side in at_edge}


def test_weights_are_one_everywhere_when_the_whole_picture_is_repainted() -> None:
    assert (weights_of(frame_of((0, 0, 200, 200))) == 1).all()


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
    frame = frame_around(
        Box.from_xywh(*box_xywh),
        canvas_wh,
        native_px=native_px,
        size_multiple=32,
        box_share=0.4,
        mask_padding=mask_padding,
    )
    weights = weights_of(frame)
    inner_edges = {
        "left": (frame.crop.x_min > 0, weights[:, 0]),
        "top": (frame.crop.y_min > 0, weights[0]),
        "right": (frame.crop.x_max < canvas_wh[0], weights[:, -1]),
        "bottom": (frame.crop.y_max < canvas_wh[1], weights[-1]),
    }
    # The pixel beyond has weight 0: what is more than the start of the slope would be a hard seam inside the picture.
    seams = {side: float(edge.max()) for side, (is_inner, edge) in inner_edges.items() if is_inner and edge.max() > 0.3}
    assert not seams


def test_weights_fade_towards_an_earlier_object() -> None:
    protected = NOTHING.copy()
    protected[40:60, 40:50] = True
    weights = weights_of(INNER, protected)
    assert not weights[38:62, 38:52].any(), "two pixels around it stay as well"
    row = weights[50, 52:72]
    assert row[0] < 0.2
    assert row[8] == 1
    assert (np.diff(row[:8]) >= 0).all()


def test_weights_are_zero_when_everything_is_protected() -> None:
    assert not weights_of(INNER, np.ones((100, 100), bool)).any()
