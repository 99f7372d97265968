"""What an export holds: export.json, which also marks the folder as ours, and the card for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detection.exporters.folder import KIND
from detection.exporters.types import ExportOptions, PictureSet
from generator.foundation.version import __version__
from generator.report import page_environment

SCHEMA_VERSION = 1
CARD = "README.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """An export. `splits`: split -> category -> labels; `pictures`: split -> pictures.

    `made_of` is what was read: names of folders, not where they lie, since exports are given away. `labelled`: of a
    merge, for each of them category -> labels, without the categories that it does not label.
    """

    folder: Path
    format: str
    made_of: tuple[str, ...]
    options: ExportOptions
    pictures: Mapping[str, int]
    splits: Mapping[str, Mapping[str, int]]
    sources: Mapping[str, int]
    linked: int
    copied: int
    notes: tuple[str, ...]
    labelled: tuple[Mapping[str, int], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What export.json holds; the same for links and copies."""
        options = {name: value for name, value in asdict(self.options).items() if name not in ("overwrite", "copy")}
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": KIND,
            "boxpaint": __version__,
            "format": self.format,
            "made_of": list(self.made_of),
            "options": options,
            "splits": {
                split: {"num_pictures": self.pictures[split], "labels": dict(labels)}
                for split, labels in self.splits.items()
            },
            "sources": dict(self.sources),
            "notes": list(self.notes),
        }


def count_labels(data: PictureSet) -> dict[str, dict[str, int]]:
    """Count the labels of each category in each split."""
    counts: dict[str, dict[str, int]] = {}
    for split, pictures in data.splits().items():
        found = Counter(item.category.id for picture in pictures for item in picture.annotations)
        counts[split] = {category.name: found[category.id] for category in data.categories}
    return counts


def render_card(report: ExportReport, data: PictureSet, *, opening: str, front_matter: str) -> str:
    """Write README.md: what is in, where it comes from, and how to open it."""
    first = data.pictures[0]
    licences = dict.fromkeys(
        str(item["name"])
        for head in data.heads.values()
        for item in head.get("licenses") or ()
        if isinstance(item, dict) and item.get("name")
    )
    return (
        page_environment("detection.exporters")
        .get_template("card.md.j2")
        .render(
            report=report,
            categories=[category.name for category in data.categories],
            opening=opening.strip().format(split=first.split, stem=first.stem, folder=report.folder.name),
            front_matter=front_matter,
            licences=list(licences),
            version=__version__,
        )
    )
