"""The crop with context around a box, the way there and back, and what of it may be repainted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from generator.foundation.geometry import Box
from generator.painting.crop import frame_around, native_mask, resize, to_canvas, to_native
from tests.generator.painting.stand_ins import INNER, frame_of

POCKET = {"native_px": 256, "size_multiple": 32, "box_share": 0.4, "mask_padding": 0.12}


@st.composite
def framings(draw: st.DrawFn) -> tuple[Box, tuple[int, int], dict]:
    canvas_wh = draw(st.integers(64, 1200)), draw(st.integers(64, 1200))
    width, height = draw(st.integers(4, canvas_wh[0])), draw(st.integers(4, canvas_wh[1]))
    x, y = draw(st.integers(0, canvas_wh[0] - width)), draw(st.integers(0, canvas_wh[1] - height))
    options = {
        "native_px": draw(st.sampled_from([64, 256, 512, 768])),
        "size_multiple": draw(st.sampled_from([8, 16, 32, 64])),
        "box_share": draw(st.floats(0.06, 0.8)),
        "mask_padding": draw(st.floats(0, 1)),
    }
    return Box.from_xywh(x, y, width, height), canvas_wh, options


@pytest.mark.parametrize(
    ("box_xyxy", "crop", "native_wh", "region"),
    [
        # Side 40 / 0.4 = 100, centred; 2.56 native pixels for one; region 25.2 x 25.2 to 74.8 x 74.8 of the crop.
        pytest.param((40, 30, 80, 70), (10, 0, 110, 100), (256, 256), (64, 64, 192, 192), id="inside"),
        # At least a quarter of the native side; the region stops at the canvas.
        pytest.param((0, 0, 4, 4), (0, 0, 64, 64), (256, 256), (0, 0, 24, 24), id="smallest, in the corner"),
        # Pushed back inside at the far corner: the box lies 60 to 64 in the crop, the region from 59.52 * 4 = 238.
        pytest.param((412, 316, 416, 320), (352, 256, 416, 320), (256, 256), (232, 232, 256, 256), id="far corner"),
        # 256 * sqrt(416 / 320) = 291.9 and 224.5, to the nearest 32.
        pytest.param((0, 0, 416, 320), (0, 0, 416, 320), (288, 224), (0, 0, 288, 224), id="whole canvas"),
        # Side 1000: the whole canvas again; rows 100 - 48 = 52 to 160 at 224 / 320 = 0.7 make 36.4 and 112.
        pytest.param((8, 100, 408, 112), (0, 0, 416, 320), (288, 224), (0, 32, 288, 112), id="long and thin"),
    ],
)
def test_frames_worked_by_hand(
    box_xyxy: tuple[int, ...], crop: tuple[int, ...], native_wh: tuple[int, int], region: tuple[int, ...]
) -> None:
    frame = frame_around(Box.from_xyxy(*box_xyxy), (416, 320), **POCKET)
    assert (frame.crop.xyxy, frame.native_wh, frame.region.xyxy) == (crop, native_wh, region)


def extreme(box_xywh: tuple[int, int, int, int], canvas_wh: tuple[int, int]) -> tuple[Box, tuple[int, int], dict]:
    return Box.from_xywh(*box_xywh), canvas_wh, {**POCKET, "mask_padding": 1.0, "box_share": 0.8}


@settings(max_examples=400, deadline=None)
@given(framings())
@example(extreme((0, 0, 416, 320), (416, 320)))
@example(extreme((200, 0, 4, 320), (416, 320)))
@example(extreme((0, 318, 416, 2), (416, 320)))
@example(extreme((0, 30, 8192, 4), (8192, 64)))
@example(extreme((31, 4000, 4, 4), (64, 8192)))
def test_any_box_keeps_every_promise(framing: tuple[Box, tuple[int, int], dict]) -> None:
    box, canvas_wh, options = framing
    frame = frame_around(box, canvas_wh, **options)
    native = Box.from_xywh(0, 0, *frame.native_wh)
    assert Box.from_xywh(0, 0, *canvas_wh).contains(frame.crop)
    assert frame.crop.contains(box)
    assert native.contains(frame.region)

    multiple = options["size_multiple"]
    assert all(side >= multiple and side % multiple == 0 for side in frame.native_wh)
    # Latents are an eighth of the picture; every native side is a multiple of 8, and so its edge is aligned, too.
    assert all(edge % 8 == 0 for edge in frame.region.xyxy)

    sx, sy = frame.native_wh[0] / frame.crop.width, frame.native_wh[1] / frame.crop.height
    inside = box.shifted(-frame.crop.x_min, -frame.crop.y_min)
    slack = 1e-6
    assert frame.region.x_min <= inside.x_min * sx + slack
    assert frame.region.y_min <= inside.y_min * sy + slack
    assert frame.region.x_max >= inside.x_max * sx - slack
    assert frame.region.y_max >= inside.y_max * sy - slack

    long_side = max(box.width, box.height)
    # Whenever the box, its border and one latent cell beyond it fit into a square.
    needed = long_side * (1 + 2 * options["mask_padding"]) * options["native_px"] / (options["native_px"] - 16) + 4
    if needed <= min(canvas_wh):
        assert frame.crop.width == frame.crop.height
        assert frame.native_wh[0] == frame.native_wh[1]
    # The same work for every crop: native sides are those of native_px squared, to the nearest multiple.
    scale = options["native_px"] / (frame.crop.width * frame.crop.height) ** 0.5
    for side, native_side in zip((frame.crop.width, frame.crop.height), frame.native_wh, strict=True):
        assert native_side == multiple or abs(native_side - side * scale) <= multiple / 2 + slack


def test_region_edges_are_in_pixels_of_the_crop() -> None:
    assert frame_of((64, 64, 192, 256), native_px=256).region_edges() == (25.0, 25.0, 75.0, 100.0)


@pytest.mark.parametrize("size_wh", [(12, 8), (3, 2), (5, 9)])
def test_resize_takes_width_first_and_keeps_flat_colour(size_wh: tuple[int, int]) -> None:
    flat = np.full((4, 6, 3), (10, 120, 250), np.uint8)
    resized = resize(flat, size_wh)
    assert (resized.shape, resized.dtype) == ((size_wh[1], size_wh[0], 3), np.uint8)
    assert np.array_equal(np.unique(resized.reshape(-1, 3), axis=0), [[10, 120, 250]])
    assert resize(flat, (6, 4)) is flat


def test_resize_averages_when_it_shrinks() -> None:
    # Nearest or linear sampling would give 0 or 255: a chequerboard is their worst case.
    checks = (np.indices((8, 8)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    assert set(np.unique(resize(checks, (4, 4)))) <= {127, 128}


def test_there_and_back_keeps_a_smooth_picture() -> None:
    frame = frame_around(Box.from_xywh(100, 80, 50, 30), (416, 320), **POCKET)
    rows, columns = np.indices((frame.crop.height, frame.crop.width))
    smooth = np.stack([40 + rows, 200 - columns, 90 + (rows + columns) // 2], axis=2).astype(np.uint8)
    native = to_native(smooth, frame)
    assert native.shape[:2] == (frame.native_wh[1], frame.native_wh[0])
    back = to_canvas(native, frame)
    assert back.shape == smooth.shape
    assert np.abs(back.astype(int) - smooth).max() <= 2


def test_native_mask_is_the_region_without_every_cell_that_touches_an_earlier_object() -> None:
    expected = np.zeros((200, 200), bool)
    expected[48:160, 40:152] = True
    protected = np.zeros((100, 100), bool)
    assert np.array_equal(native_mask(INNER, protected), expected)
    protected[30:33, 50] = True  # native rows 60..65, columns 100..101: the cells 56..71 by 96..103
    expected[56:72, 96:104] = False
    assert np.array_equal(native_mask(INNER, protected), expected)


@pytest.mark.parametrize(("crop_px", "native_px"), [(100, 256), (256, 256), (300, 256), (512, 256)])
@pytest.mark.parametrize("seed", range(5))
def test_native_mask_is_made_of_whole_cells_and_misses_no_protected_pixel(
    crop_px: int, native_px: int, seed: int
) -> None:
    frame = frame_of((32, 40, 200, 240), crop_px=crop_px, native_px=native_px)
    protected = np.random.default_rng(seed).random((crop_px, crop_px)) < 0.001
    protected[crop_px // 3] = True  # a line one pixel thin
    mask = native_mask(frame, protected)
    cells = mask.reshape(native_px // 8, 8, native_px // 8, 8)
    assert np.array_equal(cells.all(axis=(1, 3)), cells.any(axis=(1, 3)))
    # A crop larger than the model's size shrinks on its way: thin things must not fall between the samples.
    y, x = ((np.argwhere(protected) + 0.5) * native_px / crop_px).astype(int).T
    assert not mask[y, x].any()
