"""Masks of single objects, that may overlap -> one value a pixel: which object, which category."""

from __future__ import annotations

import numpy as np

from detection.datasets.types import Sample
from detection.detectors.types import Detections
from generator.labels.segmentation import decode_segmentation


def front_object(masks: np.ndarray) -> np.ndarray:
    """Number of the first mask that covers each pixel, from 1; 0 where none does.

    (N, H, W) bool -> (H, W) uint16.

    >>> front_object(np.array([[[True, False, False]], [[True, True, False]]])).tolist()
    [[1, 2, 0]]
    """
    if not len(masks):
        return np.zeros(masks.shape[1:], np.uint16)
    return np.where(masks.any(axis=0), masks.argmax(axis=0) + 1, 0).astype(np.uint16)


def semantic_map(masks: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Label of the first mask that covers each pixel; 0, the background, where none does.

    `masks`: (N, H, W) bool; `labels`: (N,), from 1; returns (H, W) uint16. Of detections, best first, it is the
    category of the best one.
    """
    return np.concatenate([[0], labels]).astype(np.uint16)[front_object(masks)]


def masks_of(found: Detections) -> np.ndarray:
    """Masks (N, H, W) bool of what was found. Raises ValueError when the detector gives none."""
    if found.masks is None:
        raise ValueError("a detector without masks, where masks are needed")
    return found.masks


def labelled_map(sample: Sample) -> np.ndarray:
    """Draw the labels of a picture as `semantic_map` does: (H, W) uint16, 0 for the background.

    Where labels overlap the smaller object is in front, or it would vanish behind the larger. Raises ValueError when
    an object has no mask, or one that cannot be drawn.
    """
    masks = np.zeros((len(sample.labels), sample.height, sample.width), bool)
    for number, segmentation in enumerate(sample.segmentations):
        if segmentation is None:
            raise ValueError(f"{sample.path}: object {number + 1} has no mask")
        masks[number] = decode_segmentation(segmentation, (sample.height, sample.width))
    order = np.argsort(masks.sum(axis=(1, 2)), kind="stable")
    return semantic_map(masks[order], sample.labels[order])
