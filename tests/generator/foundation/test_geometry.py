import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from generator.foundation.geometry import (
    Box,
    box_iou,
    intersection_area,
    overlap_share,
    scaled_about_centre,
    square_around,
)

SIDE = 40

PROPERTY = settings(max_examples=200, deadline=None, derandomize=True)


@st.composite
def boxes(draw, side: int = SIDE) -> Box:
    x, y = draw(st.integers(0, side - 1)), draw(st.integers(0, side - 1))
    return Box.from_xywh(x, y, draw(st.integers(1, side - x)), draw(st.integers(1, side - y)))


box = Box.from_xyxy


def pixels(*some: Box) -> np.ndarray:
    # The definition itself, slow and plain: how many of the boxes cover each pixel.
    covered = np.zeros((SIDE, SIDE), dtype=int)
    for one in some:
        covered[one.slices] += 1
    return covered


@pytest.mark.parametrize(
    ("a", "b", "shared", "share", "iou"),
    [
        pytest.param((0, 0, 4, 4), (4, 0, 8, 4), 0, 0, 0, id="touch at an edge"),
        pytest.param((0, 0, 4, 4), (2, 2, 6, 6), 4, 4 / 16, 4 / 28, id="a quarter"),
        pytest.param((0, 0, 10, 10), (2, 3, 4, 7), 8, 1, 8 / 100, id="one inside the other"),
        pytest.param((0, 4, 10, 6), (4, 0, 6, 10), 4, 4 / 20, 4 / 36, id="a cross"),
        pytest.param((-4, -4, 0, 0), (-2, -2, 2, 2), 4, 4 / 16, 4 / 28, id="left of and above the origin"),
    ],
)
def test_what_two_boxes_share(a, b, shared, share, iou):
    for one, other in ((box(*a), box(*b)), (box(*b), box(*a))):
        assert intersection_area(one, other) == shared
        assert overlap_share(one, other) == pytest.approx(share)
        assert box_iou(one, other) == pytest.approx(iou)


@pytest.mark.parametrize("xyxy", [(0, 0, 0, 4), (0, 0, 4, 0), (5, 0, 4, 4), (0, 5, 4, 4), (3, 3, 3, 3)])
def test_a_box_without_pixels_is_refused(xyxy):
    with pytest.raises(ValueError, match="positive width and height"):
        box(*xyxy)


def test_one_box_seen_from_all_sides():
    one = Box.from_xywh(2, 3, 10, 20)
    assert one.xyxy == (2, 3, 12, 23)
    assert one.xywh == (2, 3, 10, 20)
    assert Box.from_xyxy(*one.xyxy) == one
    assert (one.width, one.height, one.area) == (10, 20, 200)
    assert one.shifted(-2, 5) == box(0, 8, 10, 28)
    assert pixels(one).sum() == 200
    assert pixels(one)[3, 2] == pixels(one)[22, 11] == 1  # the first and the last pixel
    assert pixels(one)[23, 2] == pixels(one)[3, 12] == 0  # half-open
    with pytest.raises(AttributeError):
        one.x_min = 0


@PROPERTY
@given(boxes(), boxes())
def test_shared_pixels_are_counted(a, b):
    both = pixels(a, b)
    assert a.area == pixels(a).sum()
    assert intersection_area(a, b) == (both == 2).sum()
    assert box_iou(a, b) == pytest.approx((both == 2).sum() / (both > 0).sum())


@PROPERTY
@given(boxes(), boxes(), st.integers(-99, 99), st.integers(-99, 99))
def test_laws_of_overlap(a, b, dx, dy):
    assert box_iou(a, b) == box_iou(b, a)
    assert overlap_share(a, b) == overlap_share(b, a)
    assert 0 <= box_iou(a, b) <= overlap_share(a, b) <= 1
    assert (box_iou(a, b) == 1) == (a == b)
    assert a.contains(b) == (intersection_area(a, b) == b.area)
    assert box_iou(a.shifted(dx, dy), b.shifted(dx, dy)) == box_iou(a, b)


@pytest.mark.parametrize(
    ("xyxy", "margin", "size_wh", "shift", "expected"),
    [
        pytest.param((10, 10, 30, 20), 0.5, (100, 100), (0, 0), (0, 0, 40, 40), id="the docstring's"),
        pytest.param((40, 40, 60, 60), 0.5, (100, 100), (0, 0), (30, 30, 70, 70), id="in the middle"),
        pytest.param((40, 40, 60, 60), 0.0, (100, 100), (0, 0), (40, 40, 60, 60), id="no margin"),
        pytest.param((40, 45, 60, 55), 0.0, (100, 100), (0, 0), (40, 40, 60, 60), id="no margin, lying"),
        pytest.param((45, 40, 55, 60), 0.0, (100, 100), (0, 0), (40, 40, 60, 60), id="no margin, upright"),
        pytest.param((0, 0, 10, 10), 0.5, (100, 100), (0, 0), (0, 0, 20, 20), id="top left"),
        pytest.param((90, 90, 100, 100), 0.5, (100, 100), (0, 0), (80, 80, 100, 100), id="bottom right"),
        pytest.param((40, 40, 60, 60), 0.5, (100, 100), (1, -1), (40, 20, 80, 60), id="shifted by its margin"),
        pytest.param((40, 40, 60, 60), 0.5, (100, 100), (0.5, 0), (35, 30, 75, 70), id="shifted by half of it"),
        pytest.param((90, 40, 100, 50), 0.5, (100, 100), (1, 0), (80, 35, 100, 55), id="shifted against the border"),
        pytest.param((0, 0, 100, 40), 0.25, (100, 40), (0, 0), (30, 0, 70, 40), id="larger than the picture"),
        pytest.param((0, 0, 40, 100), 0.25, (40, 100), (0, 0), (0, 30, 40, 70), id="larger, upright"),
        pytest.param((7, 7, 8, 8), 0.0, (9, 9), (0, 0), (7, 7, 8, 8), id="one pixel"),
    ],
)
def test_square_around(xyxy, margin, size_wh, shift, expected):
    assert square_around(box(*xyxy), margin=margin, size_wh=size_wh, shift=shift).xyxy == expected


@PROPERTY
@given(boxes(), st.floats(0, 2), st.integers(0, 30), st.tuples(st.floats(-1, 1), st.floats(-1, 1)))
def test_a_square_around_a_box_lies_in_the_picture_and_over_the_box(one, margin, more, shift):
    size_wh = (SIDE, SIDE + more)
    square = square_around(one, margin=margin, size_wh=size_wh, shift=shift)
    assert square.width == square.height
    assert box(0, 0, *size_wh).contains(square)
    if square.width >= max(one.width, one.height) * (1 + 2 * margin) - 0.5:  # not cut down
        assert square.width <= SIDE
        # Half a pixel may be lost by rounding on either side.
        grown = box(square.x_min - 1, square.y_min - 1, square.x_max + 1, square.y_max + 1)
        assert grown.contains(one)
    # The middle of the box is always seen.
    unshifted = square_around(one, margin=margin, size_wh=size_wh)
    assert unshifted.x_min - 1 <= (one.x_min + one.x_max) / 2 <= unshifted.x_max + 1
    assert unshifted.y_min - 1 <= (one.y_min + one.y_max) / 2 <= unshifted.y_max + 1


@pytest.mark.parametrize(
    ("box", "scale", "size_wh", "expected"),
    [
        pytest.param((10, 10, 20, 30), 1.5, (100, 33), (7.5, 5, 22.5, 33), id="the docstring's"),
        pytest.param((11, 11, 14, 20), 0.5, (100, 100), (11.75, 13.25, 13.25, 17.75), id="half, of odd sides"),
        pytest.param((0, 0, 10, 10), 2.0, (100, 100), (0, 0, 15, 15), id="cut on the left and above"),
        pytest.param((90, 80, 100, 100), 2.0, (100, 100), (85, 70, 100, 100), id="cut on the right and below"),
        # Half of 3 px times 1.111 are 1.6665 px about 11.5.
        pytest.param((10, 10, 13, 13), 1.111, (100, 100), (9.83, 9.83, 13.17, 13.17), id="to a hundredth of a pixel"),
    ],
)
def test_a_box_grows_about_its_centre_and_is_cut_at_the_border(
    box: tuple[int, int, int, int],
    scale: float,
    size_wh: tuple[int, int],
    expected: tuple[float, float, float, float],
) -> None:
    found = scaled_about_centre(box, scale, size_wh)
    assert found == expected
    assert all(type(edge) is float for edge in found)


@st.composite
def boxes_in_pictures(draw: st.DrawFn) -> tuple[Box, tuple[int, int]]:
    width, height = draw(st.integers(1, 2000)), draw(st.integers(1, 2000))
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return Box.from_xywh(x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y))), (width, height)


@PROPERTY
@given(boxes_in_pictures(), st.floats(0.2, 5))
def test_a_scaled_box_lies_in_the_picture_and_holds_the_one_it_was_made_of(
    placed: tuple[Box, tuple[int, int]], scale: float
) -> None:
    box, size_wh = placed
    left, top, right, bottom = scaled_about_centre(box.xyxy, scale, size_wh)
    assert 0 <= left < right <= size_wh[0]
    assert 0 <= top < bottom <= size_wh[1]
    if scale >= 1:
        assert left <= box.x_min < box.x_max <= right
        assert top <= box.y_min < box.y_max <= bottom
    else:
        assert box.x_min <= left < right <= box.x_max
        assert box.y_min <= top < bottom <= box.y_max


@PROPERTY
@given(boxes_in_pictures(), st.floats(0.2, 5))
def test_a_box_that_no_border_cuts_keeps_its_centre_and_has_sides_times_the_scale(
    placed: tuple[Box, tuple[int, int]], scale: float
) -> None:
    box, size_wh = placed
    left, top, right, bottom = scaled_about_centre(box.xyxy, scale, size_wh)
    assume(left > 0 and top > 0 and right < size_wh[0] and bottom < size_wh[1])
    # Each edge is rounded to a hundredth of a pixel.
    assert (right - left, bottom - top) == pytest.approx((box.width * scale, box.height * scale), abs=0.0101)
    assert left + right == pytest.approx(box.x_min + box.x_max, abs=0.0101)
    assert top + bottom == pytest.approx(box.y_min + box.y_max, abs=0.0101)
