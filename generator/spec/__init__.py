"""What the user asked for: background.csv, classes.csv and, if they are there, attributes.csv and calibration.json.

Read, checked and typed. Sizes are kept as they were written (pixels, or a share of the canvas side);
`ClassSpec.size_ranges_px` turns them into pixels, and the plan draws from those.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandera.pandas as pa

from generator.foundation.coco import MAX_NAME
from generator.foundation.errors import Fault, SpecError
from generator.foundation.tables import TableRow, check_cells, read_table
from generator.spec.calibration import CALIBRATION, ClassCalibration, read_calibration
from generator.spec.references import reference_fault

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


DEFAULT_ASPECT_RATIOS = (0.75, 1.33)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundSpec:
    """One row of background.csv: a scene, and how many pictures of it."""

    prompt: str
    num_imgs: int
    negative_prompt: str = ""
    references: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSpec:
    """One row of classes.csv: an object, how many of it appear in a scene, how large and where.

    Either `sizes` (width_min, height_min, width_max, height_max) or `aspect_ratios` (width / height) is set.
    `band` is the share of the height, 0 at the top, within which the box's centre lies. `references` is as written
    (spec/references.py); `synonyms` are other words that name the class in a prompt. `total` is how many appear in
    all scenes together, spread evenly over them; None leaves it to a draw in each scene. `calibration` is what was
    measured on real objects of the class; sizes and positions then follow that.
    """

    prompt: str
    name: str
    min_appear: int
    max_appear: int
    sizes: tuple[Length, Length, Length, Length] | None = None
    aspect_ratios: tuple[float, float] = DEFAULT_ASPECT_RATIOS
    supercategory: str = ""
    negative_prompt: str = ""
    references: str = ""
    synonyms: tuple[str, ...] = ()
    band: tuple[float, float] = (0.0, 1.0)
    total: int | None = None
    calibration: ClassCalibration | None = None
    line: int = 0

    @property
    def label_scale(self) -> float:
        """By what the sides of the tight box are multiplied to make the label's."""
        return self.calibration.label_scale if self.calibration is not None else 1.0

    def size_ranges_px(self, canvas_wh: tuple[int, int]) -> tuple[int, int, int, int] | None:
        """(width_min, height_min, width_max, height_max) in pixels, or None when the row gives aspect ratios."""
        if self.sizes is None:
            return None
        width, height = canvas_wh
        width_min, height_min, width_max, height_max = self.sizes
        return width_min.to_px(width), height_min.to_px(height), width_max.to_px(width), height_max.to_px(height)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeSpec:
    """One row of attributes.csv: one value of an attribute ("light": "at dusk"), for some prompts or ("") for all."""

    attribute: str
    text: str
    applies_to: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """The whole wish: scenes and objects. Relative paths in it count from `folder`; the files are named in messages."""

    backgrounds: tuple[BackgroundSpec, ...]
    classes: tuple[ClassSpec, ...]
    attributes: tuple[AttributeSpec, ...] = ()
    folder: str = field(default=".", compare=False)
    background_file: str = field(default="background.csv", compare=False)
    classes_file: str = field(default="classes.csv", compare=False)

    @property
    def num_scenes(self) -> int:
        """Pictures in all."""
        return sum(row.num_imgs for row in self.backgrounds)

    @property
    def categories(self) -> dict[str, str]:
        """Category name -> supercategory, in the order of first appearance (COCO ids count from 1 in it)."""
        names: dict[str, str] = {}
        for row in self.classes:
            names[row.name] = names.get(row.name) or row.supercategory
        return names

    def to_json(self) -> dict[str, object]:
        """Plain data that says the same; where a file lay, and a row in it, does not count."""
        data = asdict(self)
        for key in ("folder", "background_file", "classes_file"):
            del data[key]
        for row in (*data["backgrounds"], *data["classes"], *data["attributes"]):
            del row["line"]
        for row, source in zip(data["classes"], self.classes, strict=True):
            if source.total is None:
                del row["total"]  # of a spec as it was written: it says what it said before there were totals
            if source.calibration is None:
                del row["calibration"]
            else:
                row["calibration"] = source.calibration.model_dump(mode="json")
        return data

    @property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 of the spec."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:16]


def load_spec(
    background: str | Path = "background.csv",
    classes: str | Path = "classes.csv",
    attributes: str | Path | None = None,
    *,
    canvas_wh: tuple[int, int],
    find_references: bool = True,
) -> Spec:
    """Read the CSV files and check them against a canvas of (width, height) pixels.

    `attributes` None: the file attributes.csv beside `classes`, if there is one. There, too, lies calibration.json
    where real objects were measured. Reference photos are looked for unless
    `find_references` is False: a prompt book that is there needs none. Raises SpecError with every fault of all files
    at once.
    """
    faults: list[Fault] = []
    rows: dict[str, Sequence[TableRow]] = {"attributes": ()}
    tables = [
        ("background", find_table(background), BACKGROUND_COLUMNS, background_schema()),
        ("classes", find_table(classes), CLASS_COLUMNS, class_schema()),
    ]
    folder = tables[1][1].parent
    attributes_path = Path(attributes) if attributes is not None else folder / "attributes.csv"
    if attributes is not None or attributes_path.exists():
        tables.append(("attributes", attributes_path, ATTRIBUTE_COLUMNS, attribute_schema()))
    for key, path, columns, schema in tables:
        try:
            table = read_table(path, columns, DECIMAL_COLUMNS)
        except SpecError as error:
            faults += error.faults
            continue
        rows[key] = table.rows
        cell_faults = check_cells(path, table.rows, schema.remove_columns(list(table.missing)))
        faults += [*table.faults, *cell_faults]
        if table.missing:
            continue
        bad = {fault.line for fault in cell_faults}
        sound = [row for row in table.rows if row.line not in bad]
        if key == "background":
            faults += background_faults(path, sound)
        elif key == "classes":
            faults += class_faults(path, sound, canvas_wh)
        elif not any(fault.file == str(tables[1][1]) for fault in faults):  # else nobody knows which names are right
            names = {_class_name(row): None for row in rows["classes"]}
            faults += attribute_faults(path, sound, names)
        if find_references and key != "attributes":
            checked = [reference_fault(str(path), row.line, row.cells["references"], folder) for row in sound]
            faults += [fault for fault in checked if fault is not None]
    if faults:
        raise SpecError(faults)
    calibrations: dict[str, ClassCalibration] = {}
    if (folder / CALIBRATION).exists():
        calibrations = read_calibration(folder / CALIBRATION, [_class_name(row) for row in rows["classes"]])
    return Spec(
        backgrounds=tuple(_to_background(row) for row in rows["background"]),
        classes=tuple(_to_class(row, calibrations.get(_class_name(row))) for row in rows["classes"]),
        attributes=tuple(AttributeSpec(**row.cells, line=row.line) for row in rows["attributes"]),
        folder=str(folder),
        background_file=str(tables[0][1]),
        classes_file=str(tables[1][1]),
    )


def class_names(path: Path) -> list[str]:
    """Names of the classes in a classes.csv, in its order. Raises SpecError when it cannot be read."""
    return list(dict.fromkeys(_class_name(row) for row in read_table(path, CLASS_COLUMNS).rows))


def find_table(path: str | Path) -> Path:
    """Return the path, or its sibling `backgrounds.csv` for a missing `background.csv` (and the other way round)."""
    path = Path(path)
    if not path.exists() and path.name in ("background.csv", "backgrounds.csv"):
        other = path.with_name("backgrounds.csv" if path.name == "background.csv" else "background.csv")
        if other.exists():
            return other
    return path


def _to_background(row: TableRow) -> BackgroundSpec:
    return BackgroundSpec(
        prompt=row.cells["prompt"],
        num_imgs=int(row.cells["num_imgs"]),
        negative_prompt=row.cells["negative_prompt"],
        references=row.cells["references"],
        line=row.line,
    )


def _class_name(row: TableRow) -> str:
    return row.cells["name"] or category_name(row.cells["prompt"])


def _to_class(row: TableRow, calibration: ClassCalibration | None) -> ClassSpec:
    cells = row.cells
    width_min, height_min, width_max, height_max = (parse_length(cells[column]) for column in SIZE_COLUMNS)
    sizes = None
    if width_min and height_min and width_max and height_max:
        sizes = (width_min, height_min, width_max, height_max)
    ratios = DEFAULT_ASPECT_RATIOS
    if cells["aspect_ratio_min"]:
        ratios = (float(cells["aspect_ratio_min"]), float(cells["aspect_ratio_max"]))
    band = (0.0, 1.0)
    if cells["y_min"]:
        band = (parse_share(cells["y_min"]) or 0.0, parse_share(cells["y_max"]) or 0.0)
    return ClassSpec(
        prompt=cells["prompt"],
        name=_class_name(row),
        min_appear=int(cells["min_appear"]),
        max_appear=int(cells["max_appear"]),
        sizes=sizes,
        aspect_ratios=ratios,
        supercategory=cells["supercategory"],
        negative_prompt=cells["negative_prompt"],
        references=cells["references"],
        synonyms=split_list(cells["synonyms"]),
        band=band,
        calibration=calibration,
        line=row.line,
    )
