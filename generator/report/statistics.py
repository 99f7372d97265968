"""Counts and sizes of a data set, from its records."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from generator.dataset.record import ObjectRecord, RealObjectRecord, SceneRecord
from generator.foundation.geometry import Box, box_iou
from generator.prompts.book import PromptBook

# Sizes and places that are kept of a category, to be drawn; of more objects every second, every fourth ...
MAX_POINTS = 20_000


class CategoryStatistics:
    """One category: how many were asked for, painted and given up, and how large they came out.

    Of photos that were painted into: how many labels they brought along (`real_train`, `real_val`), how many of their
    objects got none (`unlabelled`), and how many were `seen` that nobody had labelled.

    Sizes are medians of the geometric mean of a box's sides, in pixels: of the boxes asked of the painter, those tight
    around what it painted, the labels, and real ones, where they were measured. Of an object five numbers are kept for
    the medians, so that a million fit.
    """

    def __init__(self, name: str, real_median_px: float | None = None):
        self.name = name
        self.real_median_px = real_median_px
        self.planned = self.train = self.val = self.dropped = self.unplaced = self.attempts = 0
        self.real_train = self.real_val = self.unlabelled = self.seen = 0
        self._requested_px, self._painted_px, self._labelled_px = array("d"), array("d"), array("d")
        self._ious, self._scores = array("d"), array("d")
        self._points: list[tuple[tuple[int, int], tuple[float, float]]] = []
        self._step, self._seen = 1, 0

    def add(self, item: ObjectRecord, record: SceneRecord) -> None:
        """Count one object of a scene."""
        self.planned += 1
        self.attempts += len(item.attempts)
        label = item.label_xyxy((record.width, record.height))
        if item.painted_box is None or label is None:
            self.dropped += 1
            return
        if record.split == "train":
            self.train += 1
        else:
            self.val += 1
        requested, box = Box.from_xyxy(*item.requested_box), Box.from_xyxy(*item.painted_box)
        self._requested_px.append(math.sqrt(requested.area))
        self._painted_px.append(math.sqrt(box.area))
        self._labelled_px.append(math.sqrt((label[2] - label[0]) * (label[3] - label[1])))
        self._ious.append(box_iou(requested, box))
        if item.verified_score is not None:
            self._scores.append(item.verified_score)
        if self._seen % self._step == 0:
            centre = (box.x_min + box.x_max) / 2, (box.y_min + box.y_max) / 2
            self._points.append(((box.width, box.height), centre))
        self._seen += 1
        if len(self._points) > MAX_POINTS:
            self._points, self._step = self._points[::2], self._step * 2

    def add_real(self, item: RealObjectRecord, record: SceneRecord) -> None:
        """Count one object of a photo."""
        if not item.is_labelled:
            self.unlabelled += 1
        elif record.split == "train":
            self.real_train += 1
        else:
            self.real_val += 1

    @property
    def painted(self) -> int:
        """Labels of painted objects."""
        return self.train + self.val

    @property
    def acceptance(self) -> float:
        """Accepted attempts as a share of all."""
        return self.painted / self.attempts if self.attempts else 0.0

    @property
    def painted_wh(self) -> tuple[tuple[int, int], ...]:
        """Width and height of tight boxes, of MAX_POINTS objects at most, evenly spread."""
        return tuple(size for size, _ in self._points)

    @property
    def centres(self) -> tuple[tuple[float, float], ...]:
        """Centres of the same boxes, in pixels."""
        return tuple(centre for _, centre in self._points)

    @property
    def requested_median_px(self) -> float:
        """Side asked of the painter."""
        return _median(self._requested_px)

    @property
    def painted_median_px(self) -> float:
        """Side of what it painted."""
        return _median(self._painted_px)

    @property
    def labelled_median_px(self) -> float:
        """Side of the labels."""
        return _median(self._labelled_px)

    @property
    def median_iou(self) -> float:
        """IoU of the boxes asked for and painted."""
        return _median(self._ious)

    @property
    def median_score(self) -> float | None:
        """What the verifier gave them; None where nothing verified them."""
        return _median(self._scores) if self._scores else None


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


class Statistics:
    """The whole data set, counted one record at a time; `backgrounds` counts attempts at scenes."""

    def __init__(self, categories: Iterable[str], real_sides_px: Mapping[str, float] | None = None):
        sides_px = real_sides_px or {}
        self._categories = {name: CategoryStatistics(name, sides_px.get(name)) for name in categories}
        self.scenes = self.train_scenes = self.backgrounds = self.decoys = self.decoy_attempts = 0
        self.photo_scenes = 0
        self._photos: set[str] = set()
        self._rejections: Counter[str] = Counter()
        self._uses: Counter[tuple[str, str]] = Counter()

    def add(self, record: SceneRecord) -> None:
        """Count one record."""
        self.scenes += 1
        self.train_scenes += record.split == "train"
        self.backgrounds += len(record.background.attempts)
        self.decoys += sum(not item.dropped for item in record.decoys)
        self.decoy_attempts += sum(len(item.attempts) for item in record.decoys)
        self._uses["", record.background.prompt] += 1
        self._uses.update((item.category, item.prompt) for item in record.objects if item.painted_box is not None)
        for item in record.objects:
            for attempt in item.attempts:
                self._rejections.update({verdict.check for verdict in attempt.verdicts if not verdict.passed})
            if item.category in self._categories:
                self._categories[item.category].add(item, record)
        if record.photo is not None:
            self.photo_scenes += 1
            self._photos.add(record.photo.sha256)
            for real in record.photo.objects:
                if real.category in self._categories:
                    self._categories[real.category].add_real(real, record)
            for seen in record.photo.seen:
                self._categories[seen.category].seen += 1
        for missing in record.unplaced:
            if missing.category in self._categories:
                self._categories[missing.category].planned += 1
                self._categories[missing.category].unplaced += 1

    @property
    def categories(self) -> tuple[CategoryStatistics, ...]:
        """One for each category, in their order."""
        return tuple(self._categories.values())

    @property
    def photos(self) -> int:
        """Different photos that were painted into."""
        return len(self._photos)

    @property
    def real_objects(self) -> int:
        """Labels that photos brought along."""
        return sum(category.real_train + category.real_val for category in self.categories)

    @property
    def objects(self) -> int:
        """Labels of painted objects."""
        return sum(category.painted for category in self.categories)

    @property
    def rejections(self) -> dict[str, int]:
        """Name of a check -> attempts at objects that it rejected, the most frequent first."""
        return dict(self._rejections.most_common())

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
