"""A table of pictures and captions, in any of the forms they come in -> (picture, caption) pairs.

Flickr8k's captions.txt (`image,caption`) and Flickr8k.token.txt (`name.jpg#0<TAB>caption`), Flickr30k's results.csv
(`image_name| comment_number| comment`), and what people make of them: other headers or none, other columns between,
semicolons, a byte order mark, captions with the separator in them, quoted or not. The two columns are told by what
they hold, never by their headers.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from detection.formats.matching import PictureNames
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.tables import read_text
from generator.foundation.text import split_separator_line
from generator.spec.references import SUFFIXES

# Separator -> what stands for it inside of a caption that was not quoted.
_SEPARATORS = {",": ", ", ";": "; ", "\t": " ", "|": " | "}
_WORD = re.compile(r"[^\W\d_]+")
# Without a header, the table is as wide as the shortest rows that are not rare; longer ones have a separator in them.
_COMMON_SHARE = 0.1
_SHOWN_CHARACTERS = 60
EXAMPLE = "a row holds a picture's file name and a caption, such as: dog.jpg,a dog runs over the grass"
_NEWLINE = re.compile(r"\r\n|\n|\r")
# A caption in quotes may go over some lines; a quote that stays open longer was never meant to open one.
_MOST_LINES_OF_A_CAPTION = 10
# Flickr8k.token.txt numbers the captions of a picture: 1000268201_693b08cb0e.jpg#0
_CAPTION_NUMBER = re.compile(r"#\d+$")
_TABLE = PurePosixPath("captions.csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionTable:
    """What could be used of a table, and why the rest could not."""

    file: Path
    images: Path
    """The folder that the pictures were looked for in."""
    pairs: tuple[tuple[Path, str], ...]
    """(picture, caption), all captions of a picture one after the other; pictures in the order of the table."""
    skipped: tuple[Fault, ...]
    """The rows that could not be used, each with its line and the reason."""
    image_column: str
    caption_column: str

    @property
    def captions(self) -> Mapping[Path, tuple[str, ...]]:
        """Picture -> its captions, in the order of the table."""
        grouped: dict[Path, list[str]] = {}
        for picture, caption in self.pairs:
            grouped.setdefault(picture, []).append(caption)
        return {picture: tuple(captions) for picture, captions in grouped.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """One way to read the file: its rows, and where their pictures and captions stand."""

    separator: str
    rows: list[_Row]
    header: list[str]
    """[] where there is none."""
    width: int
    image: int
    caption: int | None
    hits: int
    """Rows that name a picture that is there."""
    words: int
    """Words of all captions of these rows."""

    def column(self, position: int) -> str:
        name = self.header[position] if position < len(self.header) else ""
        return name or str(position + 1)


def read_caption_table(path: Path, images: Path) -> CaptionTable:
    """Read a table of captions of the pictures below `images`.

    Rows that cannot be used are skipped and listed. Raises DatasetError (SpecError for a file that cannot be read)
    when nothing of it can be used.
    """
    names = _Pictures(images)
    text, told = split_separator_line(read_text(path))
    separators = [told] if told in _SEPARATORS else [each for each in _SEPARATORS if each in text] or [","]
    layouts = [_lay_out(_split_rows(text, separator, names), separator, names) for separator in separators]
    layout = max(layouts, key=lambda layout: (layout.hits, layout.words))
    if not layout.rows:
        raise DatasetError([Fault(file=str(path), line=1, expected=f"the file is empty; {EXAMPLE}")])
    if layout.hits == 0:
        raise DatasetError([_no_picture_fault(path, layout, names)])
    if layout.caption is None:
        raise DatasetError([_no_caption_fault(path, layout)])
    pairs: list[tuple[Path, str]] = []
    skipped: list[Fault] = []
    for row in layout.rows[1:] if layout.header else layout.rows:
        read = _read_row(row, layout, layout.caption, names, str(path))
        if isinstance(read, Fault):
            skipped.append(read)
        else:
            pairs.append(read)
    if not pairs:
        raise DatasetError([_no_caption_fault(path, layout), *skipped[:3]])
    order = {picture: number for number, picture in enumerate(dict.fromkeys(picture for picture, _ in pairs))}
    return CaptionTable(
        file=path,
        images=images,
        pairs=tuple(sorted(pairs, key=lambda pair: order[pair[0]])),
        skipped=tuple(skipped),
        image_column=layout.column(layout.image),
        caption_column=layout.column(layout.caption),
    )


def _lay_out(rows: list[_Row], separator: str, names: _Pictures) -> _Layout:
    hits: Counter[int] = Counter()
    files: Counter[int] = Counter()
    for row in rows:
        for position, cell in enumerate(row.cells):
            hits[position] += isinstance(names.find(cell), Path)
            files[position] += _names_a_picture_file(cell)
    # A number of the caption may name a picture, too (0.jpg): a file name is the better name.
    image = max(hits, key=lambda position: (hits[position], files[position], -position), default=0)
    good = [row for row in rows if image < len(row.cells) and isinstance(names.find(row.cells[image]), Path)]
    header = _header(rows, image, names)
    # A header may be narrower than its rows, where someone forgot a name, or R wrote it.
    widths = [len(header)] if len(header) > max(image, 1) else []
    for width in (*widths, _common_width(good or rows)):
        words = _words_per_column(good, width, image)
        caption = max(words, key=lambda position: (words[position], -position), default=None)
        if caption is not None:
            break
    return _Layout(
        separator=separator,
        rows=rows,
        header=header,
        width=width,
        image=image,
        caption=caption,
        hits=len(good),
        words=sum(words.values()),
    )


def _words_per_column(rows: list[_Row], width: int, image: int) -> Counter[int]:
    """Words below each column but that of the pictures; a column without any is not there."""
    words: Counter[int] = Counter()
    for row in rows:
        for position, cell in enumerate(row.cells[:width]):
            if position != image and (count := len(_WORD.findall(cell))):
                words[position] += count
    return words


def _header(rows: list[_Row], image: int, names: _Pictures) -> list[str]:
    """Cells of the first row, where it is no data: what stands in the place of a picture is no file name."""
    cells = rows[0].cells if rows else []
    if image < len(cells) and (isinstance(names.find(cells[image]), Path) or _names_a_picture_file(cells[image])):
        return []
    return _without_empty_end(cells)


def _common_width(rows: list[_Row]) -> int:
    widths = Counter(len(_without_empty_end(row.cells)) for row in rows)
    common = [width for width, count in widths.items() if width >= 2 and count >= _COMMON_SHARE * len(rows)]
    return min(common, default=max(widths, default=1))


def _without_empty_end(cells: list[str]) -> list[str]:
    end = len(cells)
    while end and not cells[end - 1]:
        end -= 1
    return cells[:end]


def _read_row(
    row: _Row, layout: _Layout, caption_position: int, names: _Pictures, file: str
) -> tuple[Path, str] | Fault:
    cells = row.cells
    if len(cells) > layout.width:  # a separator inside of the caption, or empty cells that a spreadsheet added
        cells = _without_empty_end(cells)
        cells += [""] * (layout.width - len(cells))
    most = max(layout.image, caption_position)
    extra = len(cells) - layout.width
    if len(cells) <= most:
        expected = f"this line has {len(cells)} cells, the table {layout.width} columns"
        return Fault(file=file, line=row.line, found=_shortened(layout.separator.join(cells)), expected=expected)
    if extra > 0:
        end = caption_position + extra + 1
        joined = _SEPARATORS[layout.separator].join(cells[caption_position:end])
        cells = [*cells[:caption_position], joined, *cells[end:]]
    name, caption = cells[layout.image], cells[caption_position]
    picture = names.find(name)
    column = layout.column(layout.image)
    if not name:
        return Fault(file=file, line=row.line, column=column, expected="the name of a picture is missing")
    if isinstance(picture, str):
        return Fault(file=file, line=row.line, column=column, found=_shortened(name), expected=picture)
    if not _WORD.search(caption):
        column = layout.column(caption_position)
        expected = "a caption needs words" if caption else "the caption is missing"
        return Fault(file=file, line=row.line, column=column, found=_shortened(caption) or None, expected=expected)
    return picture, " ".join(caption.split())


def _no_picture_fault(path: Path, layout: _Layout, names: _Pictures) -> Fault:
    rows = layout.rows[1:] if layout.header and len(layout.rows) > 1 else layout.rows
    first = next((row for row in rows if any(_names_a_picture_file(cell) for cell in row.cells)), rows[0])
    found = next((cell for cell in first.cells if _names_a_picture_file(cell)), first.cells[0])
    return Fault(
        file=str(path),
        line=first.line,
        found=_shortened(found),
        expected=f"no row of the table names one of the {len(names.paths)} pictures in {names.folder} (such as "
        f"{names.paths[0].name!r}); check --images and the table's file names; {EXAMPLE}",
    )


def _no_caption_fault(path: Path, layout: _Layout) -> Fault:
    row = layout.rows[1] if layout.header and len(layout.rows) > 1 else layout.rows[0]
    return Fault(
        file=str(path),
        line=row.line,
        found=_shortened(layout.separator.join(row.cells)),
        expected=f"no captions beside the names of pictures (column {layout.column(layout.image)!r}); {EXAMPLE}",
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 4] + " ..."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """The cells of a row, and the line it starts on, from 1."""

    line: int
    cells: list[str]


def _split_rows(text: str, separator: str, names: _Pictures) -> list[_Row]:
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
        for more in range(1, _MOST_LINES_OF_A_CAPTION) if quotes == "open" else ():
            if number + more >= len(lines) or _begins_a_row(lines[number + more], separator, names):
                break
            joined, quotes = _split_line("\n".join(lines[number : number + more + 1]), separator)
            if quotes == "sound":
                cells, used = joined, more + 1
                break
        if any(cells):
            rows.append(_Row(line=number + 1, cells=cells))
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


def _begins_a_row(line: str, separator: str, names: _Pictures) -> bool:
    cells, _ = _split_line(line, separator)
    return any(_names_a_picture_file(cell) or isinstance(names.find(cell), Path) for cell in cells)


def _names_a_picture_file(cell: str) -> bool:
    """Say whether a cell looks like the name of a picture file, there or not: `a.jpg`, `x/b.PNG#3`."""
    return PurePosixPath(_CAPTION_NUMBER.sub("", cell.strip())).suffix.lower() in SUFFIXES


class _Pictures:
    """The pictures below `folder`, found by name. Raises DatasetError when there is no folder, or none in it.

    A table may name a picture as annotations do (detection/formats/matching.py), or with `#` and the number of a
    caption behind it.
    """

    def __init__(self, folder: Path):
        if not folder.is_dir():
            what = "this is a file, not a folder" if folder.exists() else "there is no such folder"
            message = f"{what}; --images is the folder that holds the pictures of the table"
            raise DatasetError([Fault(file=str(folder), expected=message)])
        self.folder = folder
        self.paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not self.paths:
            message = f"the folder holds no pictures ({', '.join(SUFFIXES)}); --images is the folder that does"
            raise DatasetError([Fault(file=str(folder), expected=message)])
        places = [PurePosixPath(path.relative_to(folder).as_posix()) for path in self.paths]
        self._names = PictureNames(places, places)
        self._found: dict[str, Path | str] = {}

    def find(self, cell: str) -> Path | str:
        """Find the picture that a cell names; text says why there is none."""
        if cell not in self._found:
            self._found[cell] = self._look_up(cell)
        return self._found[cell]

    def _look_up(self, cell: str) -> Path | str:
        reason = f"there is no such picture in {self.folder}"
        for name in dict.fromkeys((cell, _CAPTION_NUMBER.sub("", cell))):
            match = self._names.find(name, _TABLE)
            if match.path is not None:
                return self.folder / match.path
            if match.rivals:
                reason = f"several pictures in {self.folder} have this name; give the path below it"
        return reason
