"""The text of a table -> rows of cells, however badly it is quoted."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from detection.captioner.names import PictureNames, names_a_picture_file

_NEWLINE = re.compile(r"\r\n|\n|\r")
# A caption in quotes may go over some lines; a quote that stays open longer was never meant to open one.
MOST_LINES_OF_A_CAPTION = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The cells of a row, and the line it starts on, from 1."""

    line: int
    cells: list[str]


def split_rows(text: str, separator: str, names: PictureNames) -> list[Row]:
    """Split a table into its rows, without empty ones; white space in a cell becomes one space.

    Each line is a row, except inside of quotes that are closed on a line soon after. The csv module is not given the
    whole file, because one stray quote in a caption would swallow all up to the next one.
    """
    lines = _NEWLINE.split(text)
    rows = []
    number = 0
    while number < len(lines):
        cells, quotes = _split_line(lines[number], separator)
        used = 1
        for more in range(1, MOST_LINES_OF_A_CAPTION) if quotes == "open" else ():
            if number + more >= len(lines) or _begins_a_row(lines[number + more], separator, names):
                break
            joined, quotes = _split_line("\n".join(lines[number : number + more + 1]), separator)
            if quotes == "sound":
                cells, used = joined, more + 1
                break
        if any(cells):
            rows.append(Row(line=number + 1, cells=cells))
        number += used
    return rows


def _split_line(text: str, separator: str) -> tuple[list[str], Literal["sound", "open", "odd"]]:
    """Cells of a line, and whether its quotes are sound, stay open at its end, or stand where none should."""
    try:
        cells = next(csv.reader([text], delimiter=separator, skipinitialspace=True, strict=True), [])
        return _tidy(cells), "sound"
    except csv.Error as error:
        quotes: Literal["open", "odd"] = "open" if "unexpected end of data" in str(error) else "odd"
    try:
        cells = next(csv.reader([text], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:  # longer than the csv module takes, or a line end behind a closed quote
        cells = text.split(separator)
    return _tidy(cells), quotes


def _tidy(cells: list[str]) -> list[str]:
    return [" ".join(cell.split()) for cell in cells]


def _begins_a_row(line: str, separator: str, names: PictureNames) -> bool:
    cells, _ = _split_line(line, separator)
    return any(names_a_picture_file(cell) or isinstance(names.find(cell), Path) for cell in cells)
