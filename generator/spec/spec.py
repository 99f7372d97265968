"""What the user asked for: background.csv, classes.csv and, if they are there, attributes.csv and calibration.json.

Read, checked and typed. Sizes are kept as they were written (pixels, or a share of the canvas side);
`ClassSpec.size_ranges_px` turns them into pixels, and the plan draws from those.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from generator.foundation.errors import Fault, SpecError
from generator.foundation.tables import TableRow, check_cells, read_table
from generator.spec.calibration import CALIBRATION, ClassCalibration, read_calibration
from generator.spec.references import reference_fault
from generator.spec.rules import (
    ATTRIBUTE_COLUMNS,
    BACKGROUND_COLUMNS,
    CLASS_COLUMNS,
    DECIMAL_COLUMNS,
    SIZE_COLUMNS,
    Length,
    attribute_faults,
    attribute_schema,
    background_faults,
    background_schema,
    category_name,
    class_faults,
    class_schema,
    parse_length,
    parse_share,
    split_list,
)

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
