"""Counts and sizes of a data set, from its records."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from generator.geometry import Box, box_iou
from generator.prompts.book import PromptBook
from generator.record import SceneRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryStatistics:
    """One category: how many were asked for, painted and given up, and how large they came out.

    Sizes are geometric means of a box's sides, in pixels: of the boxes asked of the painter, those tight around what it
    painted, the labels, and real ones, where they were measured. `median_score` is what the verifier gave them.
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

    @property
    def objects(self) -> int:
        """Labels in all."""
        return sum(category.painted for category in self.categories)


def collect(
    records: Sequence[SceneRecord], categories: Iterable[str], real_sides_px: Mapping[str, float] | None = None
) -> Statistics:
    """Count what is in the records; `real_sides_px` are those of real objects, as far as they were measured."""
    real = real_sides_px or {}
    return Statistics(
        scenes=len(records),
        train_scenes=sum(record.split == "train" for record in records),
        backgrounds=sum(len(record.background.attempts) for record in records),
        decoys=sum(not item.dropped for record in records for item in record.decoys),
        decoy_attempts=sum(len(item.attempts) for record in records for item in record.decoys),
        categories=tuple(_collect_category(records, name, real.get(name)) for name in categories),
    )


def _collect_category(records: Sequence[SceneRecord], name: str, real_median_px: float | None) -> CategoryStatistics:
    items = [(record, item) for record in records for item in record.objects if item.category == name]
    painted = [
        (record, item, Box.from_xyxy(*item.painted_box)) for record, item in items if item.painted_box is not None
    ]
    unplaced = sum(item.category == name for record in records for item in record.unplaced)
    requested = [Box.from_xyxy(*item.requested_box) for _, item, _ in painted]
    labels = [item.label_xyxy((record.width, record.height)) for record, item, _ in painted]
    scores = [item.verified_score for _, item, _ in painted if item.verified_score is not None]
    return CategoryStatistics(
        name=name,
        planned=len(items) + unplaced,
        train=sum(record.split == "train" for record, _, _ in painted),
        val=sum(record.split == "val" for record, _, _ in painted),
        dropped=len(items) - len(painted),
        unplaced=unplaced,
        attempts=sum(len(item.attempts) for _, item in items),
        painted_wh=tuple((box.width, box.height) for _, _, box in painted),
        centres=tuple(((box.x_min + box.x_max) / 2, (box.y_min + box.y_max) / 2) for _, _, box in painted),
        requested_median_px=_median([math.sqrt(box.area) for box in requested]),
        painted_median_px=_median([math.sqrt(box.area) for _, _, box in painted]),
        labelled_median_px=_median([_side(label) for label in labels if label is not None]),
        real_median_px=real_median_px,
        median_iou=_median([box_iou(wish, box) for wish, (_, _, box) in zip(requested, painted, strict=True)]),
        median_score=_median(scores) if scores else None,
    )


def _side(box_xyxy: tuple[float, float, float, float]) -> float:
    x_min, y_min, x_max, y_max = box_xyxy
    return math.sqrt((x_max - x_min) * (y_max - y_min))


def _median(values: Sequence[float]) -> float:
    return float(median(values)) if values else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptUse:
    """One text that is painted from: for which category ("" a scene), where it came from, how often it was used."""

    name: str
    text: str
    source: str
    similarity: float | None
    used: int


def list_prompts(book: PromptBook, records: Iterable[SceneRecord]) -> tuple[PromptUse, ...]:
    """List the texts in use, each once a category, with the pictures or labels that came from it."""
    uses: Counter[tuple[str, str]] = Counter()
    for record in records:
        uses["", record.background.prompt] += 1
        uses.update((item.category, item.prompt) for item in record.objects if item.painted_box is not None)
    found: dict[tuple[str, str], PromptUse] = {}
    for row in book.enriched.rows:
        for item in row.texts:
            key = (row.name, item.text)
            if not item.rejected and key not in found:
                found[key] = PromptUse(
                    name=row.name, text=item.text, source=item.source, similarity=item.similarity, used=uses[key]
                )
    return tuple(found.values())
