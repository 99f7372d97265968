"""Boxes and outlines on pictures, and their legend."""

import numpy as np
import pytest
from PIL import Image

from detection.inference.drawing import (
    draw_found,
    draw_overlay,
    legend,
    line_px,
    pixel_box,
    semantic_picture,
    with_legend,
)
from generator.dataset.pictures import PALETTE
from tests.detection.drawn import boxes, found, nothing

GREY = np.full((60, 80, 3), 128, np.uint8)
YELLOW = (0xF0, 0xE4, 0x42)


def square(left: int, top: int, side: int) -> np.ndarray:
    drawn = np.zeros((60, 80), bool)
    drawn[top : top + side, left : left + side] = True
    return drawn


def test_an_object_is_filled_outlined_and_the_rest_left_alone() -> None:
    drawn = draw_overlay(GREY, found([square(30, 20, 25)], [1], [0.97]), ["cell"])
    assert drawn[32, 42].tolist() == [round(0.75 * 128 + 0.25 * value) for value in YELLOW]
    assert np.abs(drawn[32, 30].astype(int) - YELLOW).max() <= 50  # on the outline, smoothed
    assert drawn[32, 28].max() < 100  # the dark rim around it
    assert (drawn[50:] == 128).all()
    assert (drawn[:, 60:] == 128).all()
    assert (GREY == 128).all()


def test_the_best_object_is_in_front() -> None:
    drawn = draw_overlay(GREY, found([square(20, 20, 20), square(30, 20, 20)], [2, 1], [0.9, 0.8]), ["cell", "dot"])
    edge = drawn[30, 39].astype(int)  # right edge of the better one, inside of the other
    assert np.abs(edge - (0x56, 0xB4, 0xE9)).max() <= 50


def test_a_score_stands_above_its_object_or_inside_at_the_edge() -> None:
    for top, rows in ((30, slice(16, 29)), (0, slice(3, 16))):
        one = draw_overlay(GREY, found([square(10, top, 25)], [1], [0.97]), ["cell"])
        two = draw_overlay(GREY, found([square(10, top, 25)], [1], [0.12]), ["cell"])
        changed = np.flatnonzero((one != two).any(axis=(1, 2)))
        assert changed.size
        assert rows.start <= changed.min() <= changed.max() < rows.stop


def test_nothing_found_leaves_the_picture() -> None:
    assert (draw_overlay(GREY, nothing((60, 80)), ["cell"]) == GREY).all()


@pytest.mark.parametrize(("shape", "expected"), [((48, 64), 1), ((480, 640), 2), ((2160, 3840), 9)])
def test_lines_grow_with_the_picture(shape: tuple[int, int], expected: int) -> None:
    assert line_px(shape) == expected


def test_the_legend_covers_nothing_and_wraps() -> None:
    answer = found([square(10, 10, 5)], [2], [0.9])
    names = ["white blood cell", "platelet"]
    assert answer.counts(names) == {"white blood cell": 0, "platelet": 1}
    whole = with_legend(GREY, answer, names)
    assert whole.width == 80 and whole.height == 60 + legend(names, answer.counts(names), 80).height
    assert (np.asarray(whole)[:60] == GREY).all()
    wide, narrow = (legend(names, {"white blood cell": 1, "platelet": 2}, width) for width in (600, 160))
    assert narrow.height == 2 * wide.height
    colours = {colour for _, colour in wide.getcolors(maxcolors=100_000) or []}
    assert {YELLOW, (0x56, 0xB4, 0xE9)} <= colours


def test_a_semantic_picture_has_the_colours_of_the_overlays_or_16_bit_for_many_categories() -> None:
    picture = semantic_picture(np.array([[0, 1, 2]], np.uint16), 2)
    assert picture.mode == "P"
    assert np.asarray(picture).tolist() == [[0, 1, 2]]
    expected = [(0, 0, 0), *(tuple(bytes.fromhex(colour[1:])) for colour in PALETTE[:2])]
    assert [picture.convert("RGB").getpixel((column, 0)) for column in range(3)] == expected
    assert np.asarray(semantic_picture(np.array([[0, 300]], np.uint16), 300)).tolist() == [[0, 300]]


def test_boxes_are_drawn_on_a_copy_wide_enough_for_names() -> None:
    picture, answer = Image.new("RGB", (120, 120)), boxes(([10.2, 79.8, 39.9, 110], 1, 0.9))
    drawn = draw_found(picture, answer, ("red",))
    assert drawn.size == (720, 720)
    assert drawn.getpixel((238, 659)) == YELLOW
    assert picture.getpixel((39, 109)) == (0, 0, 0)
    assert draw_found(Image.new("RGB", (800, 100)), answer, ("red",)).size == (800, 100)


@pytest.mark.parametrize(
    ("box", "whole"), [([1.4, 2.6, 9.5, 8.2], (1, 3, 10, 8)), ([5.1, 5.1, 5.3, 5.3], (5, 5, 6, 6))]
)
def test_whole_pixels(box: list[float], whole: tuple[int, int, int, int]) -> None:
    assert pixel_box(np.array(box)).xyxy == whole
