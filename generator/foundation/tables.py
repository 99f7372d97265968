"""CSV files as people really write them -> rows of text with line numbers, and every fault in them.

The format is RFC 4180 with the liberties that spreadsheets take: a byte order mark, CRLF, spaces after commas,
a trailing comma on every line, empty lines, a first line `sep=;`, and tabs, or semicolons where the locale uses the
comma for decimals.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from generator.foundation.errors import Fault, SpecError
from generator.foundation.text import NotTextError, decode_text, split_separator_line, strip_text

# `"a cow" ,3`: people put spaces there, and the csv module takes them for broken quotes. Whole cells are matched: what
# stands inside of quotes stays.
_QUOTED_CELL = re.compile(r'("(?:[^"]|"")*")[ \t]*(?=[,;\r\n]|$)')
_DECIMAL_COMMA = re.compile(r"\A(\d+),(\d+\s*(?:%|px)?)\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One row: the text of each known column ("" where the cell is empty) and the line it starts on."""

    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What could be read of a file: its rows in order, the required columns it lacks, and every fault of its shape."""

    rows: tuple[TableRow, ...]
    missing: frozenset[str]
    faults: tuple[Fault, ...]


def read_text(path: Path) -> str:
    """Read a file in UTF-8, or in what its byte order mark says.

    Raises SpecError when the file is missing, unreadable or in another encoding.
    """
    try:
        return decode_text(path.read_bytes())
    except FileNotFoundError:
        expected = "there is no such file; `boxpaint init` lays down a scenario to edit"
        raise SpecError([Fault(file=str(path), expected=expected)]) from None
    except OSError as error:
        raise SpecError([Fault(file=str(path), expected=f"cannot be read: {error.strerror}")]) from None
    except NotTextError as error:
        raise SpecError([error.fault(str(path))]) from None


def read_table(path: Path, columns: Mapping[str, bool], decimals: Collection[str] = ()) -> Table:
    """Read a CSV file whose header names some of `columns` (name -> is it required).

    In columns of `decimals` a comma is a decimal point where cells are separated by something else.
    Faults of its shape are unknown, missing or double columns, cells beyond the header, broken quotes. Raises
    SpecError only when nothing can be read at all.
    """
    file = str(path)
    text, delimiter = split_separator_line(read_text(path))
    text = _QUOTED_CELL.sub(r"\1", text)
    if delimiter is None:
        first_line = text.lstrip().split("\n", 1)[0]
        delimiter = next((mark for mark in ";\t" if mark in first_line and "," not in first_line), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    header: list[str] | None = None
    rows: list[TableRow] = []
    faults: list[Fault] = []

    def fault(line: int, expected: str, found: str | None = None) -> None:
        faults.append(Fault(file=file, line=line, found=found, expected=expected))

    while True:
        line = reader.line_num + 1
        try:
            cells = [strip_text(cell) for cell in next(reader)]
        except StopIteration:
            break
        except csv.Error as error:
            fault(line, f"{error}; check the quotes from this line on")
            break
        if not any(cells):
            continue
        if header is None:
            header = ["_".join(cell.lower().split()) for cell in cells]
            faults += _header_faults(file, line, header, columns)
            continue
        if beyond := [cell for cell in cells[len(header) :] if cell]:
            expected = f"this line has {len(cells)} cells, the header {len(header)} columns; a text with a comma in it "
            fault(line, f"{expected}needs double quotes around it", beyond[0])
            continue
        if unnamed := [cell for name, cell in zip(header, cells, strict=False) if not name and cell]:
            fault(line, "this cell stands under an empty column name", unnamed[0])
        filled = dict(zip(header, cells, strict=False))
        if delimiter != ",":
            filled.update({name: _DECIMAL_COMMA.sub(r"\1.\2", filled[name]) for name in decimals if name in filled})
        rows.append(TableRow(line=line, cells={name: filled.get(name, "") for name in columns}))
    if header is None and not faults:
        fault(1, f"the file is empty; its first line names the columns: {', '.join(columns)}")
    elif not rows and not faults:
        fault(reader.line_num, "no rows below the header; at least one is needed")
    missing = {name for name, required in columns.items() if required and name not in (header or ())}
    return Table(rows=tuple(rows), missing=frozenset(missing), faults=tuple(faults))


def _header_faults(file: str, line: int, header: list[str], columns: Mapping[str, bool]) -> list[Fault]:
    wrong: list[tuple[str, str]] = []
    for position, name in enumerate(header):
        if name and name not in columns:
            near = difflib.get_close_matches(name, columns, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known columns: {', '.join(columns)}"
            wrong.append((name, f"unknown column; {hint}"))
        elif name and name in header[:position]:
            wrong.append((name, "this column is named twice"))
    absent = [name for name, required in columns.items() if required and name not in header]
    wrong += [(name, "this column is missing") for name in absent]
    return [Fault(file=file, line=line, column=name, expected=expected) for name, expected in wrong]


def check_cells(path: Path, rows: Sequence[TableRow], schema: pa.DataFrameSchema) -> list[Fault]:
    """Check the text of every cell against a pandera schema.

    Each check's `error` is what the user reads as "what would be right".
    """
    if not rows:
        return []
    frame = pd.DataFrame([dict(row.cells) for row in rows], index=[row.line for row in rows], dtype=str)
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        return [
            Fault(
                file=str(path),
                line=int(case["index"]),
                column=str(case["column"]),
                found=str(case["failure_case"]),
                expected=str(case["check"]),
            )
            for case in errors.failure_cases.to_dict("records")
        ]
    return []
