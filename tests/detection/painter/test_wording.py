"""What is said of photos is true, and in words that the card lists."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest

from detection.painter.wording import PlainWording, object_prompt, vocabulary_of
from generator.foundation.geometry import Box
from generator.prompts.sources import compose
from tests.detection.painter.squares import photo, square

CELL = replace(square("dead cell", 10, 10, 20), size="small", tone="dark")


def test_a_prompt_book_says_attributes_as_captions_do() -> None:
    asked = set(compose("a dead cell", {"size": ("small",), "tone": ("dark",)}, np.random.default_rng(0)))
    assert asked == {"a dead cell, small, dark", "a dead cell, small", "a dead cell, dark"}
    said = {PlainWording().object(CELL, np.random.default_rng(seed)) for seed in range(40)}
    assert said == {*asked, object_prompt("dead cell")}


@pytest.mark.parametrize(
    ("box", "caption"),
    [
        ((60, 40, 120, 90), "a quiet place"),
        ((0, 0, 60, 60), "a photo with a dead cell"),
        ((24, 10, 60, 60), None),  # three tenths of it: neither there nor not
        ((18, 10, 60, 60), "a photo with a dead cell"),
    ],
)
def test_a_part_of_a_photo_is_said_to_show_what_is_in_view(box: tuple[int, ...], caption: str | None) -> None:
    wording = PlainWording(scene="a quiet place")
    assert wording.view(photo(CELL), Box.from_xyxy(*box), np.random.default_rng(0)) == caption


def test_captions_that_were_written_take_the_place_of_counts_for_the_whole_photo() -> None:
    wording, rng = PlainWording(captions={"a.png": ["one cell that died"]}), np.random.default_rng(0)
    assert wording.view(photo(CELL), Box.from_xywh(0, 0, 128, 96), rng) == "one cell that died"
    assert wording.view(photo(CELL), Box.from_xywh(0, 0, 60, 60), rng) == "a photo with a dead cell"


def test_the_card_lists_every_word() -> None:
    wording = PlainWording(scene="a quiet place", captions={"a.png": ["one that died"]})
    rng, whole = np.random.default_rng(0), Box.from_xywh(0, 0, 128, 96)
    cells = [square("dead cell", 4 + 20 * number, 4, 12) for number in range(6)]
    photos = [photo(*cells[:count]) for count in (0, 1, 3, 6)]
    said = [wording.object(CELL, rng), wording.place(rng), *(wording.view(each, whole, rng) or "" for each in photos)]
    said += [replace(wording, captions={}).view(each, whole, rng) or "" for each in photos]
    words = set(itertools.chain(*(re.findall(r"\w+", text) for text in said)))
    assert words <= set(vocabulary_of(["dead cell"], wording))
