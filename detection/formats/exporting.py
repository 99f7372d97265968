"""A data set -> one folder that other programs read as it stands: read, choose, write, say what is in it.

The folder is whole or absent; export.json says that it is ours, README.md is a card for people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detection.datasets.picture_set import PictureSet, not_exhaustive_ids, read_picture_set
from detection.formats.filters import apply_filters
from detection.formats.registry import WRITERS, find_format
from detection.formats.target import ExportOptions, OnPicture, Target, Writer
from generator.foundation.coco import NOT_EXHAUSTIVE, folder_of
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.run_folder import EXPORT, check_outside
from generator.foundation.storage import write_json, write_text
from generator.foundation.version import __version__
from generator.report import page_environment

SCHEMA_VERSION = 1
CARD = "README.md"


def export_set(
    source: str | Path,
    out: str | Path,
    form: str,
    options: ExportOptions | None = None,
    *,
    on_picture: OnPicture | None = None,
) -> ExportReport:
    """Export what `read_detection_set` reads into `out`, in one of the formats of formats/registry.py.

    `on_picture` is told (pictures done, pictures in all). Raises DatasetError when there is nothing to export, or not
    what the format needs, RunMismatchError when `out` is taken, StorageError. `out` appears whole at the very end.
    """
    options = options or ExportOptions()
    source, out = Path(source), Path(out)
    writer = find_format(form, WRITERS)
    check_outside(out, folder_of(source))
    EXPORT.check_free(out, overwrite=options.overwrite)
    data = read_picture_set(source, with_captions=writer.with_captions)
    data = apply_filters(data, options, where=str(source))
    _check_needs(data, writer, form, str(source))
    return write_export(data, out, form, options, made_of=(folder_of(source).resolve().name,), on_picture=on_picture)


def write_export(
    data: PictureSet,
    out: Path,
    form: str,
    options: ExportOptions,
    *,
    made_of: tuple[str, ...],
    on_picture: OnPicture | None = None,
) -> ExportReport:
    """Write pictures in a format, with a card and export.json; `made_of` names what they come from.

    Raises what the exporter raises, and StorageError.
    """
    writer = find_format(form, WRITERS)
    with EXPORT.replaced(out, overwrite=options.overwrite) as folder:
        target = Target(folder, options, total=len(data.pictures), on_picture=on_picture)
        writer.write(data, target)
        report = ExportReport(
            folder=out,
            format=form,
            made_of=made_of,
            options=options,
            pictures={split: len(pictures) for split, pictures in data.splits().items()},
            splits=count_labels(data),
            sources=Counter(picture.source or "unknown" for picture in data.pictures),
            linked=target.linked,
            copied=target.copied,
            notes=(*data.notes, *target.notes, *_lost_in(writer, form, data)),
        )
        write_text(folder / CARD, _card(report, data, writer))
        write_json(folder / EXPORT.marker, report.to_json())
    return report


def _lost_in(writer: Writer, form: str, data: PictureSet) -> Iterator[str]:
    unlabelled = sum(bool(not_exhaustive_ids(picture.content)) for picture in data.pictures)
    if unlabelled and not writer.says_unlabelled:
        yield f"warning: {unlabelled} pictures do not label every class ({NOT_EXHAUSTIVE}); {form} cannot say so"


def _check_needs(data: PictureSet, writer: Writer, form: str, where: str) -> None:
    objects = [item for picture in data.pictures for item in picture.objects]
    if writer.needs != "pictures" and not objects:
        raise DatasetError([Fault(file=where, expected=f"holds no object, and {form} is made of objects")])
    if writer.needs == "masks" and all(item.segmentation is None for item in objects):
        expected = f"none of its {len(objects)} labels has a mask, and {form} is made of masks; yolo and voc are not"
        raise DatasetError([Fault(file=where, expected=expected)])


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
            **EXPORT.head,
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


def _card(report: ExportReport, data: PictureSet, writer: Writer) -> str:
    """Write README.md: what is in, where it comes from, and how to open it."""
    first = data.pictures[0]
    licences = dict.fromkeys(
        str(item["name"])
        for head in data.heads.values()
        for item in head.get("licenses") or ()
        if isinstance(item, dict) and item.get("name")
    )
    template = page_environment("detection.formats").get_template("card.md.j2")
    return template.render(
        report=report,
        categories=[category.name for category in data.categories],
        opening=writer.opening.strip().format(split=first.split, stem=first.stem, folder=report.folder.name),
        front_matter=writer.front_matter(data) if writer.front_matter is not None else "",
        licences=list(licences),
        version=__version__,
    )
