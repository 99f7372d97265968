"""A data set of other people -> one of ours: read, mend, split, write, and say what became of everything.

The folder appears whole at the end, the annotations last:
import.json              what came in, what is in, and every case
images/                  pictures, flat
annotations/             instances_<split>.json
"""

from __future__ import annotations

import difflib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from detection.datasets.names import as_unicode, portable_path, rank_of_split, unique_stems
from detection.datasets.types import DetectionDataset, Sample
from detection.datasets.write import write_coco
from detection.formats.csv_boxes import check_columns
from detection.formats.mending import mend_objects
from detection.formats.pictures import ConvertedPicture, convert_picture
from detection.formats.raw import Case, Cases, Done, RawObject, RawPicture, RawSet, categories_of
from detection.formats.registry import find_formats, read_fullest
from detection.formats.source import NOWHERE, SourceFiles
from detection.formats.splits import compile_pattern, split_pictures
from generator.foundation.coco import MAX_NAME
from generator.foundation.decoding import UnsupportedPictureError
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.run_folder import IMPORTED
from generator.foundation.storage import make_folder, write_json
from generator.foundation.version import __version__

SCHEMA_VERSION = 1
_MISSING = "a picture that is missing"
TWICE = "a picture annotated twice: the other annotation is taken"
_THREADS = 8
OnPicture = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How to import.

    `rename` gives categories other names first; of those names `keep` are kept, in this order (none: all). `shares`
    are name -> share of each split; None takes the splits that the source has, without any 0.8 train and 0.2 val.
    `group_by` is a regular expression over file names: what it finds the same in (its first group, if it has one) stays
    on one side. `first_pixel` 0 or 1 is what the source calls the first pixel of a row; None finds out. `columns` names
    columns of a CSV file, key -> column (csv_boxes.KEYS).
    """

    format: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    shares: Mapping[str, float] | None = None
    seed: int = 0
    group_by: str | None = None
    first_pixel: Literal[0, 1] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    overwrite: bool = False


class _Imported(NamedTuple):
    """A picture that came in, with its objects."""

    raw: RawPicture
    converted: ConvertedPicture
    objects: list[RawObject]


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
    IMPORTED.check_free(out, overwrite=options.overwrite)
    group_by = compile_pattern(options.group_by) if options.group_by is not None else None
    check_columns(options.columns, options.format)
    files = SourceFiles.open(source, skip=out, columns=options.columns)
    formats = find_formats(files, options.format or ("csv" if options.columns else None))
    name, raw, other_formats = read_fullest(files, formats)
    cases = Cases()
    for stray in files.strays:
        cases.dropped(stray, NOWHERE)
    cases += raw.cases
    entries = join_entries(raw.pictures, cases)
    raw = replace(raw, pictures=entries, cases=Cases(cases))
    categories = find_categories(raw, options)
    first_pixel = int(raw.one_based) if options.first_pixel is None else options.first_pixel
    with IMPORTED.replaced(out, overwrite=options.overwrite) as folder:
        pictures = choose_pictures(raw.pictures, cases)
        imported = _convert(files, pictures, make_folder(folder / "images"), first_pixel, cases, on_picture)
        if first_pixel:
            what = "pixels counted from 1: one taken off the left and upper edges"
            cases.mended(".", what, f"all {raw.num_objects} objects")
        if not imported:
            raise DatasetError([_nothing_fault(source, name, cases)])
        if faults := _lost_files(files.root, raw, imported, cases):
            raise DatasetError(faults)
        samples = _samples(imported, categories, options, cases)
        data = DetectionDataset(categories=categories, samples=samples)
        splits, splits_are = split_pictures(
            data,
            [item.raw for item in imported],
            np.array([item.converted.hash for item in imported]),
            cases,
            shares=options.shares,
            seed=options.seed,
            group_by=group_by,
        )
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
            cases=tuple(cases),
        )
        write_json(folder / IMPORTED.marker, report.to_json())
        write_coco(splits, folder, description=f"Imported by boxpaint from {source} ({name})")
    return report


def _convert(
    files: SourceFiles,
    pictures: Sequence[RawPicture],
    folder: Path,
    first_pixel: int,
    cases: Cases,
    on_picture: OnPicture | None,
) -> list[_Imported]:
    paths = [picture.path for picture in pictures if picture.path is not None]
    stems = unique_stems(paths)

    def convert(number: int) -> ConvertedPicture | ValueError:
        try:
            data = files.read_picture(paths[number])
            return convert_picture(data, paths[number].suffix, stems[number], folder)
        except ValueError as error:
            return error

    imported = []
    pool = ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1))
    try:
        for number, converted in enumerate(pool.map(convert, range(len(paths)))):
            picture, path = pictures[number], paths[number]
            if on_picture is not None:
                on_picture(number + 1, len(paths))
            if isinstance(converted, ValueError):
                unsupported = isinstance(converted, UnsupportedPictureError)
                what = "a picture in a format that is not read here" if unsupported else "a picture that cannot be read"
                cases.lost(picture, what, f"{path}: {converted}")
                continue
            for what, found in converted.changes:
                cases.mended(path, what, found)
            stem = as_unicode(path.stem)
            if stem != path.stem:
                what = "a name that is not Unicode: its bytes are written in letters"
                cases.mended(path, what, converted.path.name)
            if converted.path.stem != stem:
                cases.mended(path, "a name that two pictures have: the folder is put before it", converted.path.name)
            objects = mend_objects(picture, converted, cases, first_pixel=first_pixel)
            imported.append(_Imported(picture, converted, objects))
    finally:
        pool.shutdown(cancel_futures=True)  # not all of a large set after Ctrl-C
    return imported


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


def _samples(
    imported: Sequence[_Imported], categories: Sequence[str], options: ImportOptions, cases: Cases
) -> tuple[Sample, ...]:
    """Rename the objects of every picture and leave out those of no category of `categories`: one case a name."""
    numbers = {name: number for number, name in enumerate(categories, start=1)}
    lost: Counter[str] = Counter()
    samples = []
    for raw, converted, objects in imported:
        named = [(options.rename.get(item.category, item.category), item) for item in objects]
        lost.update(name for name, _ in named if name not in numbers)
        kept = [(numbers[name], item) for name, item in named if name in numbers]
        unlabelled = {options.rename.get(name, name) for name in raw.unlabelled}
        samples.append(
            Sample.of(
                converted.path,
                converted.size_wh,
                [item.box for _, item in kept],
                [number for number, _ in kept],
                [item.segmentation for _, item in kept],
                not_exhaustive=[number for name, number in numbers.items() if name in unlabelled],
            )
        )
    for name, count in sorted(lost.items()):
        cases.dropped(".", "a category that --keep does not name", f"{name}: {count}", objects=count)
    return tuple(samples)


def find_categories(raw: RawSet, options: ImportOptions) -> tuple[str, ...]:
    """Name the categories of the result; one without a name is none.

    Raises DatasetError when one that is asked for is not there, or has a longer name than any data set may hold.
    """
    known = [name for name in dict.fromkeys([*raw.categories, *categories_of(raw.pictures)]) if name]
    faults = [_unknown_fault("--rename", name, known) for name in options.rename if name not in known]
    names = list(dict.fromkeys(options.rename.get(name, name) for name in known))
    faults += [_unknown_fault("--keep", name, names) for name in options.keep if name not in names]
    expected = f"the name of a category has at most {MAX_NAME} letters; --rename gives it another"
    faults += [Fault(file="categories", found=name, expected=expected) for name in names if len(name) > MAX_NAME]
    if faults:
        raise DatasetError(faults)
    return tuple(dict.fromkeys(options.keep)) or tuple(names)


def _unknown_fault(option: str, name: str, known: Sequence[str]) -> Fault:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return Fault(file=option, found=name, expected=f"no such category; {hint}known: {', '.join(known) or 'none'}")


def join_entries(pictures: Sequence[RawPicture], cases: Cases) -> list[RawPicture]:
    """Make one picture of the entries that one file has under one name: some COCO files list a picture for each box."""
    entries: defaultdict[object, list[RawPicture]] = defaultdict(list)
    for picture in pictures:
        entries[picture.file, portable_path(picture.name)].append(picture)
    for first, *others in entries.values():
        if others:
            what, found = "a picture listed several times: its objects are joined", f"{first.name}: {len(others) + 1}"
            cases.mended(first.file, what, found, first.place)
    return [first.joined(others) for first, *others in entries.values()]


def choose_pictures(pictures: Sequence[RawPicture], cases: Cases) -> list[RawPicture]:
    """Leave out pictures that are not there, and all but one of the annotations that claim the same picture.

    The name that is the picture's counts before one that is only like it, then the split to measure on. Two different
    names of equal right are of two pictures, of which one is not there: nobody knows which.
    """
    claims: defaultdict[object, list[RawPicture]] = defaultdict(list)
    for picture in pictures:
        claims[picture.path].append(picture)
    chosen = []
    for picture in pictures:
        name, path = picture.name, picture.path
        if path is None and picture.rivals:
            what = "a name that several pictures have: nobody knows which one is meant"
            cases.lost(picture, what, f"{name}: {', '.join(map(str, picture.rivals))}")
            continue
        if path is None:
            cases.lost(picture, _MISSING, name)
            continue
        best = _best(claims[path])
        if best[0].looseness < picture.looseness:
            cases.lost(picture, _MISSING, f"{name}: {path} is another, named in {best[0].file}")
        elif any(each is picture for each in best) and _are_of_several(best):
            what = "a picture that several names may mean: nobody knows whose labels these are"
            cases.lost(picture, what, f"{path}: {', '.join(each.file for each in best)}")
        elif picture is not best[0]:
            cases.lost(picture, TWICE, f"{path}, also in {best[0].file}")
        else:
            chosen.append(picture)
    return chosen


def _best(claims: Sequence[RawPicture]) -> list[RawPicture]:
    ranks = [(picture.looseness, rank_of_split(picture.split)) for picture in claims]
    return [picture for picture, rank in zip(claims, ranks, strict=True) if rank == min(ranks)]


def _are_of_several(claims: Sequence[RawPicture]) -> bool:
    names = {portable_path(picture.name) for picture in claims}
    objects = {tuple((item.category, item.box) for item in picture.objects) for picture in claims}
    return len(names) > 1 and len(objects) > 1


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
        groups: defaultdict[tuple[str, Done], list[Case]] = defaultdict(list)
        for case in self.cases:
            groups[case.what, case.done].append(case)
        order = {"dropped": 0, "mended": 1, "kept": 2}
        return [
            (
                *kind,
                len(found),
                sum(case.lost_pictures for case in found),
                sum(case.lost_objects for case in found),
                found[0].example(),
            )
            for kind, found in sorted(groups.items(), key=lambda item: (order[item[0][1]], -len(item[1]), item[0][0]))
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
