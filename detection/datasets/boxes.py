"""Painted labels with other boxes: scaled about their centres, or those that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from detection.datasets.types import DetectionDataset, Sample

BoxMode = Literal["labelled", "tight", "requested", "calibrated"]
"""As the data set has them, around what was painted, as asked of the painter, or tight ones scaled to how people draw
theirs."""
OnProgress = Callable[[str, int, int], None]
"""Told (what is being done, done, in all)."""
_EDGE_PX = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxScale:
    """By what both sides of a painted label are to be multiplied, and from how many boxes that was measured.

    `doubt`: why what was measured is not trusted, and the usual scale taken; empty where it is.
    """

    factor: float
    real_boxes: int
    painted_boxes: int
    doubt: str = ""


def rescale(painted: DetectionDataset, scales: Mapping[str, BoxScale]) -> DetectionDataset:
    """Multiply the sides of every painted label about its centre, and cut to the picture; real ones are people's."""
    factors = np.array([[scales[name].factor] for name in painted.categories], np.float32)

    def rescaled(sample: Sample, is_painted: np.ndarray) -> Sample:
        low, high = sample.boxes_xyxy[:, :2], sample.boxes_xyxy[:, 2:]
        factor = np.where(is_painted[:, None], factors[sample.labels - 1], np.float32(1))
        middle, half = (low + high) / 2, (high - low) / 2 * factor
        return sample.with_boxes(np.concatenate([middle - half, middle + half], axis=1))

    return replace(painted, samples=tuple(map(rescaled, painted.samples, are_painted(painted))))


def are_painted(data: DetectionDataset) -> list[np.ndarray]:
    """Which labels of each picture are of painted objects, (N,) bool each: those that know what was painted.

    The others were in the photos that were painted into. Of a set in which no label knows it all are taken for painted.
    """
    known = [~np.isnan(sample.tight_xyxy).any(axis=1) for sample in data.samples]
    return known if any(each.any() for each in known) else [np.ones_like(each) for each in known]


def painted_only(data: DetectionDataset) -> DetectionDataset:
    """Leave out the labels of real objects: by them nothing can be measured of painting."""
    pairs = zip(data.samples, are_painted(data), strict=True)
    return replace(data, samples=tuple(sample.choose(keep) for sample, keep in pairs))


def tight_boxes(painted: DetectionDataset) -> DetectionDataset:
    """Take the box around what was painted as the label, where a label knows it."""
    return _taken(painted, "tight_xyxy")


def requested_boxes(painted: DetectionDataset) -> DetectionDataset:
    """Take the box that was asked for as the label, where a label knows it."""
    return _taken(painted, "requested_xyxy")


def _taken(painted: DetectionDataset, name: Literal["tight_xyxy", "requested_xyxy"]) -> DetectionDataset:
    samples = []
    for sample in painted.samples:
        boxes: np.ndarray = getattr(sample, name)
        is_known = ~np.isnan(boxes).any(axis=1, keepdims=True)
        samples.append(sample.with_boxes(np.where(is_known, boxes, sample.boxes_xyxy)))
    return replace(painted, samples=tuple(samples))


def is_whole(sample: Sample, box: np.ndarray) -> bool:
    """Whether no edge of the picture cuts what the box (4,) holds."""
    low, high = box[:2], box[2:]
    return bool((low >= _EDGE_PX).all() and (high <= np.array([sample.width, sample.height]) - _EDGE_PX).all())
