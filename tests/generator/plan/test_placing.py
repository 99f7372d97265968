"""How light it is around boxes, and how they rank among others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.plan.placing import Ground

PROPERTY = settings(max_examples=100, deadline=None, derandomize=True, database=None)


def grey(width: int, height: int, value: int = 100) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_what_is_in_a_box_does_not_count() -> None:
    picture = grey(100, 80)
    picture[30:50, 40:60] = 255
    assert Ground(picture).around(np.array([[40, 30, 60, 50]])) == pytest.approx([100.0])


def test_the_ring_reaches_a_quarter_of_the_side_beyond_each_edge() -> None:
    picture = grey(100, 80)
    picture[:, :35] = 0  # left of the ring
    picture[:, 35:40] = 40  # its left part, 5 of 30 columns
    ring, left = 30 * 30 - 20 * 20, 5 * 30
    expected = (left * 40 + (ring - left) * 100) / ring
    assert Ground(picture).around(np.array([[40, 30, 60, 50]])) == pytest.approx([expected])


def test_at_the_border_the_part_in_the_picture_counts_and_without_one_nothing_is_known() -> None:
    picture = grey(40, 40)
    picture[:, 20:] = 200
    around = Ground(picture).around(np.array([[0, 0, 10, 10], [30, 30, 40, 40], [0, 0, 40, 40]]))
    assert around[:2] == pytest.approx([100.0, 200.0])
    assert np.isnan(around[2])


def test_ranks_run_from_the_darkest_place_to_the_lightest() -> None:
    ramp = np.repeat(np.linspace(0, 255, 300).astype(np.uint8)[None, :, None], 100, axis=0).repeat(3, axis=2)
    boxes = np.array([[x, 40, x + 20, 60] for x in (0, 70, 140, 210, 280)])
    ranks = Ground(ramp).ranks(boxes, np.random.default_rng(0))
    assert ranks == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0], abs=0.1)


def test_where_all_is_equally_light_every_place_is_in_the_middle() -> None:
    rng = np.random.default_rng(0)
    assert Ground(grey(60, 60)).ranks(np.array([[5, 5, 20, 20], [30, 30, 45, 45]]), rng) == pytest.approx([0.5, 0.5])
    assert Ground(grey(60, 60)).ranks(np.array([[0, 0, 60, 60]]), rng) == pytest.approx([0.5])
    assert len(Ground(grey(60, 60)).ranks(np.zeros((0, 4)), rng)) == 0


@PROPERTY
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(20, 90), st.integers(20, 90)),
    st.integers(1, 18),
    st.integers(1, 18),
)
def test_a_rank_is_a_share_and_the_same_in_half_the_light(
    seed: int, size_wh: tuple[int, int], width: int, height: int
) -> None:
    rng = np.random.default_rng(seed)
    dark = rng.integers(0, 128, (size_wh[1], size_wh[0], 1), np.uint8).repeat(3, axis=2)
    boxes = np.array([[x, y, x + width, y + height] for x, y in rng.integers(0, 20, (5, 2))])
    ranks = Ground(dark).ranks(boxes, np.random.default_rng(1))
    assert ((ranks >= 0) & (ranks <= 1)).all()
    assert Ground(dark * 2).ranks(boxes, np.random.default_rng(1)) == pytest.approx(ranks)
