"""Whether a painter only copies, seen by pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detection.painter.figures import (
    NEAR_COPY,
    PaintedSample,
    draw_nearest,
    draw_samples,
    find_nearest,
    places_for,
    region_of,
)
from detection.painter.photos import LabelledPhoto
from detection.painter.samples import Subject, framed
from generator.foundation.geometry import Box
from tests.detection.painter.squares import PLAIN, ColourClip, photo, square, subject


def speckled() -> LabelledPhoto:
    """A photo of two objects, each with a coarse pattern of its own."""
    objects = square("cell", 20, 30, 24), square("cell", 80, 30, 24)
    seen = photo(*objects)
    for seed, each in enumerate(objects):
        pattern = np.random.default_rng(seed).integers(20, 180, (6, 6, 1), np.uint8)
        seen.image[each.box.slices] = np.kron(pattern, np.ones((4, 4, 3), np.uint8))
    return seen


def painted(of: Subject, pixels: np.ndarray) -> PaintedSample:
    whole = Box.from_xywh(0, 0, pixels.shape[1], pixels.shape[0])
    return PaintedSample(category="cell", place=pixels, before=None, after=pixels, region=whole)


@pytest.mark.parametrize(("turns", "is_found"), [(False, False), (True, True)])
def test_a_copy_is_found_turned_too_where_turned_photos_were_learned(turns: bool, is_found: bool) -> None:
    of = subject(speckled(), recipe=replace(PLAIN, turns=turns))
    real = framed(of, "cell")
    copy = np.clip(real[1].astype(int) + 12, 0, 255).astype(np.uint8)  # in another light
    noise = np.random.default_rng(5).integers(0, 255, copy.shape, np.uint8)
    samples = [painted(of, each) for each in (copy, np.ascontiguousarray(np.rot90(copy)), noise)]
    nearest, among_real = find_nearest(samples, of, ColourClip())  # type: ignore[arg-type]
    assert [each.correlation >= NEAR_COPY for each in nearest] == [True, is_found, False]
    np.testing.assert_array_equal(nearest[0].by_pixels, real[1])
    assert among_real == 0.0


def test_sheets_show_a_row_of_each_sort() -> None:
    of = subject(speckled())
    ((kind, place), *_) = places_for(of, 2, seed=0)
    sample = PaintedSample(
        category=kind, place=place.pixels, before=place.pixels, after=place.pixels, region=region_of(place)
    )
    nearest, _ = find_nearest([sample], of, ColourClip())  # type: ignore[arg-type]
    cell = 132
    assert draw_samples([sample], of, 3).size == (3 * cell + 4, 4 * cell + 4)  # place, before, after, real
    assert draw_nearest([sample], nearest, 3).size == (3 * cell + 4, 3 * cell + 4)


def test_places_are_empty_and_ask_for_their_class() -> None:
    places = places_for(subject(speckled(), kinds=("cell", "wall")), 3, seed=0)
    assert [kind for kind, _ in places] == ["cell"] * 3  # no photo shows a wall
    assert {sample.caption for _, sample in places} == {"a cell"}
