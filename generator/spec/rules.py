"""What background.csv and classes.csv may hold: columns, the form of each cell, what must agree between cells."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandera.pandas as pa

from generator.foundation.errors import Fault
from generator.foundation.tables import TableRow

# Of a category in the data set: names of files and folders are made of it, and file systems hold no longer ones.
MAX_NAME = 255
SIZE_COLUMNS = ("width_min", "height_min", "width_max", "height_max")
ASPECT_COLUMNS = ("aspect_ratio_min", "aspect_ratio_max")
BAND_COLUMNS = ("y_min", "y_max")
DECIMAL_COLUMNS = SIZE_COLUMNS + ASPECT_COLUMNS + BAND_COLUMNS
BACKGROUND_COLUMNS = {"prompt": True, "num_imgs": True, "negative_prompt": False, "references": False}
CLASS_COLUMNS = {
    "prompt": True,
    "min_appear": True,
    "max_appear": True,
    **dict.fromkeys(SIZE_COLUMNS + ASPECT_COLUMNS, False),
    "name": False,
    "supercategory": False,
    "negative_prompt": False,
    "references": False,
    "synonyms": False,
    **dict.fromkeys(BAND_COLUMNS, False),
}
ATTRIBUTE_COLUMNS = {"attribute": True, "text": True, "applies_to": False}
# Who an attribute is for, beside the name of a category.
EVERYTHING, BACKGROUNDS, OBJECTS = "", "background", "objects"
MAX_IMAGES = 10_000_000
MAX_APPEAR = 1_000
MAX_ASPECT_RATIO = 20.0
MIN_SIDE_PX = 4

_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(%|px)?", re.ASCII)
_COUNT = re.compile(r"\d{1,9}", re.ASCII)
_ARTICLE = re.compile(r"^(?:a|an|the)\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """A length as the user wrote it: pixels, or a share (1.0 = 100 %) of the canvas side."""

    value: float
    is_share: bool

    def to_px(self, side_px: int) -> int:
        """Whole pixels on a canvas side of `side_px`."""
        return round(self.value * side_px if self.is_share else self.value)


def category_name(prompt: str) -> str:
    """'A white blood cell, stained' -> 'white blood cell': up to the first comma, without its article."""
    return _ARTICLE.sub("", prompt.split(",", 1)[0].strip()).strip()


def parse_length(text: str) -> Length | None:
    """'64' or '64px' -> pixels, '30%' -> a share; None when it is neither."""
    match = _LENGTH.fullmatch(text)
    if match is None:
        return None
    value = float(match.group(1))
    if not math.isfinite(value):
        return None
    return Length(value=value / 100 if match.group(2) == "%" else value, is_share=match.group(2) == "%")


def parse_share(text: str) -> float | None:
    """'0.3' or '30%' -> 0.3; None when it is not a share between 0 and 1."""
    length = parse_length(text)
    if length is None or length.value > 1 or text.endswith("px"):
        return None
    return length.value


def _parse_ratio(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 1 / MAX_ASPECT_RATIO <= value <= MAX_ASPECT_RATIO else None


def _is_count(text: str, most: int) -> bool:
    return _COUNT.fullmatch(text) is not None and int(text) <= most


def _cell(parse: Callable[[str], object], expected: str, *, optional: bool = True) -> pa.Column:
    def check(text: str) -> bool:
        if text == "":
            return optional
        result = parse(text)
        return result is not None and result is not False

    return pa.Column(str, pa.Check(check, element_wise=True, error=expected))


def _count_column(most: int) -> pa.Column:
    return _cell(lambda text: _is_count(text, most), f"a whole number from 0 to {most:,} is needed", optional=False)


def _prompt_column() -> pa.Column:
    return _cell(lambda text: any(letter.isalpha() for letter in text), "a prompt in words is needed", optional=False)


def background_schema() -> pa.DataFrameSchema:
    """Form of the cells of background.csv."""
    return pa.DataFrameSchema({"prompt": _prompt_column(), "num_imgs": _count_column(MAX_IMAGES)})


def class_schema() -> pa.DataFrameSchema:
    """Form of the cells of classes.csv."""
    length = "a length is needed: pixels such as 64, or a share of the canvas side such as 30%"
    ratio = f"a ratio width/height from {1 / MAX_ASPECT_RATIO} to {MAX_ASPECT_RATIO:g} is needed"
    band = "a share of the height from 0 to 1 (or 0% to 100%) is needed"
    return pa.DataFrameSchema(
        {
            "prompt": _prompt_column(),
            "min_appear": _count_column(MAX_APPEAR),
            "max_appear": _count_column(MAX_APPEAR),
            **{column: _cell(parse_length, length) for column in SIZE_COLUMNS},
            **{column: _cell(_parse_ratio, ratio) for column in ASPECT_COLUMNS},
            **{column: _cell(parse_share, band) for column in BAND_COLUMNS},
        }
    )


def attribute_schema() -> pa.DataFrameSchema:
    """Form of the cells of attributes.csv."""
    return pa.DataFrameSchema(
        {
            "attribute": _cell(bool, "the name of an attribute is needed, such as light", optional=False),
            "text": _cell(bool, "what to add to a prompt is needed, such as at dusk", optional=False),
        }
    )


def attribute_faults(path: Path, rows: list[TableRow], categories: Iterable[str]) -> list[Fault]:
    """Find attributes for what is not there (each cell is well formed)."""
    known = [BACKGROUNDS, OBJECTS, *categories]
    return [
        Fault(
            file=str(path),
            line=row.line,
            column="applies_to",
            found=row.cells["applies_to"],
            expected=f"one of {', '.join(known)}, or nothing for everything",
        )
        for row in rows
        if row.cells["applies_to"] not in ("", *known)
    ]


def split_list(cell: str) -> tuple[str, ...]:
    """'leak; steam' -> ('leak', 'steam')."""
    return tuple(part.strip() for part in cell.split(";") if part.strip())


def background_faults(path: Path, rows: list[TableRow]) -> list[Fault]:
    """Find what is wrong between the rows of background.csv (each cell is well formed)."""
    if rows and all(int(row.cells["num_imgs"]) == 0 for row in rows):
        return [
            Fault(
                file=str(path),
                line=rows[0].line,
                column="num_imgs",
                found="0",
                expected="no pictures are asked for; at least one row needs 1 or more",
            )
        ]
    return []


def class_faults(path: Path, rows: list[TableRow], canvas_wh: tuple[int, int]) -> list[Fault]:
    """What is wrong between the cells of a row (each cell is well formed), and between rows."""
    faults: list[Fault] = []
    supercategories: dict[str, tuple[str, int]] = {}
    for row in rows:
        cells = row.cells

        def fault(column: str, expected: str, row: TableRow = row) -> None:
            faults.append(
                Fault(
                    file=str(path),
                    line=row.line,
                    column=column,
                    found=row.cells[column] or None,
                    expected=expected,
                )
            )

        if int(cells["min_appear"]) > int(cells["max_appear"]):
            fault("min_appear", f"must not be above max_appear ({cells['max_appear']})")
        given = {
            group: [column for column in group if cells[column]]
            for group in (SIZE_COLUMNS, ASPECT_COLUMNS, BAND_COLUMNS)
        }
        if given[SIZE_COLUMNS] and given[ASPECT_COLUMNS]:
            fault(
                given[ASPECT_COLUMNS][0],
                f"leave this empty, or empty {', '.join(given[SIZE_COLUMNS])}: one of the two",
            )
            given[SIZE_COLUMNS] = given[ASPECT_COLUMNS] = []  # the rest of the row still counts
        for group, present in given.items():
            for column in group:
                if present and column not in present:
                    fault(
                        column,
                        f"is empty, but {', '.join(present)} is given; fill all of {', '.join(group)} or none",
                    )
        if len(given[SIZE_COLUMNS]) == 4:
            for low, high, side_px, side in (
                ("width_min", "width_max", canvas_wh[0], "wide"),
                ("height_min", "height_max", canvas_wh[1], "high"),
            ):
                low_px, high_px = (_length(cells[column]).to_px(side_px) for column in (low, high))
                if low_px > high_px:
                    fault(low, f"must not be above {high} ({cells[high]})")
                if low_px < MIN_SIDE_PX:
                    fault(low, f"is {low_px} px on this canvas; at least {MIN_SIDE_PX} px are needed")
                if high_px > side_px:
                    fault(high, f"is larger than the canvas, which is {side_px} px {side}")
        if len(given[ASPECT_COLUMNS]) == 2 and float(cells["aspect_ratio_min"]) > float(cells["aspect_ratio_max"]):
            fault("aspect_ratio_min", f"must not be above aspect_ratio_max ({cells['aspect_ratio_max']})")
        if len(given[BAND_COLUMNS]) == 2 and (parse_share(cells["y_min"]) or 0) > (parse_share(cells["y_max"]) or 0):
            fault("y_min", f"must not be above y_max ({cells['y_max']})")
        name = cells["name"] or category_name(cells["prompt"])
        if not name:
            fault("prompt", "has nothing before its first comma to name the category by; fill the column 'name'")
        if len(name) > MAX_NAME:
            column = "name" if cells["name"] else "prompt"
            fault(column, f"names the category by {len(name)} letters; fill the column 'name' with at most {MAX_NAME}")
        if cells["supercategory"]:
            first, line = supercategories.setdefault(name, (cells["supercategory"], row.line))
            if first != cells["supercategory"]:
                fault("supercategory", f"'{name}' has the supercategory '{first}' on line {line}")
    if rows and all(int(row.cells["max_appear"]) == 0 for row in rows):
        faults.append(
            Fault(
                file=str(path),
                line=rows[0].line,
                column="max_appear",
                found="0",
                expected="no objects are asked for; at least one row needs 1 or more",
            )
        )
    return faults


def _length(text: str) -> Length:
    length = parse_length(text)
    if length is None:  # the schema has passed this cell
        raise ValueError(text)
    return length
