"""What a verifier is shown, and which texts are true of it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from detection.painter.verifier import PLACE, Look, Saying, draw_look, held_out_looks, varied
from tests.detection.painter.squares import photo, square, subject

KINDS = ("cell", "wall")
PHOTO = photo(*(square("cell", 10 + 26 * number, 10, 12) for number in range(3)), square("wall", 30, 60, 12))


@pytest.mark.parametrize(
    ("kind", "attributes", "is_true"),
    [("cell", (), True), ("cell", ("small",), True), ("cell", ("small", "dark"), False), ("wall", (), False)],
)
def test_a_text_is_true_that_says_nothing_wrong(kind: str, attributes: tuple[str, ...], is_true: bool) -> None:
    seen = Look(
        pixels=np.zeros((8, 8, 3), np.uint8),
        kind="cell",
        attributes=frozenset({"small"}),
        saying=Saying(text="a cell", kind="cell"),
    )
    assert seen.fits(Saying(text="", kind=kind, attributes=frozenset(attributes))) == is_true


def test_its_own_text_is_true_of_every_look_and_all_sorts_come_up() -> None:
    of = subject(PHOTO, kinds=KINDS)
    looks = [draw_look(of, 32, np.random.default_rng(seed)) for seed in range(200)]
    assert all(look.fits(look.saying) and look.pixels.shape == (32, 32, 3) for look in looks)
    counts = Counter(look.kind for look in looks)
    assert min(counts["cell"], counts["wall"], counts[PLACE]) > 30


def test_figures_are_taken_on_every_object_and_on_places() -> None:
    looks = held_out_looks(subject(PHOTO, kinds=KINDS), 32, np.random.default_rng(0))
    counts = Counter(look.kind for look in looks)
    assert (counts["cell"], counts["wall"]) == (3, 1)
    assert 1 <= counts[PLACE] <= 8


def test_looks_vary_less_than_what_tells_dark_from_pale() -> None:
    pixels = np.full((32, 32, 3), 120, np.uint8)
    means = [varied(pixels, np.random.default_rng(seed), turns=True, flips=True).mean() for seed in range(50)]
    assert 95 < min(means) < max(means) < 145


def test_photos_that_their_objects_fill_give_looks_of_objects() -> None:
    of = subject(photo(square("cell", 0, 0, 96), size_wh=(96, 96)))
    looks = [draw_look(of, 32, np.random.default_rng(seed)) for seed in range(100)]
    assert "cell" in {look.kind for look in looks} and PLACE not in {look.kind for look in looks}
