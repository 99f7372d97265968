"""Masks of COCO files: anybody's are read, held against boxes, and traced so that pycocotools draws the same pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask
from scipy.ndimage import binary_fill_holes

from generator.labels.segmentation import decode_segmentation, distance_from_mask, mask_to_polygons


@pytest.mark.parametrize(
    "segmentation",
    [
        7,
        None,
        [],
        [7],
        [{}],
        {},
        {"counts": "0"},
        {"size": "none"},
        {"size": [30], "counts": [1]},
        {"size": [30, 40], "counts": ["a"]},
        {"size": [30, 40], "counts": [-1, 10**12]},
        {"size": ["a", "b"], "counts": "é"},
        *([[4, 5, value, 5, 14, 25]] for value in (float("nan"), float("inf"), -1e12, "4", None)),
    ],
)
def test_what_is_no_segmentation_is_always_a_value_error(segmentation: object) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decode_segmentation(segmentation, (30, 40))


@pytest.mark.parametrize(
    ("bbox", "distance"),
    [
        ([5, 3, 11, 6], 0),
        ([3, 3, 13, 6], 0),  # within 2 px and 2 %
        ([2, 3, 14, 6], 3),
        ([5, 3, 11, 16], 10),
    ],
)
def test_a_box_and_its_mask(bbox: list[float], distance: float) -> None:
    mask = np.zeros((30, 40), bool)
    mask[3:9, 5:16] = True
    assert distance_from_mask(bbox, mask) == distance


def redraw(polygons: list[list[float]], shape_hw: tuple[int, int]) -> np.ndarray:
    """As COCO.annToMask does it."""
    if not polygons:
        return np.zeros(shape_hw, bool)
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *shape_hw))).astype(bool)


def parse(*rows: str) -> np.ndarray:
    return np.array([[mark == "#" for mark in row] for row in rows])


@pytest.mark.parametrize(
    ("mask", "polygons"),
    [
        (parse("...", "..."), []),
        # One pixel is a square of side 1.
        (parse("...", ".#."), [{(1, 1), (1, 2), (2, 1), (2, 2)}]),
        (parse("###", "###"), [{(0, 0), (0, 2), (3, 0), (3, 2)}]),
        (parse("#..", "##."), [{(0, 0), (1, 0), (1, 1), (2, 1), (2, 2), (0, 2)}]),
        (parse("#.#"), [{(0, 0), (1, 0), (1, 1), (0, 1)}, {(2, 0), (3, 0), (3, 1), (2, 1)}]),
    ],
    ids=["empty", "one pixel", "full", "L", "two parts"],
)
def test_polygons_run_along_the_edges_of_pixels(mask: np.ndarray, polygons: list[set[tuple[int, int]]]) -> None:
    traced = [list(zip(points[::2], points[1::2], strict=True)) for points in mask_to_polygons(mask)]
    assert sorted(map(sorted, traced)) == sorted(map(sorted, polygons))
    assert all(type(value) is float for points in traced for point in points for value in point)


@settings(max_examples=500, deadline=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.booleans()))
@example(parse("#.", ".#"))
@example(parse(".#", "#."))
@example(parse("#..#", ".##.", ".##.", "#..#"))
@example(parse(".#.", "#.#", ".#."))
@example(parse("##.", "#.#", ".##"))
def test_polygons_of_any_pixels_without_holes_are_exact(mask: np.ndarray) -> None:
    mask = binary_fill_holes(mask)
    assert np.array_equal(redraw(mask_to_polygons(mask), mask.shape), mask)


@pytest.mark.parametrize("shift_xy", [(0, 0), (1, 1), (2, 3), (7, 4), (60, 31)])
def test_polygons_do_not_depend_on_where_on_the_canvas_a_mask_lies(shift_xy: tuple[int, int]) -> None:
    x, y = shift_xy
    small = np.random.default_rng(3).random((20, 24)) > 0.6
    large = np.zeros((70, 100), bool)
    large[y : y + 20, x : x + 24] = small
    # findContours begins at the topmost part, and so does it after a shift.
    expected = [[value + shift_xy[place % 2] for place, value in enumerate(one)] for one in mask_to_polygons(small)]
    assert mask_to_polygons(large) == expected


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(20, 120), st.integers(20, 120), st.floats(2, 12), st.floats(0.2, 0.8))
def test_polygons_of_blobs_are_exact(seed: int, width: int, height: int, scale: float, share: float) -> None:
    noise = np.random.default_rng(seed).random((height, width), dtype=np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), scale)
    mask = binary_fill_holes(smooth > np.quantile(smooth, share))
    assert np.array_equal(redraw(mask_to_polygons(mask), mask.shape), mask)


def test_polygons_are_short() -> None:
    # Points on straight edges are dropped: a rectangle has four corners whatever its size.
    mask = np.zeros((500, 700), bool)
    mask[20:480, 10:690] = True
    assert [len(points) for points in mask_to_polygons(mask)] == [8]
