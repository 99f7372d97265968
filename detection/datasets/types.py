"""Labelled pictures in memory: what trainers, importers and the proof pass to each other. Pixels stay on disk."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One picture and its labels.

    `boxes_xyxy`: (N, 4) float32, pixels, x_min y_min x_max y_max, inside the picture, of positive area; (0, 4) without
    objects. `labels`: (N,) int64, 1 is the first category of its set; 0 is left to the background. `segmentations`:
    for each box COCO polygons or a run-length encoding, or None. `requested_xyxy`: of painted objects the box that was
    asked for, `tight_xyxy` the one around what was painted, as `boxes_xyxy`; NaN where there is none. `not_exhaustive`:
    labels of which there may be more objects in the picture than are labelled. Arrays are read-only.
    """

    path: Path
    width: int
    height: int
    boxes_xyxy: np.ndarray
    labels: np.ndarray
    segmentations: tuple[Any, ...]
    requested_xyxy: np.ndarray
    tight_xyxy: np.ndarray
    not_exhaustive: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        count = len(self.labels)
        shapes = self.boxes_xyxy.shape, self.requested_xyxy.shape, self.tight_xyxy.shape
        if set(shapes) != {(count, 4)} or len(self.segmentations) != count:
            raise ValueError(f"{self.path}: {count} labels, but boxes of shapes {shapes}")
        for array in (self.boxes_xyxy, self.labels, self.requested_xyxy, self.tight_xyxy):
            array.setflags(write=False)

    @classmethod
    def of(
        cls,
        path: Path,
        size_wh: tuple[int, int],
        boxes_xyxy: np.ndarray | Sequence[Sequence[float]],
        labels: np.ndarray | Sequence[int],
        segmentations: Sequence[Any] | None = None,
        requested_xyxy: np.ndarray | None = None,
        tight_xyxy: np.ndarray | None = None,
        not_exhaustive: Iterable[int] = (),
    ) -> Sample:
        """Make a sample from lists or arrays; copies them."""
        boxes = np.array(boxes_xyxy, np.float32).reshape(-1, 4)
        asked, tight = (
            np.full_like(boxes, np.nan) if given is None else np.array(given, np.float32).reshape(-1, 4)
            for given in (requested_xyxy, tight_xyxy)
        )
        return cls(
            path=path,
            width=size_wh[0],
            height=size_wh[1],
            boxes_xyxy=boxes,
            labels=np.array(labels, np.int64).reshape(-1),
            segmentations=tuple(segmentations) if segmentations is not None else (None,) * len(boxes),
            requested_xyxy=asked,
            tight_xyxy=tight,
            not_exhaustive=frozenset(not_exhaustive),
        )

    def choose(self, keep: np.ndarray) -> Sample:
        """Keep the objects that a mask (N,) bool or positions name."""
        positions = np.arange(len(self.labels))[keep]
        return replace(
            self,
            boxes_xyxy=self.boxes_xyxy[positions],
            labels=self.labels[positions],
            segmentations=tuple(self.segmentations[position] for position in positions),
            requested_xyxy=self.requested_xyxy[positions],
            tight_xyxy=self.tight_xyxy[positions],
        )

    def with_boxes(self, boxes_xyxy: np.ndarray) -> Sample:
        """Give it other boxes ((N, 4), pixels), cut to the picture; a box that leaves nothing is an error."""
        limits = np.array([self.width, self.height, self.width, self.height], np.float32)
        boxes = np.clip(np.asarray(boxes_xyxy, np.float32), 0, limits)
        if np.any(boxes[:, 2:] <= boxes[:, :2]):
            raise ValueError(f"{self.path}: a box without an area")
        return replace(self, boxes_xyxy=boxes)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectionDataset:
    """Pictures with labels of the same categories; label k means `categories[k - 1]`."""

    categories: tuple[str, ...]
    samples: tuple[Sample, ...]

    def __len__(self) -> int:
        return len(self.samples)

    def choose(self, positions: Iterable[int]) -> DetectionDataset:
        """Keep the pictures at these positions, in their order; a position may come more than once."""
        return replace(self, samples=tuple(self.samples[position] for position in positions))

    def joined(self, other: DetectionDataset) -> DetectionDataset:
        """Put the pictures of both together. Raises ValueError when the categories differ."""
        if other.categories != self.categories:
            raise ValueError(f"{self.categories} and {other.categories} are not the same categories")
        return replace(self, samples=(*self.samples, *other.samples))

    def counts(self) -> dict[str, int]:
        """Objects of each category."""
        found = Counter(int(label) for sample in self.samples for label in sample.labels)
        return {name: found[number] for number, name in enumerate(self.categories, start=1)}

    def unlabelled(self) -> dict[str, int]:
        """Pictures in which a category is not, or not all, labelled; only categories of which there are any."""
        found = Counter(label for sample in self.samples for label in sample.not_exhaustive)
        return {name: found[number] for number, name in enumerate(self.categories, start=1) if found[number]}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections:
    """What was found in one picture, best first.

    `boxes_xyxy`: (N, 4) float32 in pixels of the picture as given; `labels`: (N,) int64, 1 is the first category;
    `scores`: (N,) float32 in [0, 1]; `masks`: (N, H, W) bool, or None where the model gives none.
    """

    boxes_xyxy: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    masks: np.ndarray | None = None

    @property
    def boxes_xywh(self) -> np.ndarray:
        """(N, 4) float64: x, y, width and height, as COCO writes boxes."""
        boxes = self.boxes_xyxy.astype(float)
        boxes[:, 2:] -= boxes[:, :2]
        return boxes

    def choose(self, which: np.ndarray | slice) -> Detections:
        """Keep some of them, by their positions or by a mask (N,) bool."""
        return Detections(
            boxes_xyxy=self.boxes_xyxy[which],
            labels=self.labels[which],
            scores=self.scores[which],
            masks=None if self.masks is None else self.masks[which],
        )

    def confident(self, min_score: float) -> Detections:
        """Keep what was found with this score or a better one."""
        return self.choose(self.scores >= min_score)

    def counts(self, categories: Sequence[str]) -> dict[str, int]:
        """How many of each category were found."""
        return {name: int((self.labels == number).sum()) for number, name in enumerate(categories, start=1)}


def digest_of_set(data: DetectionDataset, pictures: Iterable[str]) -> str:
    """SHA-256, in hex, over categories, pictures and labels in their order; where the files lie does not count.

    `pictures`: a digest of each picture's file.
    """
    digest = hashlib.sha256(json.dumps(data.categories).encode())
    for sample, picture in zip(data.samples, pictures, strict=True):
        digest.update(picture.encode())
        for array in (sample.boxes_xyxy, sample.labels, sample.requested_xyxy, sample.tight_xyxy):
            digest.update(array.tobytes())
        digest.update(json.dumps(sample.segmentations).encode())
        if sample.not_exhaustive:  # else it is what it was before there were any
            digest.update(json.dumps(sorted(sample.not_exhaustive)).encode())
    return digest.hexdigest()
