"""The formats. A new one is one file that holds how it is read, or written, or both, and one line here."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from detection.formats import coco, crops, csv_boxes, hf, semantic, voc, webdataset, yolo
from detection.formats.raw import RawSet
from detection.formats.source import Reader, SourceFiles
from detection.formats.target import Writer
from generator.foundation.errors import DatasetError, Fault

Side = TypeVar("Side", Reader, Writer)


class Format(NamedTuple):
    """The two directions of a format."""

    reader: Reader | None = None
    writer: Writer | None = None


# In the order in which they are believed where a source has as much of several: the more one says, the earlier.
FORMATS = {
    "coco": Format(coco.READER, coco.WRITER),
    "hf": Format(hf.READER, hf.WRITER),
    "webdataset": Format(webdataset.READER, webdataset.WRITER),
    "voc": Format(voc.READER, voc.WRITER),
    "yolo": Format(yolo.READER, yolo.WRITER),
    "yolo-seg": Format(writer=yolo.POLYGON_WRITER),
    "csv": Format(reader=csv_boxes.READER),
    "crops": Format(writer=crops.WRITER),
    "semantic": Format(writer=semantic.WRITER),
}
READERS = {name: each.reader for name, each in FORMATS.items() if each.reader is not None}
WRITERS = {name: each.writer for name, each in FORMATS.items() if each.writer is not None}


def find_format(name: str, known: Mapping[str, Side]) -> Side:
    """Find the reader or writer of the format that --format names. Raises DatasetError for an unknown one."""
    if name not in known:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        expected = f"unknown format; {hint}known: {', '.join(known)}"
        raise DatasetError([Fault(file="--format", found=name, expected=expected)])
    return known[name]


def find_formats(files: SourceFiles, asked: str | None = None) -> dict[str, str]:
    """Find the formats that a source may be read as: name -> what speaks for it.

    Raises DatasetError when there is none, or when there is no format of the name that was asked for.
    """
    readers = READERS if asked is None else {asked: find_format(asked, READERS)}
    found = {name: evidence for name, reader in readers.items() if (evidence := reader.matches(files)) is not None}
    if not found:
        looked = "; ".join(f"{name}: {reader.looks_for}" for name, reader in readers.items())
        expected = f"no data set of a known format is here. Looked for {looked}. Found {files.summary()}"
        why = [fault for reader in readers.values() for fault in reader.why_not(files)]
        raise DatasetError([Fault(file=str(files.root), expected=expected), *why[:3]])
    return found


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
            raw[name] = READERS[name].read(files)
        except DatasetError as error:
            faults.append(error)
            others[name] += f"; but {error}"
    if not raw:
        raise faults[0]
    best = max(raw, key=lambda name: len({picture.path for picture in raw[name].pictures if picture.objects} - {None}))
    del others[best]
    return best, raw[best], others
