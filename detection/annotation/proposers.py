"""Who proposes: a detector that was trained here, or the one of a bundle, which finds what words describe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from detection.detectors.types import Detections, Predictor
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.geometry import Box, box_iou

# A box that shares more with a surer one is of the same object, whatever class it was found as.
SAME_OBJECT_IOU = 0.6


class ChosenClasses:
    """Proposes what another one does, of some of its categories alone. Raises DatasetError for one that it lacks."""

    def __init__(self, proposer: Predictor, names: Sequence[str]):
        numbers = {name.casefold(): number for number, name in enumerate(proposer.categories, start=1)}
        unknown = [name for name in names if name.casefold() not in numbers]
        if unknown:
            expected = f"no class of this run; its classes: {', '.join(proposer.categories)}"
            raise DatasetError([Fault(file="--classes", found=", ".join(unknown), expected=expected)])
        self._proposer = proposer
        chosen = [numbers[name.casefold()] for name in names]
        self.categories = tuple(proposer.categories[number - 1] for number in chosen)
        self._new = np.zeros(len(proposer.categories) + 1, np.int64)
        self._new[chosen] = np.arange(1, len(chosen) + 1)

    def predict(self, pictures: Sequence[np.ndarray], *, with_masks: bool = True) -> list[Detections]:
        """Find objects of these categories."""
        return [self._chosen(found) for found in self._proposer.predict(pictures, with_masks=with_masks)]

    def _chosen(self, found: Detections) -> Detections:
        labels = self._new[found.labels]
        keep = labels > 0
        return Detections(
            boxes_xyxy=found.boxes_xyxy[keep],
            labels=labels[keep],
            scores=found.scores[keep],
            masks=None if found.masks is None else found.masks[keep],
        )


class Finder(Protocol):
    """Finds what texts describe in a picture (HWC uint8 RGB): boxes with scores, the best first (foundation/owl.py)."""

    def find(self, picture: np.ndarray, texts: Sequence[str]) -> list[tuple[Box, float]]:
        """Find what any of the texts describes."""
        ...


class WordProposer:
    """Proposes what an open-vocabulary detector finds; `texts` are the words for each category."""

    def __init__(self, finder: Finder, texts: Mapping[str, Sequence[str]]):
        self.categories = tuple(texts)
        self._finder = finder
        self._texts = texts

    def predict(self, pictures: Sequence[np.ndarray], *, with_masks: bool = True) -> list[Detections]:  # noqa: ARG002
        """Find objects, each as the class that fits it best; it gives no masks."""
        return [self._find(picture) for picture in pictures]

    def _find(self, picture: np.ndarray) -> Detections:
        found = [
            (box, score, label)
            for label, name in enumerate(self.categories, start=1)
            for box, score in self._finder.find(picture, self._texts[name])
        ]
        kept: list[tuple[Box, float, int]] = []
        for each in sorted(found, key=lambda item: -item[1]):
            if all(box_iou(each[0], other[0]) < SAME_OBJECT_IOU for other in kept):
                kept.append(each)
        return Detections(
            boxes_xyxy=np.array([box.xyxy for box, _, _ in kept], np.float32).reshape(-1, 4),
            labels=np.array([label for _, _, label in kept], np.int64),
            scores=np.array([score for _, score, _ in kept], np.float32),
        )
