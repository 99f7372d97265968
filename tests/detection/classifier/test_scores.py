from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from detection.classifier.scores import Scores, bootstrap_gains, confusions_by_picture, mcnemar, score_predictions

RNG = np.random.default_rng(0)
LABELS = RNG.integers(3, size=240)
PICTURES = [f"{number // 6:02d}" for number in range(240)]


def confusions(share_right: float, seed: int) -> np.ndarray:
    """Confusion counts of predictions of which so many are right."""
    rng = np.random.default_rng(seed)
    said = np.where(rng.random(240) < share_right, LABELS, (LABELS + 1) % 3)
    return confusions_by_picture(LABELS, said, PICTURES, 3)


def test_scores_worked_by_hand() -> None:
    # Nothing is of class 2, and nothing is taken for it.
    labels, said = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 0])
    scores = score_predictions(labels, np.eye(3)[said], 3)
    assert scores.confusion.tolist() == [[3, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert scores.accuracy == pytest.approx(4 / 6)
    for values in (scores.precision, scores.recall, scores.f1):
        assert values.tolist() == pytest.approx([3 / 4, 1 / 2, np.nan], nan_ok=True)
    assert scores.macro.tolist() == pytest.approx([5 / 8] * 3)
    assert scores.weighted.tolist() == pytest.approx([4 / 6] * 3)
    of_pictures = confusions_by_picture(labels, said, ["b", "a", "b", "b", "a", "b"], 3)
    assert of_pictures[0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert of_pictures.sum(0).tolist() == scores.confusion.tolist()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_scores_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    labels, said = (np.array(side) for side in zip(*pairs, strict=True))
    scores, present = score_predictions(labels, np.eye(4)[said], 4), np.unique(labels)
    assert scores.confusion.tolist() == confusion_matrix(labels, said, labels=range(4)).tolist()
    assert float(scores.accuracy) == accuracy_score(labels, said)
    expected = precision_recall_fscore_support(labels, said, labels=present, zero_division=0)
    for name, values in zip(("precision", "recall", "f1"), expected, strict=False):
        assert getattr(scores, name)[present].tolist() == pytest.approx(values.tolist())
    for kind in ("macro", "weighted"):
        expected = precision_recall_fscore_support(labels, said, labels=present, average=kind, zero_division=0)
        assert getattr(scores, kind).tolist() == pytest.approx(expected[:3])


def test_a_clear_gain_is_called_one_and_its_mirror_a_loss() -> None:
    worse = [confusions(share, seed) for seed, share in enumerate((0.5, 0.6, 0.55))]
    better = [confusions(share, seed) for seed, share in enumerate((0.9, 0.95, 0.93), start=3)]
    gains = bootstrap_gains(worse, better, count=500, seed=0)
    values = [Scores(np.stack(arm).sum(1)).accuracy.mean() for arm in (worse, better)]
    assert gains.accuracy.value == pytest.approx(values[1] - values[0])
    assert gains.accuracy.low < gains.accuracy.value < gains.accuracy.high
    assert gains.macro_f1.sign == 1
    assert bootstrap_gains(better, worse, count=500, seed=0).macro_f1.sign == -1


def test_the_luck_of_pictures_is_that_of_a_plain_bootstrap() -> None:
    first, second = confusions(0.6, 1), confusions(0.8, 2)
    # Seeds that agree add no luck of their own.
    gain = bootstrap_gains([first, first], [second, second], count=4000, seed=0).accuracy
    drawn = np.random.default_rng(9).integers(len(first), size=(4000, len(first)))
    plain = Scores(second[drawn].sum(1)).accuracy - Scores(first[drawn].sum(1)).accuracy
    assert gain.error == pytest.approx(np.std(plain), rel=0.05)


def test_pictures_are_the_units_not_crops() -> None:
    # Twenty copies of every crop in its picture say nothing new.
    first, second = [confusions(0.6, 1), confusions(0.65, 3)], [confusions(0.8, 2), confusions(0.75, 4)]
    once = bootstrap_gains(first, second, count=500, seed=0).accuracy
    many = bootstrap_gains([20 * each for each in first], [20 * each for each in second], count=500, seed=0).accuracy
    assert (many.low, many.high) == pytest.approx((once.low, once.high))


def test_equal_arms_gain_nothing_and_a_class_without_crops_has_no_gain() -> None:
    counts = np.zeros((4, 2, 2), np.int64)
    counts[:, 0, 0] = 3
    gains = bootstrap_gains([counts, counts], [counts, counts], count=100, seed=0)
    for gain in (gains.accuracy, gains.macro_f1, gains.recall[0], gains.f1[0]):
        assert (gain.value, gain.low, gain.high) == (0, 0, 0)
    assert np.isnan(gains.recall[1].value)


def test_mcnemar_counts_only_what_differs() -> None:
    labels = np.zeros(12, np.int64)
    original = np.array([1] * 6 + [0] * 6)
    augmented = np.array([0] * 5 + [1] + [0] * 5 + [1])
    result = mcnemar(labels, original, augmented)
    assert (result.only_original, result.only_augmented) == (1, 5)
    # Six throws of a coin with one head or fewer, and as far on the other side: 2 * (1 + 6) / 64
    assert result.p_value == pytest.approx(14 / 64)
    assert mcnemar(labels, original, original).p_value == 1
