"""A data set of other people -> one of ours: read, mend, split, write, and say what became of everything."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from detection.datasets.picture_names import as_unicode, unique_stems
from detection.datasets.types import DetectionDataset, Sample
from detection.datasets.write import write_coco
from detection.importers.categories import choose_objects, find_categories
from detection.importers.claims import TWICE, choose_pictures, join_entries, lost_picture
from detection.importers.csv_columns import check_columns
from detection.importers.files import NOWHERE, SourceFiles
from detection.importers.folder import REPORT, check_folder, import_folder
from detection.importers.mending import MendedObject, mend_objects
from detection.importers.pictures import BroughtPicture, bring_picture
from detection.importers.registry import find_formats, read_fullest
from detection.importers.report import Found, ImportReport
from detection.importers.splitting import compile_pattern, split_pictures
from detection.importers.types import Case, ImportOptions, RawPicture, RawSet
from generator.foundation.decoding import UnsupportedPictureError
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.storage import write_json

_THREADS = 8
OnPicture = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Imported:
    """A picture that came in, with its objects."""

    raw: RawPicture
    brought: BroughtPicture
    objects: list[MendedObject]


def import_set(
    source: str | Path, out: str | Path, options: ImportOptions | None = None, *, on_picture: OnPicture | None = None
) -> ImportReport:
    """Import a folder, or one annotation file with the pictures around it, into `out` in COCO form.

    `on_picture` is told (pictures read, pictures in all). Raises DatasetError when there is nothing to import or a
    category of the options does not exist, ConfigError for options that cannot be, RunMismatchError when `out` is
    taken, StorageError. Until the very end `out` stays as it was.
    """
    options = options or ImportOptions()
    source, out = Path(source), Path(out)
    check_folder(out, overwrite=options.overwrite)
    if options.group_by is not None:
        compile_pattern(options.group_by)
    check_columns(options.columns, options.format)
    files = SourceFiles.open(source, skip=out, columns=options.columns)
    formats = find_formats(files, options.format or ("csv" if options.columns else None))
    name, raw, other_formats = read_fullest(files, formats)
    raw = join_entries(replace(raw, cases=(*files.cases, *raw.cases)))
    categories = find_categories(raw, options)
    with import_folder(out, overwrite=options.overwrite) as folder:
        pictures, cases = choose_pictures(raw)
        imported, found = _bring(files, pictures, folder / "images", _first_pixel(raw, options), on_picture)
        cases = [*raw.cases, *cases, *found, *_first_pixel_cases(raw, options)]
        if not imported:
            raise DatasetError([_nothing_fault(source, name, cases)])
        if faults := _lost_files(files.root, raw, imported, cases):
            raise DatasetError(faults)
        objects, dropped = choose_objects([item.objects for item in imported], categories, options)
        data = DetectionDataset(
            categories=categories,
            samples=tuple(
                _sample(item, chosen, categories, options) for item, chosen in zip(imported, objects, strict=True)
            ),
        )
        hashes = np.array([item.brought.hash for item in imported])
        splits, splits_are, found = split_pictures(data, [item.raw for item in imported], hashes, options)
        report = ImportReport(
            folder=out,
            source=str(source),
            format=name,
            evidence=formats[name],
            other_formats=other_formats,
            options=options,
            splits_are=splits_are,
            splits=splits,
            pictures=Found(source=raw.num_pictures, written=len(imported)),
            objects=Found(source=raw.num_objects, written=sum(data.counts().values())),
            cases=(*cases, *dropped, *found),
        )
        write_json(folder / REPORT, report.to_json())
        write_coco(splits, folder, description=f"Imported by boxpaint from {source} ({name})")
    return report


def _bring(
    files: SourceFiles, pictures: Sequence[RawPicture], folder: Path, first_pixel: int, on_picture: OnPicture | None
) -> tuple[list[_Imported], list[Case]]:
    paths = [picture.path for picture in pictures if picture.path is not None]
    stems = unique_stems(paths)

    def bring(number: int) -> BroughtPicture | ValueError:
        try:
            data = files.read_picture(paths[number])
            return bring_picture(data, paths[number].suffix, stems[number], folder)
        except ValueError as error:
            return error

    imported, cases = [], []
    pool = ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1))
    try:
        for number, brought in enumerate(pool.map(bring, range(len(paths)))):
            picture = pictures[number]
            if on_picture is not None:
                on_picture(number + 1, len(paths))
            if isinstance(brought, ValueError):
                unsupported = isinstance(brought, UnsupportedPictureError)
                what = "a picture in a format that is not read here" if unsupported else "a picture that cannot be read"
                cases.append(lost_picture(picture, what, f"{paths[number]}: {brought}"))
                continue
            path = str(paths[number])
            cases += [Case(file=path, what=what, found=found, done="mended") for what, found in brought.changes]
            stem = as_unicode(paths[number].stem)
            if stem != paths[number].stem:
                what = "a name that is not Unicode: its bytes are written in letters"
                cases.append(Case(file=path, what=what, found=brought.path.name, done="mended"))
            if brought.path.stem != stem:
                what = "a name that two pictures have: the folder is put before it"
                cases.append(Case(file=path, what=what, found=brought.path.name, done="mended"))
            objects, found = mend_objects(picture, brought, first_pixel=first_pixel)
            cases += found
            imported.append(_Imported(raw=picture, brought=brought, objects=objects))
    finally:
        pool.shutdown(cancel_futures=True)  # not all of a large set after Ctrl-C
    return imported, cases


def _first_pixel(raw: RawSet, options: ImportOptions) -> int:
    return int(raw.one_based) if options.first_pixel is None else options.first_pixel


def _first_pixel_cases(raw: RawSet, options: ImportOptions) -> list[Case]:
    if not _first_pixel(raw, options):
        return []
    what = "pixels counted from 1: one taken off the left and upper edges"
    return [Case(file=".", what=what, found=f"all {raw.num_objects} objects", done="mended")]


def _nothing_fault(source: Path, name: str, cases: Sequence[Case]) -> Fault:
    lost = [case for case in cases if case.lost_pictures or case.what == NOWHERE]
    reasons = _reasons(Counter(case.what for case in lost), lost) or "it names none"
    return Fault(file=str(source), expected=f"no picture could be imported as {name}: {reasons}")


def _lost_files(root: Path, raw: RawSet, imported: Sequence[_Imported], cases: Sequence[Case]) -> list[Fault]:
    """Find the files of which not one annotation came in: that is no success. Label files of one picture are judged
    together, and what another annotation stands for is not lost.
    """
    named = Counter(picture.file for picture in raw.pictures)
    lost: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        if case.lost_objects:
            lost[case.file if named[case.file] > 1 else ""].append(case)
    kept = {item.raw.file if named[item.raw.file] > 1 else "" for item in imported if item.objects}
    faults = []
    for file, found in lost.items():
        counts: Counter[str] = Counter()
        for case in found:
            counts[case.what] += case.lost_objects
        if file not in kept and TWICE not in counts:
            expected = f"none of {counts.total()} annotations could be imported: {_reasons(counts, found)}"
            faults.append(Fault(file=str(root / file), expected=expected))
    return faults


def _reasons(counts: Counter[str], cases: Sequence[Case]) -> str:
    """Name the three most frequent of the kinds of cases that are counted, with an example of the first."""
    kinds = counts.most_common(3)
    example = next((case.example() for case in cases if kinds and case.what == kinds[0][0]), "")
    return "; ".join(f"{count} x {what}" for what, count in kinds) + (f", such as {example}" if example else "")


def _sample(
    item: _Imported, objects: Sequence[MendedObject], categories: Sequence[str], options: ImportOptions
) -> Sample:
    unlabelled = {options.rename.get(name, name) for name in item.raw.unlabelled}
    return Sample.of(
        item.brought.path,
        item.brought.size_wh,
        [each.box_xyxy for each in objects],
        [categories.index(each.category) + 1 for each in objects],
        [each.segmentation for each in objects],
        not_exhaustive=[number for number, name in enumerate(categories, start=1) if name in unlabelled],
    )
