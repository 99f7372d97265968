from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detection.classifier.scores import confusions_by_picture, measure, score_predictions

# Truth 0 0 0 0 1 1; said 0 0 0 1 1 0; nothing is of class 2, and nothing is taken for it.
LABELS, SAID = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 0])


def test_scores_worked_by_hand() -> None:
    scores = score_predictions(LABELS, np.eye(3)[SAID], 3)
    assert scores.accuracy == pytest.approx(4 / 6)
    assert scores.precision.tolist() == pytest.approx([3 / 4, 1 / 2, 0])
    assert scores.recall.tolist() == pytest.approx([3 / 4, 1 / 2, 0])
    assert scores.f1.tolist() == pytest.approx([3 / 4, 1 / 2, 0])
    assert scores.support.tolist() == [4, 2, 0]
    assert scores.macro == pytest.approx((5 / 8, 5 / 8, 5 / 8))
    assert scores.weighted == pytest.approx((4 / 6, 4 / 6, 4 / 6))
    assert scores.confusion.tolist() == [[3, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_confusions_of_pictures_sum_to_the_whole() -> None:
    counts = confusions_by_picture(LABELS, SAID, ["b", "a", "b", "b", "a", "b"], 3)
    assert counts.shape == (2, 3, 3)
    assert counts[0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert counts.sum(0).tolist() == [[3, 1, 0], [1, 1, 0], [0, 0, 0]]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_scores_of_counts_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    labels, said = (np.array(side) for side in zip(*pairs, strict=True))
    scores, counted = score_predictions(labels, np.eye(4)[said], 4), measure(scores_of(labels, said))
    present = scores.support > 0
    assert float(counted.accuracy) == pytest.approx(scores.accuracy)
    assert float(counted.macro_f1) == pytest.approx(scores.macro_f1)
    assert counted.recall[present].tolist() == pytest.approx(scores.recall[present].tolist())
    assert counted.f1[present].tolist() == pytest.approx(scores.f1[present].tolist())
    assert np.isnan(counted.f1[~present]).all()


def scores_of(labels: np.ndarray, said: np.ndarray) -> np.ndarray:
    return confusions_by_picture(labels, said, ["one"] * len(labels), 4)[0]
