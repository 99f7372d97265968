"""Which objects were missed and which boxes are wrong, picture by picture, from a certain score on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detection.datasets.types import DetectionDataset, Detections
from detection.evaluation.coco_metrics import evaluate_pictures


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matches:
    """Boxes and labels of one picture, matched at IoU 0.50, the best box first.

    `right`: (N,) bool, for each detection whether it found an object; `label_of`: (N,) int64, which one, -1 for none.
    `ignored`: (N,) bool, neither right nor wrong: it met no label, but its category is not labelled throughout.
    """

    right: np.ndarray
    label_of: np.ndarray
    ignored: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingPoint:
    """What comes of taking only boxes from `min_score` on, over all categories together; shares in [0, 1]."""

    min_score: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PictureMistakes:
    """One picture at a working point: positions of its right and wrong detections, and of its missed labels."""

    picture: int
    right: tuple[int, ...]
    wrong: tuple[int, ...]
    missed: tuple[int, ...]

    @property
    def count(self) -> int:
        """Wrong boxes and missed objects."""
        return len(self.wrong) + len(self.missed)


def match_pictures(data: DetectionDataset, found: Sequence[Detections]) -> list[Matches]:
    """Match what was found in each picture with its labels, as COCO does at IoU 0.50."""
    evaluation = evaluate_pictures(data, found, sizes=False)
    matches, first_label, first_box = [], 1, 1
    of_picture: list[list[dict[str, np.ndarray]]] = [[] for _ in range(len(data))]
    for item in evaluation.evalImgs:
        if item is not None:
            of_picture[item["image_id"] - 1].append(item)
    for sample, answer, items in zip(data.samples, found, of_picture, strict=True):
        label_of, ignored = np.full(len(answer.labels), -1, np.int64), np.zeros(len(answer.labels), bool)
        for item in items:
            # Ids count from 1 through all pictures; 0 is no match. The first IoU threshold is 0.50.
            hits, boxes = item["dtMatches"][0] > 0, np.asarray(item["dtIds"], np.int64) - first_box
            label_of[boxes[hits]] = item["dtMatches"][0][hits].astype(np.int64) - first_label
            ignored[boxes] = item["dtIgnore"][0]
        matches.append(Matches(right=label_of >= 0, label_of=label_of, ignored=ignored))
        first_label, first_box = first_label + len(sample.labels), first_box + len(answer.labels)
    return matches


def best_working_point(
    data: DetectionDataset, found: Sequence[Detections], matches: Sequence[Matches]
) -> WorkingPoint | None:
    """The least score to ask for that gives the highest F1 on these pictures; None when nothing is right anywhere."""
    counted = [~match.ignored for match in matches]
    scores = np.concatenate([np.zeros(0), *(item.scores[keep] for item, keep in zip(found, counted, strict=True))])
    right = np.concatenate(
        [np.zeros(0, bool), *(item.right[keep] for item, keep in zip(matches, counted, strict=True))]
    )
    labels = sum(len(sample.labels) for sample in data.samples)
    if not right.any():
        return None
    order = np.argsort(-scores, kind="stable")
    hits, taken = np.cumsum(right[order]), np.arange(1, len(order) + 1)
    f1 = 2 * hits / (taken + labels)
    # Of equal scores all are taken.
    f1[:-1][np.diff(scores[order]) == 0] = 0.0
    best = int(np.argmax(f1))
    return WorkingPoint(
        min_score=float(scores[order][best]),
        precision=float(hits[best] / taken[best]),
        recall=float(hits[best] / labels),
        f1=float(f1[best]),
    )


def find_mistakes(
    data: DetectionDataset, found: Sequence[Detections], matches: Sequence[Matches], *, min_score: float
) -> list[PictureMistakes]:
    """Mistakes in each picture when only boxes from `min_score` on are taken; the picture with most of them first."""
    mistakes = []
    for number, (sample, answer, match) in enumerate(zip(data.samples, found, matches, strict=True)):
        taken = answer.scores >= min_score
        found_labels = set(match.label_of[taken & match.right].tolist())
        mistakes.append(
            PictureMistakes(
                picture=number,
                right=tuple(np.flatnonzero(taken & match.right).tolist()),
                wrong=tuple(np.flatnonzero(taken & ~match.right & ~match.ignored).tolist()),
                missed=tuple(label for label in range(len(sample.labels)) if label not in found_labels),
            )
        )
    return sorted(mistakes, key=lambda item: (-item.count, item.picture))
