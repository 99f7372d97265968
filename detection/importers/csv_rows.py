"""CSV files of boxes, one row an object -> pictures. See csv_columns.py for the forms."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath

from detection.datasets.split_names import split_of_folders, split_of_name, split_of_word
from detection.importers.csv_columns import BoxRow, BoxTable, has_column, header_of, missing_keys, read_box_table
from detection.importers.files import SourceFiles, without_annotation
from detection.importers.lists import apply_claims, claims_of_lists
from detection.importers.matching import Match
from detection.importers.types import Case, RawObject, RawPicture, RawSet
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.text import NotTextError, decode_text

LOOKS_FOR = "CSV files with columns such as filename, class, xmin, ymin, xmax, ymax"
_SUFFIXES = (".csv", ".tsv")
# A box may stick out a little.
_MOST_SHARE = 1.5
_SHOWN = 200


def matches(files: SourceFiles) -> str | None:
    """Say what speaks for CSV; None when nothing does. Raises DatasetError for a column that the user named in vain."""
    _check_named(files)
    found = [str(path) for path in files.with_suffix(*_SUFFIXES) if _table(files, path, errors="replace") is not None]
    return ", ".join(found) if found else None


def why_not(files: SourceFiles) -> list[Fault]:
    """Say of each CSV file why it is not read as one of boxes."""
    faults = []
    for path in files.with_suffix(*_SUFFIXES):
        try:
            header = header_of(decode_text(files.read_bytes(path)))
        except NotTextError as error:
            faults.append(error.fault(str(files.root / path)))
            continue
        missing = missing_keys(header, files.columns)
        if header and missing:
            expected = f"no column for {', '.join(missing)}; name it: --column {missing[0]}=COLUMN"
            shown = ", ".join(header)[:_SHOWN]
            faults.append(Fault(file=str(files.root / path), line=1, found=shown, expected=expected))
    return faults


def read(files: SourceFiles) -> RawSet:
    """Read every file of boxes. A row whose box is empty is a picture without objects.

    Raises DatasetError for a file in another encoding.
    """
    pictures: list[RawPicture] = []
    cases: list[Case] = []
    for path in files.with_suffix(*_SUFFIXES):
        table = _table(files, path)
        if table is None:
            continue
        rows: defaultdict[str, list[BoxRow]] = defaultdict(list)
        for row in table.rows:
            rows[row.cells["image"]].append(row)
        boxes = {row.line: _box(row, table) for row in table.rows}
        relative = _are_shares([box for box in boxes.values() if box is not None])
        for name, of_picture in rows.items():
            if not name:
                cases += [_nameless(path, row, is_object=boxes[row.line] is not None) for row in of_picture]
                continue
            picture, choices = _picture(files, path, name, of_picture, boxes, relative=relative)
            pictures.append(picture)
            cases += choices
    empty, left_out = without_annotation(files, pictures)
    cases += left_out
    pictures += empty
    if not any(picture.split for picture in pictures):
        claims = claims_of_lists(files, [picture.name for picture in pictures])
        pictures, doubled = apply_claims(files, pictures, claims)
        cases += doubled
    categories = {item.category for picture in pictures for item in picture.objects} - {""}
    return RawSet(categories=tuple(sorted(categories)), pictures=tuple(pictures), cases=tuple(cases))


def _picture(
    files: SourceFiles,
    path: PurePosixPath,
    name: str,
    rows: Sequence[BoxRow],
    boxes: dict[int, tuple[float, float, float, float] | None],
    *,
    relative: bool,
) -> tuple[RawPicture, list[Case]]:
    match = files.find_named(name, path)
    width, height = (_number(rows[0].cells.get(side, "")) for side in ("width", "height"))
    word = rows[0].cells.get("split", "")
    split = split_of_word(word) or split_of_name(path.stem) or split_of_folders(path)
    objects = []
    for row in rows:
        box = boxes[row.line]
        if box is not None:
            objects.append(RawObject(category=row.cells["class"], box=box, place=f"line {row.line}"))
    picture = RawPicture(
        name=name,
        path=match.path,
        file=str(path),
        place=f"line {rows[0].line}",
        size_wh=(int(width), int(height)) if math.isfinite(width) and math.isfinite(height) else None,
        split=split or (split_of_folders(match.path) if match.path is not None else None),
        objects=tuple(objects),
        relative=relative,
        looseness=match.looseness,
        rivals=match.rivals,
    )
    return picture, match.cases(name, path, picture.place)


def _nameless(path: PurePosixPath, row: BoxRow, *, is_object: bool) -> Case:
    what, found = "a row that names no picture", row.cells["class"]
    place = f"line {row.line}"
    return Case(file=str(path), place=place, what=what, found=found, done="dropped", lost_objects=int(is_object))


def _box(row: BoxRow, table: BoxTable) -> tuple[float, float, float, float] | None:
    """Read the box of a row, NaN where a number is missing; None where no cell of it is filled."""
    names = ("x", "y", "box_width", "box_height") if table.has_sides else ("x_min", "y_min", "x_max", "y_max")
    cells = [row.cells.get(name, "") for name in names]
    if not any(cells):
        return None
    decimal = "." if table.delimiter == "," else ","
    a, b, c, d = (_number(cell.replace(decimal, ".")) for cell in cells)
    return (a, b, a + c, b + d) if table.has_sides else (a, b, c, d)


def _are_shares(boxes: Sequence[tuple[float, float, float, float]]) -> bool:
    """Say whether numbers are shares of the sides, as some of TensorFlow's tables have them: none is large."""
    numbers = [abs(value) for box in boxes for value in box if math.isfinite(value)]
    return bool(numbers) and max(numbers) <= _MOST_SHARE and any(not value.is_integer() for value in numbers)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _check_named(files: SourceFiles) -> None:
    headers = {
        path: header_of(decode_text(files.read_bytes(path), errors="replace")) for path in files.with_suffix(*_SUFFIXES)
    }
    for key, column in files.columns.items():
        if not any(has_column(header, column) for header in headers.values()):
            known = "; ".join(f"{path} has {', '.join(header)}"[:_SHOWN] for path, header in headers.items())
            expected = f"no CSV file has such a column: {known or 'there is none'}"
            raise DatasetError([Fault(file="--column", found=f"{key}={column}", expected=expected)])


def _table(files: SourceFiles, path: PurePosixPath, *, errors: str = "strict") -> BoxTable | None:
    try:
        text = decode_text(files.read_bytes(path), errors=errors)
    except NotTextError as error:
        if _table(files, path, errors="replace") is None:
            return None
        raise DatasetError([error.fault(str(files.root / path))]) from None
    return read_box_table(text, files.columns, partial(_names_a_picture, files, path))


def _names_a_picture(files: SourceFiles, path: PurePosixPath, cell: str) -> bool:
    return files.find_named(cell, path) != Match()
