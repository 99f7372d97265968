"""The formats that can be imported. A new one is one file with `matches` and `read`, and one line here."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from detection.importers import coco, csv_rows, hf, voc, webdataset, yolo
from detection.importers.files import SourceFiles
from detection.importers.types import RawSet
from generator.foundation.errors import DatasetError, Fault


class Importer(NamedTuple):
    """`matches` says what speaks for the format, None for nothing; `read` reads the source."""

    matches: Callable[[SourceFiles], str | None]
    read: Callable[[SourceFiles], RawSet]
    looks_for: str


# In the order in which they are believed where a source has as much of several: the more one says, the earlier.
IMPORTERS = {
    "coco": Importer(coco.matches, coco.read, coco.LOOKS_FOR),
    "hf": Importer(hf.matches, hf.read, hf.LOOKS_FOR),
    "webdataset": Importer(webdataset.matches, webdataset.read, webdataset.LOOKS_FOR),
    "voc": Importer(voc.matches, voc.read, voc.LOOKS_FOR),
    "yolo": Importer(yolo.matches, yolo.read, yolo.LOOKS_FOR),
    "csv": Importer(csv_rows.matches, csv_rows.read, csv_rows.LOOKS_FOR),
}


def read_fullest(files: SourceFiles, formats: Mapping[str, str]) -> tuple[str, RawSet, dict[str, str]]:
    """Read a source as the one of `formats` (name -> what speaks for it) that has objects of most of its pictures.

    Of several the first is taken. Returns its name, what it holds, and what speaks for the others. Raises DatasetError
    when none can be read.
    """
    raw: dict[str, RawSet] = {}
    others = dict(formats)
    faults = []
    for name in formats:
        try:
            raw[name] = IMPORTERS[name].read(files)
        except DatasetError as error:
            faults.append(error)
            others[name] += f"; but {error}"
    if not raw:
        raise faults[0]
    best = max(raw, key=lambda name: len({picture.path for picture in raw[name].pictures if picture.objects} - {None}))
    del others[best]
    return best, raw[best], others


def find_formats(files: SourceFiles, asked: str | None = None) -> dict[str, str]:
    """Find the formats that a source may be read as: name -> what speaks for it.

    Raises DatasetError when there is none, or when there is no format of the name that was asked for.
    """
    if asked is not None and asked not in IMPORTERS:
        near = difflib.get_close_matches(asked.lower(), IMPORTERS, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        expected = f"unknown format; {hint}known: {', '.join(IMPORTERS)}"
        raise DatasetError([Fault(file="--format", found=asked, expected=expected)])
    names = [asked] if asked is not None else list(IMPORTERS)
    found = {name: evidence for name in names if (evidence := IMPORTERS[name].matches(files)) is not None}
    if not found:
        looked = "; ".join(f"{name}: {IMPORTERS[name].looks_for}" for name in names)
        expected = f"no data set of a known format is here. Looked for {looked}. Found {files.summary()}"
        why = csv_rows.why_not(files) if "csv" in names else []
        raise DatasetError([Fault(file=str(files.root), expected=expected), *why[:3]])
    return found
