"""A data set -> one folder that other programs read as it stands: read, choose, write, say what is in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from detection.datasets.read import not_exhaustive_ids
from detection.datasets.types import NOT_EXHAUSTIVE
from detection.exporters.filters import apply_filters
from detection.exporters.folder import MARKER, check_folder, export_folder
from detection.exporters.reading import folder_of, read_picture_set
from detection.exporters.registry import Exporter, find_exporter
from detection.exporters.report import CARD, ExportReport, count_labels, render_card
from detection.exporters.types import ExportOptions, PictureSet
from detection.exporters.work import OnPicture, Work
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.storage import write_json, write_text


def export_set(
    source: str | Path,
    out: str | Path,
    form: str,
    options: ExportOptions | None = None,
    *,
    on_picture: OnPicture | None = None,
) -> ExportReport:
    """Export what `read_detection_set` reads into `out`, in one of the formats of registry.py.

    `on_picture` is told (pictures done, pictures in all). Raises DatasetError when there is nothing to export, or not
    what the format needs, RunMismatchError when `out` is taken, StorageError. `out` appears whole at the very end.
    """
    options = options or ExportOptions()
    source, out = Path(source), Path(out)
    exporter = find_exporter(form)
    check_folder(out, overwrite=options.overwrite, sources=(folder_of(source),))
    data = read_picture_set(source, with_captions=exporter.with_captions)
    data = apply_filters(data, options, where=str(source))
    _check_needs(data, exporter, form, str(source))
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
    exporter = find_exporter(form)
    with export_folder(out) as folder:
        work = Work(folder, options, total=len(data.pictures), on_picture=on_picture)
        exporter.write(data, work)
        report = ExportReport(
            folder=out,
            format=form,
            made_of=made_of,
            options=options,
            pictures={split: len(pictures) for split, pictures in data.splits().items()},
            splits=count_labels(data),
            sources=Counter(picture.source or "unknown" for picture in data.pictures),
            linked=work.linked,
            copied=work.copied,
            notes=(*data.notes, *work.notes, *_lost_in(form, data)),
        )
        front_matter = exporter.front_matter(data) if exporter.front_matter is not None else ""
        write_text(folder / CARD, render_card(report, data, opening=exporter.opening, front_matter=front_matter))
        write_json(folder / MARKER, report.to_json())
    return report


def _lost_in(form: str, data: PictureSet) -> Iterator[str]:
    unlabelled = sum(bool(not_exhaustive_ids(picture.content)) for picture in data.pictures)
    if unlabelled and form != "coco":
        yield f"warning: {unlabelled} pictures do not label every class ({NOT_EXHAUSTIVE}); {form} cannot say so"


def _check_needs(data: PictureSet, exporter: Exporter, form: str, where: str) -> None:
    objects = [item for picture in data.pictures for item in picture.objects]
    if exporter.needs != "pictures" and not objects:
        raise DatasetError([Fault(file=where, expected=f"holds no object, and {form} is made of objects")])
    if exporter.needs == "masks" and all(item.segmentation is None for item in objects):
        expected = f"none of its {len(objects)} labels has a mask, and {form} is made of masks; yolo and voc are not"
        raise DatasetError([Fault(file=where, expected=expected)])
