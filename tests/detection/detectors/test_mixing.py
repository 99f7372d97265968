from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from detection.detectors.batches import MixOrder


def drawn(order: MixOrder, steps: int, batch_size: int) -> list[tuple[int, int]]:
    return [pick for step in range(steps) for pick in order.batch(step, batch_size)]


def test_one_set_is_gone_through_in_shuffled_rounds() -> None:
    picks = drawn(MixOrder([5], [1.0], seed=3), 4, 5)
    rounds = [[number for _, number in picks[start : start + 5]] for start in range(0, 20, 5)]
    assert all(sorted(each) == [0, 1, 2, 3, 4] for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1


def test_shares_are_met_over_time_even_where_a_batch_cannot_hold_them() -> None:
    picks = drawn(MixOrder([100, 3], [0.9, 0.1], seed=0), 50, 4)  # 0.4 pictures of the small set in a batch
    assert Counter(which for which, _ in picks) == {0: 180, 1: 20}
    assert sorted(Counter(number for which, number in picks if which == 1).values()) == [6, 7, 7]


@settings(derandomize=True, max_examples=50, deadline=None)
@given(
    parts=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    batch_size=st.integers(1, 7),
    steps=st.integers(1, 30),
)
def test_no_set_is_ever_a_picture_behind_or_ahead_by_more_than_there_are_sets(
    parts: list[int], batch_size: int, steps: int
) -> None:
    shares = [part / sum(parts) for part in parts]
    counts = Counter[int]()
    order = MixOrder([7] * len(parts), shares, seed=1)
    for number, (which, _) in enumerate(drawn(order, steps, batch_size), start=1):
        counts[which] += 1
        assert all(abs(counts[each] - share * number) < len(parts) for each, share in enumerate(shares))


def test_a_batch_depends_on_its_step_alone() -> None:
    in_order = MixOrder([11, 4], [0.7, 0.3], seed=9)
    batches = [in_order.batch(step, 3) for step in range(12)]
    other = MixOrder([11, 4], [0.7, 0.3], seed=9)
    assert [other.batch(step, 3) for step in (11, 4, 0, 7)] == [batches[step] for step in (11, 4, 0, 7)]
    assert MixOrder([11, 4], [0.7, 0.3], seed=8).batch(0, 3) != batches[0]
