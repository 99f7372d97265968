"""The two tables of a scenario as cells of a page: read, checked as the command line checks them, and written."""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from filelock import FileLock

from generator.foundation.errors import BoxpaintError, FaultsError, SpecError
from generator.foundation.storage import translate_os_errors, write_bytes
from generator.foundation.tables import read_table
from generator.spec import BACKGROUND_COLUMNS, CLASS_COLUMNS, DECIMAL_COLUMNS, Spec, find_table, load_spec
from generator.spec.calibration import CALIBRATION
from generator.spec.references import COCO_PREFIX, find_references

BACKGROUND, CLASSES = "background.csv", "classes.csv"
COLUMNS: Mapping[str, Mapping[str, bool]] = {BACKGROUND: BACKGROUND_COLUMNS, CLASSES: CLASS_COLUMNS}
_LOCK, _LONGEST_WAIT_S = ".tables.lock", 10.0
_BESIDE = ("attributes.csv", CALIBRATION)
_PHOTO_CELLS = ("references", "photos")
_OUTSIDE = "leads outside of this folder: such photos can be named in the file, not on a page"
Known = Set[tuple[str, str | None]]
"""(column, cell) of the photos that the files on disk name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFault:
    """One thing wrong in a table: `row` counts from 1 as the page does, None where it is about the whole table."""

    table: str
    row: int | None
    column: str | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """A table as it lies on disk: every known column as text, and what tells whether somebody else has changed it."""

    path: Path
    frame: pd.DataFrame
    digest: str


def read_cells(folder: Path, name: str) -> Cells:
    """Read a table. Raises SpecError when it is missing, or broken in a way that cells could not show."""
    path = find_table(folder / name)
    table = read_table(path, COLUMNS[name], DECIMAL_COLUMNS)
    if table.faults:
        raise SpecError(table.faults)
    frame = pd.DataFrame([row.cells for row in table.rows], columns=list(COLUMNS[name]), dtype=object)
    return Cells(path=path, frame=frame.fillna(""), digest=_digest(path))


def check_cells(
    frames: Mapping[str, pd.DataFrame], folder: Path, canvas_wh: tuple[int, int], scene: str = ""
) -> tuple[Spec | None, list[CellFault]]:
    """Check both tables, with the other files of the scenario in `folder`, by the rules of `boxpaint check-spec`.

    Returns the spec that they make, None where something is wrong, and what that is.

    `scene` is as load_spec takes it. One rule is added: photos lie in `folder`, since not everybody who sees the page
    owns the disk. What the files on disk name already may lie anywhere: who wrote them does.
    """
    rows_of: dict[str, dict[int, int]] = {}
    on_disk = {name: read_table(find_table(folder / name), COLUMNS[name]).rows for name in frames}
    known = {(column, row.cells.get(column)) for rows in on_disk.values() for row in rows for column in _PHOTO_CELLS}
    faults = list(_outside_faults(frames[BACKGROUND], folder, known))
    if faults:  # nothing there is looked at
        return None, faults
    spec: Spec | None = None
    with tempfile.TemporaryDirectory(prefix="boxpaint-") as scratch:
        for name, frame in frames.items():
            data, lines = to_csv(frame, COLUMNS[name])
            rows_of[name] = {line: row for row, line in enumerate(lines, start=1) if line is not None}
            (Path(scratch) / name).write_bytes(data)
        for name in _BESIDE:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, Path(scratch) / name)
        try:
            spec = load_spec(
                Path(scratch) / BACKGROUND,
                Path(scratch) / CLASSES,
                canvas_wh=canvas_wh,
                find_references=False,
                scene=scene,
                folder=folder,
            )
        except FaultsError as error:
            for fault in error.faults:
                table = Path(fault.file).name
                found = f"found {fault.found!r}; " if fault.found is not None else ""
                number = rows_of.get(table, {}).get(fault.line or 0)
                place = f"line {fault.line}: " if fault.line is not None and table not in rows_of else ""
                text = f"{place}{found}{fault.expected}"
                faults.append(CellFault(table=table, row=number, column=fault.column, text=text))
    if spec is not None:
        for table, line, column, text in _photo_faults(spec, folder, known):
            faults.append(CellFault(table=table, row=rows_of[table].get(line), column=column, text=text))
    return None if faults else spec, faults


def write_cells(cells: Mapping[str, Cells], frames: Mapping[str, pd.DataFrame]) -> None:
    """Write tables, all or none of them. Raises BoxpaintError when one was changed since it was read; StorageError."""
    first = next(iter(cells.values()))
    with translate_os_errors(first.path), FileLock(first.path.with_name(_LOCK), timeout=_LONGEST_WAIT_S):
        for each in cells.values():
            if _digest(each.path) != each.digest:
                raise BoxpaintError(
                    f"{each.path.name} was changed since this page read it, in another window or an editor; nothing "
                    "was written. Read anew to see it as it is now"
                )
        for name, each in cells.items():
            write_bytes(each.path, to_csv(frames[name], COLUMNS[name])[0])


def to_csv(frame: pd.DataFrame, columns: Mapping[str, bool]) -> tuple[bytes, list[int | None]]:
    """CSV of the required columns and of those that hold something; and the line of each row, None of an empty one."""
    whole = frame.astype(object).reindex(columns=list(columns), fill_value="")
    text = whole.where(whole.notna(), "").map(lambda cell: " ".join(str(cell).split()))
    kept = [name for name, required in columns.items() if required or (text[name] != "").any()]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(kept)
    lines: list[int | None] = []
    last = 1
    for cells in text[kept].itertuples(index=False, name=None):
        if not any(cells):
            lines.append(None)
            continue
        writer.writerow(cells)  # no cell holds a line break, so a row is a line
        last += 1
        lines.append(last)
    return stream.getvalue().encode(), lines


def _outside_faults(background: pd.DataFrame, folder: Path, known: Known) -> Iterator[CellFault]:
    """Cells `photos` that lead outside of a folder, before they are followed."""
    for number, cell in enumerate(background.get("photos", ()), start=1):
        if isinstance(cell, str) and ("photos", cell) not in known and not _is_inside(cell, folder):
            yield CellFault(table=BACKGROUND, row=number, column="photos", text=f"found {cell!r}; {_OUTSIDE}")


def _photo_faults(spec: Spec, folder: Path, known: Known) -> Iterator[tuple[str, int, str, str]]:
    """Table, line, column and what is wrong of each cell that names photos outside of a folder, or none."""
    for table, rows in ((BACKGROUND, spec.backgrounds), (CLASSES, spec.classes)):
        for row in rows:
            if text := _reference_fault(row.references, folder, anywhere=("references", row.references) in known):
                yield table, row.line, "references", text
    for scene in spec.backgrounds:
        found = scene.photos
        if (
            found
            and ("photos", found.cell) not in known
            and _lead_outside((each.path for each in found.photos), folder)
        ):
            yield BACKGROUND, scene.line, "photos", f"found {found.cell!r}; {_OUTSIDE}"


def _reference_fault(cell: str, folder: Path, *, anywhere: bool) -> str:
    if not anywhere and not _is_inside(cell, folder):
        return f"found {cell!r}; {_OUTSIDE}"
    try:
        pictures = find_references(cell, folder)
    except ValueError as error:
        return f"found {cell!r}; {error}"
    outside = not anywhere and _lead_outside((each.path for each in pictures), folder)
    return f"found {cell!r}; {_OUTSIDE}" if outside else ""


def _is_inside(cell: str, folder: Path) -> bool:
    """Whether what a cell names lies in a folder; of `coco:PATH#what` it is the path that counts."""
    text = cell.removeprefix(COCO_PREFIX)
    places = [text] if text == cell else [text, text.rpartition("#")[0]]
    return not _lead_outside((folder / place for place in places), folder)


def _lead_outside(paths: Iterable[Path], folder: Path) -> bool:
    """Whether one of them does: links may, and what a COCO file calls its pictures."""
    return not all(path.resolve().is_relative_to(folder.resolve()) for path in paths)


def _digest(path: Path) -> str:
    with translate_os_errors(path):
        return hashlib.sha256(path.read_bytes()).hexdigest()
