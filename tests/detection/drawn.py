"""Detections made by hand, masks drawn as text, and a detector that needs no training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from detection.datasets.types import Detections
from generator.foundation.history import History
from tests.detection.discs import COLOURS


def boxes(*items: tuple[Sequence[float], int, float]) -> Detections:
    """Make detections without masks of (box, label, score)."""
    return Detections(
        boxes_xyxy=np.array([box for box, _, _ in items], np.float32).reshape(-1, 4),
        labels=np.array([label for _, label, _ in items], np.int64),
        scores=np.array([score for _, _, score in items], np.float32),
    )


def mask(*rows: str) -> np.ndarray:
    """Make a mask (H, W) bool; '#' is the object."""
    return np.array([[cell == "#" for cell in row] for row in rows])


def found(masks: Sequence[np.ndarray], labels: Sequence[int], scores: Sequence[float]) -> Detections:
    """Make detections with the boxes of their masks."""
    corners = []
    for each in masks:
        rows, columns = np.flatnonzero(each.any(axis=1)), np.flatnonzero(each.any(axis=0))
        corners.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    return Detections(
        boxes_xyxy=np.array(corners, np.float32).reshape(-1, 4),
        labels=np.array(labels, np.int64),
        scores=np.array(scores, np.float32),
        masks=np.stack(masks),
    )


def nothing(size_hw: tuple[int, int]) -> Detections:
    """Make an answer without objects, with masks."""
    return Detections(
        boxes_xyxy=np.zeros((0, 4), np.float32),
        labels=np.zeros(0, np.int64),
        scores=np.zeros(0, np.float32),
        masks=np.zeros((0, *size_hw), bool),
    )


class ColourDetector:
    """Finds the discs of tests/detection/discs.py by their colours, the red ones surely (0.9), the blue with 0.4."""

    categories = tuple(COLOURS)

    def predict(self, pictures: Sequence[np.ndarray], *, with_masks: bool = True) -> list[Detections]:
        return [self._find(picture.astype(int), with_masks) for picture in pictures]

    def fit(self, *arguments: object, **settings: object) -> History:
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        raise NotImplementedError

    def _find(self, picture: np.ndarray, with_masks: bool) -> Detections:
        masks = {
            label: np.abs(picture - colour).sum(axis=2) < 60 for label, colour in enumerate(COLOURS.values(), start=1)
        }
        labels = [label for label, each in masks.items() if each.any()]
        if not labels:
            return nothing(picture.shape[:2])
        answer = found([masks[label] for label in labels], labels, [0.9 - 0.5 * (label - 1) for label in labels])
        # Masks of large pictures fill the memory: they are made where they are asked for.
        return answer if with_masks else boxes(*zip(answer.boxes_xyxy, answer.labels, answer.scores, strict=True))
