"""How good predictions are, by scikit-learn, and by confusion counts where a bootstrap needs thousands of scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scores:
    """Scores of one model. `precision`, `recall`, `f1`: (K,) per class, 0 where there is nothing to divide by;
    `support`: (K,) crops of each class. Averages are over the classes that have crops; `weighted` by their number.
    `confusion`: (K, K) counts, rows are the truth."""

    accuracy: float
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray
    macro: tuple[float, float, float]
    """Precision, recall and F1."""
    weighted: tuple[float, float, float]
    confusion: np.ndarray

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that have crops."""
        return self.macro[2]


def score_predictions(labels: np.ndarray, probabilities: np.ndarray, num_classes: int) -> Scores:
    """Score probabilities (N, K) against labels (N,), N at least 1."""
    predicted = probabilities.argmax(1)
    every, present = list(range(num_classes)), np.unique(labels).tolist()
    precision, recall, f1, support = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0)

    def average(name: str) -> tuple[float, float, float]:
        found = precision_recall_fscore_support(labels, predicted, labels=present, average=name, zero_division=0)
        return float(found[0]), float(found[1]), float(found[2])

    return Scores(
        accuracy=float(accuracy_score(labels, predicted)),
        precision=precision,
        recall=recall,
        f1=f1,
        support=support,
        macro=average("macro"),
        weighted=average("weighted"),
        confusion=confusion_matrix(labels, predicted, labels=every),
    )


def confusions_by_picture(
    labels: np.ndarray, predicted: np.ndarray, pictures: Sequence[str], num_classes: int
) -> np.ndarray:
    """Confusion counts (P, K, K) of each picture, in the order of their names; rows are the truth."""
    names, index = np.unique(np.array(pictures), return_inverse=True)
    counts = np.zeros((len(names), num_classes, num_classes), np.int64)
    np.add.at(counts, (index, labels, predicted), 1)
    return counts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measures:
    """Scores from confusion counts (..., K, K): `accuracy` and `macro_f1` (...,), `recall` and `f1` (..., K). A class
    without crops has NaN and is left out of the average."""

    accuracy: np.ndarray
    macro_f1: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


def measure(confusions: np.ndarray) -> Measures:
    """Compute scores of confusion counts (..., K, K).

    >>> float(measure(np.array([[3, 1], [0, 4]])).accuracy)
    0.875
    """
    right = np.diagonal(confusions, axis1=-2, axis2=-1).astype(float)
    truth, said = confusions.sum(-1).astype(float), confusions.sum(-2).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = right / truth
        f1 = np.where(truth > 0, 2 * right / (truth + said), np.nan)
        return Measures(
            accuracy=right.sum(-1) / truth.sum(-1),
            macro_f1=np.nansum(f1, -1) / (truth > 0).sum(-1),
            recall=recall,
            f1=f1,
        )
