"""What came in, what is in, and what is not: the report of an import."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detection.datasets.types import DetectionDataset
from detection.importers.types import Case, Done, ImportOptions
from generator.foundation.version import __version__

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """How many of something the source holds, and how many of them are in the data set."""

    source: int
    written: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """An import. What came in is what is in and what the cases list as lost, for pictures and for objects.

    `evidence` is what spoke for the format; `other_formats` is what else the source could be read as, and why;
    `splits_are` says where the splits come from.
    """

    folder: Path
    source: str
    format: str
    evidence: str
    other_formats: Mapping[str, str]
    options: ImportOptions
    splits_are: str
    splits: Mapping[str, DetectionDataset]
    pictures: Found
    objects: Found
    cases: tuple[Case, ...]

    def __post_init__(self) -> None:
        lost_pictures = sum(case.lost_pictures for case in self.cases)
        lost_objects = sum(case.lost_objects for case in self.cases)
        for found, lost in ((self.pictures, lost_pictures), (self.objects, lost_objects)):
            if found.source != found.written + lost:
                raise ValueError(f"{found.source} came in, but {found.written} are in and {lost} are listed as lost")

    @property
    def categories(self) -> tuple[str, ...]:
        """Categories, in the order of their ids."""
        return next(iter(self.splits.values())).categories

    def kinds(self) -> list[tuple[str, Done, int, int, int, str]]:
        """Group the cases: (what, done, cases, lost pictures, lost objects, an example), the dropped ones first."""
        counts: Counter[tuple[str, Done]] = Counter()
        lost: Counter[tuple[str, Done, str]] = Counter()
        examples: dict[tuple[str, Done], str] = {}
        for case in self.cases:
            kind = (case.what, case.done)
            counts[kind] += 1
            lost[*kind, "pictures"] += case.lost_pictures
            lost[*kind, "objects"] += case.lost_objects
            examples.setdefault(kind, case.example())
        order = {"dropped": 0, "mended": 1, "kept": 2}
        return [
            (*kind, counts[kind], lost[*kind, "pictures"], lost[*kind, "objects"], examples[kind])
            for kind in sorted(counts, key=lambda kind: (order[kind[1]], -counts[kind], kind[0]))
        ]

    def to_json(self) -> dict[str, Any]:
        """What import.json holds."""
        return {
            "schema_version": SCHEMA_VERSION,
            "boxpaint": __version__,
            "source": self.source,
            "format": self.format,
            "evidence": self.evidence,
            "other_formats": dict(self.other_formats),
            "options": {name: value for name, value in asdict(self.options).items() if name != "overwrite"},
            "found": {"pictures": asdict(self.pictures), "objects": asdict(self.objects)},
            "splits_are": self.splits_are,
            "splits": {
                name: {"num_pictures": len(data), "labels": data.counts()} for name, data in self.splits.items()
            },
            "cases": [asdict(case) for case in self.cases],
        }
