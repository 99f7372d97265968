"""CSV files of boxes, one row an object; which column holds what is told by the header or, without one, by the cells.

TensorFlow's tutorials and Roboflow (https://roboflow.com/formats/tensorflow-object-detection-csv):
filename,width,height,class,xmin,ymin,xmax,ymax. Keras RetinaNet (https://github.com/fizyr/keras-retinanet#csv-datasets):
path,x1,y1,x2,y2,class_name without a header, and `path,,,,,` for a picture without objects.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from detection.datasets.names import split_of_folders
from detection.formats.matching import PICTURE_SUFFIXES, Match
from detection.formats.raw import Cases, RawObject, RawPicture, RawSet, categories_of, number_of, size_of
from detection.formats.source import Reader, SourceFiles, without_annotation
from detection.formats.splits import apply_claims, claims_of_lists
from generator.foundation.errors import ConfigError, DatasetError, Fault
from generator.foundation.split_names import split_of_name, split_of_word
from generator.foundation.text import split_separator_line, strip_text

_SUFFIXES = (".csv", ".tsv")
# A box may stick out a little.
_MOST_SHARE = 1.5
_SHOWN = 200
_SYNONYMS = {
    "image": (
        "filename file file_name image image_name image_path image_file path filepath file_path img img_name img_path "
        "image_id imageid"
    ),
    "class": "class class_name classname label label_name labelname category category_name name object",
    "x_min": "xmin x_min x1 left bbox_xmin bbox_x_min bbox_x1 box_xmin",
    "y_min": "ymin y_min y1 top bbox_ymin bbox_y_min bbox_y1 box_ymin",
    "x_max": "xmax x_max x2 right bbox_xmax bbox_x_max bbox_x2 box_xmax",
    "y_max": "ymax y_max y2 bottom bbox_ymax bbox_y_max bbox_y2 box_ymax",
    "x": "x bbox_x box_x",
    "y": "y bbox_y box_y",
    "box_width": "w bbox_width box_width bbox_w bw",
    "box_height": "h bbox_height box_height bbox_h bh",
    "width": "width image_width img_width imagewidth",
    "height": "height image_height img_height imageheight",
    "split": "split set subset usage",
}
KEYS = tuple(_SYNONYMS)
_MEANINGS = {word: meaning for meaning, words in _SYNONYMS.items() for word in words.split()}
_CORNERS = ("x_min", "y_min", "x_max", "y_max")
_SIDES = ("x", "y", "box_width", "box_height")
_RETINANET = ("image", *_CORNERS, "class")
_DELIMITERS = (",", ";", "\t", "|")
# Rows by which it is decided which column names the pictures.
_SAMPLE = 200


def matches(files: SourceFiles) -> str | None:
    """Say what speaks for CSV; None when nothing does. Raises DatasetError for a named column that is not there."""
    _check_named(files)
    found = [str(path) for path in files.with_suffix(*_SUFFIXES) if _table(files, path, errors="replace") is not None]
    return ", ".join(found) or None


def why_not(files: SourceFiles) -> list[Fault]:
    """Say of each CSV file why it is not read as one of boxes."""
    faults: list[Fault] = []
    for path in files.with_suffix(*_SUFFIXES):
        try:
            header = header_of(files.read_text(path))
        except DatasetError as error:
            faults += error.faults
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
    cases = Cases()
    for path in files.with_suffix(*_SUFFIXES):
        rows = _table(files, path) or []
        relative = _are_shares([row.box for row in rows if row.box is not None])
        of_name: defaultdict[str, list[BoxRow]] = defaultdict(list)
        for row in rows:
            of_name[row.cells["image"]].append(row)
        for name, of_picture in of_name.items():
            if name:
                pictures.append(_picture(files, path, name, of_picture, cases, relative=relative))
                continue
            for row in of_picture:
                what, place = "a row that names no picture", f"line {row.line}"
                cases.dropped(path, what, row.cells["class"], place, objects=int(row.box is not None))
    pictures += without_annotation(files, pictures, cases)
    if not any(picture.split for picture in pictures):
        claims = claims_of_lists(files, [picture.name for picture in pictures])
        pictures = apply_claims(files, pictures, claims, cases)
    return RawSet(categories=categories_of(pictures), pictures=pictures, cases=cases)


def _picture(
    files: SourceFiles,
    path: PurePosixPath,
    name: str,
    rows: Sequence[BoxRow],
    cases: Cases,
    *,
    relative: bool,
) -> RawPicture:
    match = files.find_named(name, path)
    word = rows[0].cells.get("split", "")
    split = split_of_word(word) or split_of_name(path.stem) or split_of_folders(path)
    objects = [
        RawObject(category=row.cells["class"], box=row.box, place=f"line {row.line}")
        for row in rows
        if row.box is not None
    ]
    picture = RawPicture(
        name=name,
        file=str(path),
        place=f"line {rows[0].line}",
        size_wh=size_of(rows[0].cells.get("width"), rows[0].cells.get("height")),
        split=split or split_of_folders(match.path),
        objects=objects,
        relative=relative,
    )
    return match.of(picture, cases)


def _box(cells: Mapping[str, str], delimiter: str, *, has_sides: bool) -> tuple[float, float, float, float] | None:
    """Read the box of a row, NaN where a number is missing; None where no cell of it is filled."""
    texts = [cells.get(name, "") for name in (_SIDES if has_sides else _CORNERS)]
    if not any(texts):
        return None
    decimal = "." if delimiter == "," else ","
    a, b, c, d = (number_of(text.replace(decimal, ".")) for text in texts)
    return (a, b, a + c, b + d) if has_sides else (a, b, c, d)


def _are_shares(boxes: Sequence[tuple[float, float, float, float]]) -> bool:
    """Say whether numbers are shares of the sides, as some of TensorFlow's tables have them: none is large."""
    numbers = [abs(value) for box in boxes for value in box if math.isfinite(value)]
    return bool(numbers) and max(numbers) <= _MOST_SHARE and any(not value.is_integer() for value in numbers)


def _check_named(files: SourceFiles) -> None:
    headers = {path: header_of(files.read_text(path, errors="replace")) for path in files.with_suffix(*_SUFFIXES)}
    for key, column in files.columns.items():
        if all(_position(header, column) is None for header in headers.values()):
            known = "; ".join(f"{path} has {', '.join(header)}"[:_SHOWN] for path, header in headers.items())
            expected = f"no CSV file has such a column: {known or 'there is none'}"
            raise DatasetError([Fault(file="--column", found=f"{key}={column}", expected=expected)])


def _table(files: SourceFiles, path: PurePosixPath, *, errors: str = "strict") -> list[BoxRow] | None:
    try:
        text = files.read_text(path, errors=errors)
    except DatasetError:
        if _table(files, path, errors="replace") is None:
            return None
        raise
    return read_box_table(text, files.columns, lambda cell: files.find_named(cell, path) != Match())


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxRow:
    """One row: its line, the text below each meaning that the file has, and its box, x_min y_min x_max y_max."""

    line: int
    cells: Mapping[str, str]
    box: tuple[float, float, float, float] | None


def check_columns(columns: Mapping[str, str], form: str | None) -> None:
    """Raise ConfigError for a key of `--column KEY=COLUMN` that means nothing, or beside a format without columns."""
    for key in columns:
        if form not in (None, "csv"):
            raise ConfigError([Fault(file="--column", expected=f"is for CSV files, not for --format {form}")])
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'? " if near else ""
            expected = f"unknown key; {hint}known: {', '.join(KEYS)}"
            raise ConfigError([Fault(file="--column", found=f"{key}={columns[key]}", expected=expected)])


def read_box_table(
    text: str, named: Mapping[str, str] | None = None, is_picture: Callable[[str], bool] = lambda _: False
) -> list[BoxRow] | None:
    """Read a file whose columns are a picture, a class and a box; None when it is no such file.

    `named` are key -> column, as the user gave them. Of several columns that may name the picture (image_id, image) it
    is the one most of whose first cells do, by `is_picture`.
    """
    for delimiter, lines in _split(text):
        columns = _columns_of_header(lines, named or {}, is_picture)
        if columns is not None:
            lines = lines[1:]
        elif _is_retinanet(lines[0][1]):
            columns = _RETINANET
        else:
            continue
        rows = [(line, _cells(columns, cells)) for line, cells in lines]
        has_sides = "x_min" not in columns
        return [BoxRow(line=line, cells=cells, box=_box(cells, delimiter, has_sides=has_sides)) for line, cells in rows]
    return None


def header_of(text: str) -> list[str]:
    """The cells of the first line, split where that gives most of them."""
    return max((lines[0][1] for _, lines in _split(text)), key=len, default=[])


def missing_keys(header: Sequence[str], named: Mapping[str, str]) -> list[str]:
    """Say which keys no column of a header stands for."""
    columns = _meanings(header, named)
    corners, sides = ([key for key in keys if key not in columns] for keys in (_CORNERS, _SIDES))
    return [key for key in ("image", "class") if key not in columns] + min(corners, sides, key=len)


def _split(text: str) -> list[tuple[str, list[tuple[int, list[str]]]]]:
    """Split a table by each delimiter that it may have: (delimiter, (line, cells) of all that is not empty)."""
    text, told = split_separator_line(text)
    found = []
    for delimiter in (told,) if told is not None else _DELIMITERS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        try:
            lines = [(reader.line_num, [strip_text(cell) for cell in cells]) for cells in reader]
        except csv.Error:  # binary data, or a quote that never ends
            return []
        if lines := [(line, cells) for line, cells in lines if any(cells)]:
            found.append((delimiter, lines))
    return found


def _columns_of_header(
    lines: Sequence[tuple[int, Sequence[str]]], named: Mapping[str, str], is_picture: Callable[[str], bool]
) -> tuple[str, ...] | None:
    header = lines[0][1]
    columns = _meanings(header, named)
    has_box = all(name in columns for name in _CORNERS) or all(name in columns for name in _SIDES)
    if not has_box or "image" not in columns or "class" not in columns:
        return None
    # Of two columns of one meaning (filename, file) the first counts, of those for pictures the one that names some.
    sample = [cells for _, cells in lines[1 : _SAMPLE + 1]]
    hits = {
        number: sum(number < len(cells) and is_picture(cells[number]) for cells in sample)
        for number, column in enumerate(columns)
        if column == "image"
    }
    image = max(hits, key=lambda number: hits[number])
    return tuple(
        column if number == image or (column != "image" and column not in columns[:number]) else ""
        for number, column in enumerate(columns)
    )


def _meanings(header: Sequence[str], named: Mapping[str, str]) -> list[str]:
    """Say what each column of a header means, "" for nothing that we need; what the user named comes first."""
    columns = [_MEANINGS.get(_word(cell), "") for cell in header]
    if "x" in columns and "box_width" not in columns and "box_width" not in named:
        # Beside x and y, a width is the box's.
        columns = [{"width": "box_width", "height": "box_height"}.get(column, column) for column in columns]
    for key, column in named.items():
        position = _position(header, column)
        if position is not None:
            columns = [found if found != key else "" for found in columns]
            columns[position] = key
    return columns


def _position(header: Sequence[str], column: str) -> int | None:
    for same in (lambda cell: cell == column.strip(), lambda cell: _word(cell) == _word(column)):
        found = [number for number, cell in enumerate(header) if cell and same(cell)]
        if found:
            return found[0]
    return None


def _word(cell: str) -> str:
    return re.sub(r"[\W_]+", "_", cell.casefold()).strip("_")


def _is_retinanet(cells: Sequence[str]) -> bool:
    if len(cells) != len(_RETINANET) or not cells[0].lower().endswith(PICTURE_SUFFIXES):
        return False
    return all(re.fullmatch(r"-?\d+(\.\d*)?", cell) for cell in cells[1:5]) or not any(cells[1:])


def _cells(columns: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    filled = (*cells, *[""] * (len(columns) - len(cells)))
    return {column: cell for column, cell in zip(columns, filled, strict=False) if column}


READER = Reader(
    matches=matches,
    read=read,
    looks_for="CSV files with columns such as filename, class, xmin, ymin, xmax, ymax",
    why_not=why_not,
)
