"""Photos as a painter learns from them: sizes, and words that were measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detection.datasets.types import DetectionDataset, Sample
from detection.painter.photos import (
    MIN_MEASURED,
    canvas_of,
    described,
    hue_of,
    measure_limits,
    read_photos,
    words_taught,
)
from tests.detection.painter.squares import photo, square

MOST_PX = 416 * 320


def data_of(*sizes: tuple[int, int]) -> DetectionDataset:
    samples = tuple(Sample.of(Path(f"{number}.png"), size, [], []) for number, size in enumerate(sizes))
    return DetectionDataset(categories=("cell",), samples=samples)


@pytest.mark.parametrize(
    ("sizes", "canvas"),
    [
        ([(640, 480)], (424, 312)),
        ([(400, 300)], (400, 304)),  # smaller ones are not enlarged
        ([(64, 48)], (64, 64)),  # a canvas has 64 px and more
        ([(400, 300), (400, 300), (4000, 300)], (400, 304)),  # the median
        ([(300, 1200)], (184, 728)),
    ],
)
def test_a_canvas_is_like_the_photos(sizes: list[tuple[int, int]], canvas: tuple[int, int]) -> None:
    assert canvas_of(data_of(*sizes), MOST_PX) == canvas


def test_photos_are_shrunk_with_their_boxes_and_what_says_nothing_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.full((200, 400, 3), 90, np.uint8)).save(path)
    boxes = [[40, 20, 80, 60], [0.5, 0.5, 9.5, 7], [390, 180, 400, 200]]
    sample = Sample.of(path, (400, 200), boxes, [1, 1, 1])
    (read,) = read_photos(DetectionDataset(categories=("cell",), samples=(sample,)), (100, 50))
    assert read.image.shape == (50, 100, 3)
    assert [each.box.xyxy for each in read.objects] == [(10, 5, 20, 15)]  # the others have less than 4 px
    (whole,) = read_photos(DetectionDataset(categories=("cell",), samples=(sample,)), (800, 400))
    assert whole.image.shape == (200, 400, 3)


def nine(category: str = "cell") -> list:
    """Nine squares on a grid: sides 6 to 22 px, each a little darker, and the last three rather red."""
    places = [(4 + 30 * (number % 3), 4 + 30 * (number // 3)) for number in range(MIN_MEASURED)]
    return [square(category, x, y, 6 + 2 * number) for number, (x, y) in enumerate(places)]


def test_size_tone_and_colour_are_said_of_thirds_and_of_the_colourful_half() -> None:
    colours = [(150 - 10 * number,) * 3 for number in range(6)] + [(160, 20, 20 + number) for number in range(3)]
    plain = photo(*nine(), size_wh=(100, 100), colours=colours)
    (named,) = described([plain], measure_limits([plain]))
    assert [each.size for each in named.objects] == ["small"] * 3 + [""] * 3 + ["large"] * 3
    assert [each.colour for each in named.objects] == [""] * 6 + ["red"] * 3
    assert [each.tone for each in named.objects] == ["pale"] * 3 + [""] * 3 + ["dark"] * 3
    assert named.objects[8].attributes == ("large", "dark", "red")
    assert words_taught([named], "cell") == {"size": ("large", "small"), "tone": ("dark", "pale"), "colour": ("red",)}


def test_of_few_objects_nothing_is_said() -> None:
    plain = photo(*nine()[1:], size_wh=(100, 100))
    (named,) = described([plain], measure_limits([plain]))
    assert not any(each.attributes for each in named.objects)
    assert words_taught([named], "cell") == {}


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        *[((200, 20, 30), "red"), ((220, 110, 30), "orange"), ((220, 210, 40), "yellow"), ((40, 180, 60), "green")],
        *[((30, 190, 190), "cyan"), ((30, 60, 210), "blue"), ((120, 40, 200), "purple"), ((210, 20, 60), "red")],
    ],
)
def test_a_hue_has_the_name_that_people_give_it(rgb: tuple[int, int, int], name: str) -> None:
    assert hue_of(np.full((3, 3, 3), rgb, np.uint8)) == name
