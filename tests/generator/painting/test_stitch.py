"""The whole way back into the picture, for every blender: what was not to be touched is not touched."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from generator.config import PaintingConfig
from generator.foundation.geometry import Box
from generator.painting.blenders import BLENDERS
from generator.painting.crop import CropFrame, frame_around, to_native
from generator.painting.stitch import Stitched, match_to_ring, stitch
from generator.plan import Placement

CANVAS_WH = (208, 160)
every_blender = pytest.mark.parametrize("blender", BLENDERS)


def canvas(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.random((10, 12, 3), dtype=np.float32) * (60, 40, 50) + (130, 120, 110)
    smooth = cv2.resize(coarse.astype(np.float32), CANVAS_WH, interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8)


def placed(box: Box, blender: str) -> Placement:
    return Placement(
        object_index=0, category="cell", prompt="a cell", negative_prompt="", box=box, seed=1, blender=blender
    )


def framed(box: Box, *, mask_padding: float = 0.12) -> CropFrame:
    return frame_around(box, CANVAS_WH, native_px=128, size_multiple=32, box_share=0.4, mask_padding=mask_padding)


def repaint(before: np.ndarray, frame: CropFrame, box: Box, *, seed: int = 0, tint: int = 4) -> np.ndarray:
    """What a model would paint: an ellipse in the box, and every other pixel drawn again with noise and a tint."""
    inside = box.shifted(-frame.crop.x_min, -frame.crop.y_min)
    centre = (inside.x_min + inside.width // 2, inside.y_min + inside.height // 2)
    drawn = before.copy()
    cv2.ellipse(drawn, centre, (inside.width // 2 - 2, inside.height // 2 - 2), 0, 0, 360, (70, 30, 110), -1)
    noise = np.random.default_rng(seed).normal(tint, 3, (*frame.native_wh[::-1], 3))
    return np.clip(to_native(drawn, frame) + noise, 0, 255).astype(np.uint8)


def stitch_object(
    box: Box,
    blender: str,
    *,
    protected: np.ndarray | None = None,
    painting: PaintingConfig | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, Stitched, CropFrame]:
    """Paint an object into the box of a canvas; `protected` (HW bool) covers the whole canvas."""
    painting = painting or PaintingConfig()
    frame = framed(box, mask_padding=painting.mask_padding)
    before = canvas()[frame.crop.slices]
    stitched = stitch(
        before,
        repaint(before, frame, box, seed=seed),
        frame,
        placed(box, blender),
        protected=np.zeros(before.shape[:2], bool) if protected is None else protected[frame.crop.slices],
        fault="",
        rng=np.random.default_rng(seed),
        painting=painting,
    )
    return before, stitched, frame


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
    before, stitched, frame = stitch_object(box, blender, painting=PaintingConfig(match_colour=match_colour))
    left, top, right, bottom = frame.region_edges()
    x, y = np.arange(frame.crop.width), np.arange(frame.crop.height)
    region = ((y + 1 > top) & (y < bottom))[:, None] & ((x + 1 > left) & (x < right))[None, :]
    assert (stitched.pixels.shape, stitched.pixels.dtype) == (before.shape, np.uint8)
    assert np.array_equal(stitched.pixels[~region], before[~region])
    assert not np.array_equal(stitched.pixels[region], before[region]), "something was painted"
    assert not stitched.evidence.mask[~region].any()
    assert not stitched.evidence.kept[~region].any()


@every_blender
@every_box
@pytest.mark.parametrize("seed", range(3))
def test_earlier_objects_stay_bit_for_bit(blender: str, box: Box, seed: int) -> None:
    rng = np.random.default_rng(seed)
    protected = np.zeros(CANVAS_WH[::-1], np.uint8)
    for _ in range(4):
        centre = int(rng.integers(CANVAS_WH[0])), int(rng.integers(CANVAS_WH[1]))
        cv2.circle(protected, centre, int(rng.integers(4, 20)), 1, -1)
    # One beside the box, so that every case has an earlier object in its region; the box itself is free (chunk.py).
    cv2.circle(protected, (box.x_max, (box.y_min + box.y_max) // 2), 9, 1, -1)
    protected[box.slices] = 0
    before, stitched, frame = stitch_object(box, blender, protected=protected.astype(bool), seed=seed)
    earlier = protected[frame.crop.slices].astype(bool)
    assert np.array_equal(stitched.pixels[earlier], before[earlier])
    assert not stitched.evidence.label_mask[earlier].any()
    assert not stitched.evidence.region[earlier].any()


@every_blender
def test_nothing_is_touched_when_everything_is_protected(blender: str) -> None:
    before, stitched, _ = stitch_object(BOXES["inside"], blender, protected=np.ones(CANVAS_WH[::-1], bool))
    assert np.array_equal(stitched.pixels, before)
    assert not stitched.evidence.label_mask.any()


@every_blender
def test_the_smallest_box_without_a_border_can_be_stitched(blender: str) -> None:
    # 4 px is the least that classes.csv allows; half the weight or more is left in a strip of 2 px or so.
    for x in range(90, 98):
        stitch_object(Box.from_xywh(x, 80, 4, 40), blender, painting=PaintingConfig(mask_padding=0.0), seed=x)


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
    stitched = stitch(
        before,
        tinted,
        frame,
        placed(box, blender),
        protected=np.zeros(before.shape[:2], bool),
        fault="",
        rng=np.random.default_rng(0),
        painting=PaintingConfig(),
    )
    assert np.abs(stitched.pixels.astype(float) - before).mean(axis=(0, 1)).max() < 1.5
    assert not stitched.evidence.mask.any()


def test_the_evidence_is_in_pixels_of_the_crop() -> None:
    _, stitched, frame = stitch_object(BOXES["inside"], "feather")
    evidence = stitched.evidence
    shape = (frame.crop.height, frame.crop.width)
    assert {array.shape for array in (evidence.region, evidence.mask, evidence.kept)} == {shape}
    assert evidence.box.shifted(frame.crop.x_min, frame.crop.y_min) == BOXES["inside"]
    assert evidence.region[evidence.box.slices].all()
    assert np.array_equal(evidence.label_mask, evidence.mask & evidence.kept)


def test_the_painters_fault_reaches_the_evidence() -> None:
    box = BOXES["inside"]
    frame = framed(box)
    before = canvas()[frame.crop.slices]
    black = np.zeros((*frame.native_wh[::-1], 3), np.uint8)
    stitched = stitch(
        before,
        black,
        frame,
        placed(box, "feather"),
        protected=np.zeros(before.shape[:2], bool),
        fault="the picture is black",
        rng=np.random.default_rng(0),
        painting=PaintingConfig(),
    )
    assert stitched.evidence.fault == "the picture is black"


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
def test_open_edges_are_those_of_the_picture(box: Box, open_edges: tuple[bool, bool, bool, bool]) -> None:
    _, stitched, _ = stitch_object(box, "feather")
    assert stitched.evidence.open_edges == open_edges


@every_blender
def test_no_seam_where_the_picture_goes_on_beyond_the_crop(blender: str) -> None:
    box = Box.from_xywh(41, 60, 126, 40)
    frame = framed(box)
    before = canvas()[frame.crop.slices]
    magenta = np.full((*frame.native_wh[::-1], 3), (255, 0, 255), np.uint8)
    stitched = stitch(
        before,
        magenta,
        frame,
        placed(box, blender),
        protected=np.zeros(before.shape[:2], bool),
        fault="",
        rng=np.random.default_rng(0),
        painting=PaintingConfig(match_colour=False),
    )
    change = np.abs(stitched.pixels.astype(int) - before).max(axis=2)
    # Beside these columns lies what was never in the crop: they may show the start of the slope, no more.
    inner = [column for column, x in ((0, frame.crop.x_min), (-1, frame.crop.x_max)) if 0 < x < CANVAS_WH[0]]
    assert not (change[:, inner] > 30).any()


@every_blender
def test_the_same_attempt_gives_the_same_bytes(blender: str) -> None:
    first, second = (stitch_object(BOXES["small"], blender, seed=5)[1] for _ in range(2))
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
    assert np.array_equal(match_to_ring(patch, before, np.zeros((SIDE_PX, SIDE_PX), bool)), patch.astype(np.float32))


def test_the_result_stays_in_range(known: np.ndarray) -> None:
    patch, before = np.full((SIDE_PX, SIDE_PX, 3), 10, np.uint8), np.full((SIDE_PX, SIDE_PX, 3), 5, np.uint8)
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
