"""Counts and sizes of a data set, from its records."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from generator.dataset.record import ObjectRecord, SceneRecord
from generator.foundation.geometry import Box, box_iou
from generator.prompts.book import PromptBook

# Sizes and places that are kept of a category, to be drawn; of more objects every second, every fourth ...
MAX_POINTS = 20_000

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryStatistics:
    """One category: how many were asked for, painted and given up, and how large they came out.

    Sizes are geometric means of a box's sides, in pixels: of the boxes asked of the painter, those tight around what it
    painted, the labels, and real ones, where they were measured. `median_score` is what the verifier gave them.
    `painted_wh` and `centres` are of MAX_POINTS objects at most, evenly spread.
    """

    name: str
    planned: int
    train: int
    val: int
    dropped: int
    unplaced: int
    attempts: int
    painted_wh: tuple[tuple[int, int], ...]
    centres: tuple[tuple[float, float], ...]
    requested_median_px: float
    painted_median_px: float
    labelled_median_px: float
    real_median_px: float | None
    median_iou: float
    median_score: float | None

    @property
    def painted(self) -> int:
        """Labels in all."""
        return self.train + self.val

    @property
    def acceptance(self) -> float:
        """Accepted attempts as a share of all."""
        return self.painted / self.attempts if self.attempts else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The whole data set; `backgrounds` counts attempts at scenes."""

    scenes: int
    train_scenes: int
    backgrounds: int
    decoys: int
    decoy_attempts: int
    categories: tuple[CategoryStatistics, ...]
    rejections: Mapping[str, int]
    """Name of a check -> attempts at objects that it rejected, the most frequent first."""

    @property
    def objects(self) -> int:
        """Labels in all."""
        return sum(category.painted for category in self.categories)


class Collector:
    """Counts records one at a time; of an object it keeps five numbers for the medians, so that a million fit."""

    def __init__(self, categories: Iterable[str], real_sides_px: Mapping[str, float] | None = None):
        self._real_sides_px = real_sides_px or {}
        self._categories = {name: _Category() for name in categories}
        self._scenes: Counter[str] = Counter()
        self._rejections: Counter[str] = Counter()
        self._backgrounds = self._decoys = self._decoy_attempts = 0

    def add(self, record: SceneRecord) -> None:
        """Count one record."""
        self._scenes[record.split] += 1
        self._backgrounds += len(record.background.attempts)
        self._decoys += sum(not item.dropped for item in record.decoys)
        self._decoy_attempts += sum(len(item.attempts) for item in record.decoys)
        for item in record.objects:
            for attempt in item.attempts:
                self._rejections.update({verdict.check for verdict in attempt.verdicts if not verdict.passed})
            if item.category in self._categories:
                self._categories[item.category].add(item, record)
        for missing in record.unplaced:
            if missing.category in self._categories:
                self._categories[missing.category].counts["unplaced"] += 1

    def statistics(self) -> Statistics:
        """What was counted so far."""
        return Statistics(
            scenes=self._scenes.total(),
            train_scenes=self._scenes["train"],
            backgrounds=self._backgrounds,
            decoys=self._decoys,
            decoy_attempts=self._decoy_attempts,
            categories=tuple(
                each.statistics(name, self._real_sides_px.get(name)) for name, each in self._categories.items()
            ),
            rejections=dict(self._rejections.most_common()),
        )


class _Category:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._sizes_and_centres = _Thinned[tuple[tuple[int, int], tuple[float, float]]]()
        self._requested_px, self._painted_px, self._labelled_px = array("d"), array("d"), array("d")
        self._ious, self._scores = array("d"), array("d")

    def add(self, item: ObjectRecord, record: SceneRecord) -> None:
        self.counts.update(planned=1, attempts=len(item.attempts))
        label = item.label_xyxy((record.width, record.height))
        if item.painted_box is None or label is None:
            self.counts["dropped"] += 1
            return
        self.counts[record.split] += 1
        requested, box = Box.from_xyxy(*item.requested_box), Box.from_xyxy(*item.painted_box)
        centre = (box.x_min + box.x_max) / 2, (box.y_min + box.y_max) / 2
        self._sizes_and_centres.add(((box.width, box.height), centre))
        self._requested_px.append(math.sqrt(requested.area))
        self._painted_px.append(math.sqrt(box.area))
        self._labelled_px.append(_side(label))
        self._ious.append(box_iou(requested, box))
        if item.verified_score is not None:
            self._scores.append(item.verified_score)

    def statistics(self, name: str, real_median_px: float | None) -> CategoryStatistics:
        shown = self._sizes_and_centres.items
        return CategoryStatistics(
            name=name,
            planned=self.counts["planned"] + self.counts["unplaced"],
            train=self.counts["train"],
            val=self.counts["val"],
            dropped=self.counts["dropped"],
            unplaced=self.counts["unplaced"],
            attempts=self.counts["attempts"],
            painted_wh=tuple(size for size, _ in shown),
            centres=tuple(centre for _, centre in shown),
            requested_median_px=_median(self._requested_px),
            painted_median_px=_median(self._painted_px),
            labelled_median_px=_median(self._labelled_px),
            real_median_px=real_median_px,
            median_iou=_median(self._ious),
            median_score=_median(self._scores) if self._scores else None,
        )


class _Thinned(Generic[Item]):
    """The items of a stream while they are few, then every second, every fourth ...: at most MAX_POINTS of them."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._step, self._seen = 1, 0

    def add(self, item: Item) -> None:
        if self._seen % self._step == 0:
            self.items.append(item)
        self._seen += 1
        if len(self.items) > MAX_POINTS:
            self.items, self._step = self.items[::2], self._step * 2


def _side(box_xyxy: tuple[float, float, float, float]) -> float:
    x_min, y_min, x_max, y_max = box_xyxy
    return math.sqrt((x_max - x_min) * (y_max - y_min))


def _median(values: array[float]) -> float:
    return float(np.median(np.asarray(values))) if values else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptUse:
    """One text that is painted from: for which category ("" a scene), where it came from, how often it was used."""

    name: str
    text: str
    source: str
    similarity: float | None
    used: int


class PromptCounter:
    """Counts, one record at a time, what was painted from which text."""

    def __init__(self) -> None:
        self._uses: Counter[tuple[str, str]] = Counter()

    def add(self, record: SceneRecord) -> None:
        """Count one record."""
        self._uses["", record.background.prompt] += 1
        self._uses.update((item.category, item.prompt) for item in record.objects if item.painted_box is not None)

    def list_prompts(self, book: PromptBook) -> tuple[PromptUse, ...]:
        """List the texts in use, each once a category, with the pictures or labels that came from it."""
        found: dict[tuple[str, str], PromptUse] = {}
        for row in book.enriched.rows:
            for item in row.texts:
                key = (row.name, item.text)
                if not item.rejected and key not in found:
                    found[key] = PromptUse(
                        name=row.name,
                        text=item.text,
                        source=item.source,
                        similarity=item.similarity,
                        used=self._uses[key],
                    )
        return tuple(found.values())
