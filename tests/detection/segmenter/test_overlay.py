"""Outlines on pictures, and their legend."""

import numpy as np
import pytest
from PIL import Image

from detection.segmenter.overlay import counts_of, draw_overlay, legend, line_px, palette, with_legend
from detection.segmenter.results import semantic_picture
from generator.dataset.pictures import PALETTE
from tests.detection.segmenter.drawn import found, nothing

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
    assert counts_of(answer, names) == {"white blood cell": 0, "platelet": 1}
    whole = with_legend(GREY, answer, names)
    assert whole.width == 80 and whole.height == 60 + legend(names, counts_of(answer, names), 80).height
    assert (np.asarray(whole)[:60] == GREY).all()
    wide, narrow = (legend(names, {"white blood cell": 1, "platelet": 2}, width) for width in (600, 160))
    assert narrow.height == 2 * wide.height
    colours = {colour for _, colour in wide.getcolors(maxcolors=100_000) or []}
    assert {YELLOW, (0x56, 0xB4, 0xE9)} <= colours


def test_a_semantic_picture_has_the_colours_of_the_overlays() -> None:
    drawn = np.array([[0, 1, 2]], np.uint16)
    picture = semantic_picture(drawn, 2)
    assert picture.mode == "P"
    assert np.asarray(picture).tolist() == [[0, 1, 2]]
    expected = [(0, 0, 0), *(tuple(bytes.fromhex(colour[1:])) for colour in PALETTE[:2])]
    assert [picture.convert("RGB").getpixel((column, 0)) for column in range(3)] == expected
    assert len(palette()) == 768


def test_many_categories_take_16_bit() -> None:
    picture = semantic_picture(np.array([[0, 300]], np.uint16), 300)
    assert np.asarray(picture).tolist() == [[0, 300]]
    assert isinstance(picture, Image.Image)
