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
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pandera.pandas as pa

from generator.foundation.coco import MAX_NAME
from generator.foundation.errors import Fault, SpecError
from generator.foundation.tables import TableRow, check_cells, read_table
from generator.spec.calibration import CALIBRATION, ClassCalibration, read_calibration
from generator.spec.photos import DEFAULT_SCENE, FLIPS, LEAST_CROP, PhotoSet, find_photos
from generator.spec.references import reference_fault

MAX_IMAGES = 10_000_000
MAX_APPEAR = 1_000
MAX_ASPECT_RATIO = 20.0
MIN_SIDE_PX = 4
DEFAULT_ASPECT_RATIOS = (0.75, 1.33)

# Columns of the three files: name -> must it be there?
SIZE_COLUMNS = ("width_min", "height_min", "width_max", "height_max")
ASPECT_COLUMNS = ("aspect_ratio_min", "aspect_ratio_max")
BAND_COLUMNS = ("y_min", "y_max")
PHOTO_COLUMNS = ("photos", "crop", "flip")
DECIMAL_COLUMNS = (*SIZE_COLUMNS, *ASPECT_COLUMNS, *BAND_COLUMNS, "crop")
BACKGROUND_COLUMNS = {
    **{"prompt": True, "num_imgs": True},
    **dict.fromkeys(("negative_prompt", "references", *PHOTO_COLUMNS), False),
}
CLASS_COLUMNS = {
    **dict.fromkeys(("prompt", "min_appear", "max_appear"), True),
    **dict.fromkeys(SIZE_COLUMNS + ASPECT_COLUMNS, False),
    **dict.fromkeys(("name", "supercategory", "negative_prompt", "references", "synonyms"), False),
    **dict.fromkeys(BAND_COLUMNS, False),
}
ATTRIBUTE_COLUMNS = {"attribute": True, "text": True, "applies_to": False}
# Who an attribute is for, beside the name of a category.
EVERYTHING, BACKGROUNDS, OBJECTS = "", "background", "objects"

_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(%|px)?", re.ASCII)
_COUNT = re.compile(r"\d{1,9}", re.ASCII)
_ARTICLE = re.compile(r"^(?:a|an|the)\s+", re.IGNORECASE)

RowKey = tuple[Literal["background", "classes"], str, str]
"""(table, name, prompt): what the texts of a row are found by; the name of a background is ""."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """A length as the user wrote it: pixels, or a share (1.0 = 100 %) of the canvas side."""

    value: float
    is_share: bool

    def to_px(self, side_px: int) -> int:
        """Whole pixels on a canvas side of `side_px`."""
        return round(self.value * side_px if self.is_share else self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundSpec:
    """One row of background.csv: a scene, and how many pictures of it.

    With `photos` a scene is one of them: of the largest part with the canvas's shape it shows a part whose sides are
    `min_crop` to 1 times as long, flipped as `flip` (a key of FLIPS) allows. `prompt` is then what decoys are painted
    with.
    """

    prompt: str
    num_imgs: int
    negative_prompt: str = ""
    references: str = ""
    photos: PhotoSet | None = None
    min_crop: float = 1.0
    flip: str = "none"
    line: int = 0

    @property
    def key(self) -> RowKey:
        """What the texts of the row are found by."""
        return ("background", "", self.prompt)


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
    def key(self) -> RowKey:
        """What the texts of the row are found by."""
        return ("classes", self.name, self.prompt)

    @property
    def usual_count(self) -> float:
        """Objects in a scene, on average."""
        return (self.min_appear + self.max_appear) / 2

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
    def rows(self) -> tuple[BackgroundSpec | ClassSpec, ...]:
        """Backgrounds, then classes."""
        return (*self.backgrounds, *self.classes)

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

    def in_photos(self, photos: PhotoSet, num_imgs: int, *, min_crop: float = 1.0, flip: str = "none") -> Spec:
        """The same objects, painted into photos: so many pictures, in the words of the first background."""
        first = self.backgrounds[0]
        row = replace(first, photos=photos.named_as(self.categories), num_imgs=num_imgs, min_crop=min_crop, flip=flip)
        return replace(self, backgrounds=(row,))

    def to_json(self) -> dict[str, object]:
        """Plain data that says the same; where a file lay, and a row in it, does not count."""
        bare = tuple(replace(row, photos=None) for row in self.backgrounds)
        data: dict[str, Any] = asdict(replace(self, backgrounds=bare))
        for key in ("folder", "background_file", "classes_file"):
            del data[key]
        for row in (*data["backgrounds"], *data["classes"], *data["attributes"]):
            del row["line"]
        for row, background in zip(data["backgrounds"], self.backgrounds, strict=True):
            if background.photos is None:  # of a spec without photos: it says what it said before there were any
                del row["photos"], row["min_crop"], row["flip"]
            else:
                row["photos"] = background.photos.to_json()
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
    scene: str = "",
    folder: str | Path | None = None,
) -> Spec:
    """Read the CSV files and check them against a canvas of (width, height) pixels.

    `attributes` None: the file attributes.csv beside `classes`, if there is one. There, too, lies calibration.json
    where real objects were measured. Reference photos are looked for unless `find_references` is False: a prompt book
    that is there needs none; photos to paint into are always listed and measured. `scene` says what photos without a
    prompt show: a bundle's card may know it (`config.card.scene`). Relative paths in the tables count from `folder`,
    by default that of `classes`. Raises SpecError with every fault of all files at once.
    """
    background, classes = find_table(background), find_table(classes)
    root = Path(folder) if folder is not None else classes.parent
    tables = [
        ("background", background, BACKGROUND_COLUMNS, _BACKGROUND_CELLS),
        ("classes", classes, CLASS_COLUMNS, _CLASS_CELLS),
    ]
    attributes_path = Path(attributes) if attributes is not None else classes.parent / "attributes.csv"
    if attributes is not None or attributes_path.exists():
        tables.append(("attributes", attributes_path, ATTRIBUTE_COLUMNS, _ATTRIBUTE_CELLS))
    faults: list[Fault] = []
    photos: dict[int, PhotoSet] = {}
    rows: dict[str, Sequence[TableRow]] = {"attributes": ()}
    for key, path, columns, cells in tables:
        try:
            table = read_table(path, columns, DECIMAL_COLUMNS)
        except SpecError as error:
            faults += error.faults
            continue
        rows[key] = table.rows
        with_photos = [row for row in table.rows if row.cells.get("photos")]
        if table.missing == {"prompt"} and with_photos and len(with_photos) == len(table.rows):
            table = replace(table, missing=frozenset(), faults=_without(table.faults, "prompt"))
        cells = cells.remove_columns(list(table.missing))
        # What photos show needs no words.
        wordless = cells.remove_columns([name for name in ("prompt",) if name in cells.columns])
        cell_faults = check_cells(path, [row for row in table.rows if row not in with_photos], cells)
        cell_faults += check_cells(path, with_photos, wordless)
        faults += [*table.faults, *cell_faults]
        if table.missing:
            continue
        bad = {fault.line for fault in cell_faults}
        sound = [row for row in table.rows if row.line not in bad]
        if key == "background":
            faults += _all_zero_faults(path, sound, "num_imgs", "pictures")
            faults += (_fault(path, row, column, text) for row in sound for column, text in _wrong_scene_cells(row))
            for row in with_photos:
                try:
                    photos[row.line] = find_photos(row.cells["photos"], root)
                except ValueError as error:
                    faults.append(_fault(path, row, "photos", str(error)))
        elif key == "classes":
            faults += _class_faults(path, sound, canvas_wh)
        elif not any(fault.file == str(classes) for fault in faults):  # else nobody knows which names are right
            faults += _attribute_faults(path, sound, map(_class_name, rows["classes"]))
        if find_references and key != "attributes":
            checked = (reference_fault(str(path), row.line, row.cells["references"], root) for row in sound)
            faults += filter(None, checked)
    if faults:
        raise SpecError(faults)
    calibrations: dict[str, ClassCalibration] = {}
    if (calibration := classes.parent / CALIBRATION).exists():
        calibrations = read_calibration(calibration, map(_class_name, rows["classes"]))
    categories = {_class_name(row): None for row in rows["classes"]}
    return Spec(
        backgrounds=tuple(
            _to_background(row, photos.get(row.line), scene or DEFAULT_SCENE, categories) for row in rows["background"]
        ),
        classes=tuple(_to_class(row, calibrations.get(_class_name(row))) for row in rows["classes"]),
        attributes=tuple(AttributeSpec(**row.cells, line=row.line) for row in rows["attributes"]),
        folder=str(root),
        background_file=str(background),
        classes_file=str(classes),
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


def category_name(prompt: str) -> str:
    """Name the category by its prompt: up to the first comma, without its article.

    >>> category_name("A white blood cell, stained")
    'white blood cell'
    """
    return _ARTICLE.sub("", prompt.split(",", 1)[0].strip()).strip()


def parse_length(text: str) -> Length | None:
    """'64' or '64px' -> pixels, '30%' -> a share; None when it is neither."""
    match = _LENGTH.fullmatch(text)
    if match is None or not math.isfinite(value := float(match[1])):
        return None
    return Length(value=value / 100 if match[2] == "%" else value, is_share=match[2] == "%")


def parse_share(text: str) -> float | None:
    """'0.3' or '30%' -> 0.3; None when it is not a share between 0 and 1."""
    length = parse_length(text)
    return None if length is None or length.value > 1 or text.endswith("px") else length.value


def split_list(cell: str) -> tuple[str, ...]:
    """'leak; steam' -> ('leak', 'steam')."""
    return tuple(part.strip() for part in cell.split(";") if part.strip())


def _class_name(row: TableRow) -> str:
    return row.cells["name"] or category_name(row.cells["prompt"])


def _to_background(row: TableRow, photos: PhotoSet | None, scene: str, categories: Iterable[str]) -> BackgroundSpec:
    cells = row.cells
    return BackgroundSpec(
        prompt=cells["prompt"] or scene,
        num_imgs=int(cells["num_imgs"]),
        negative_prompt=cells["negative_prompt"],
        references=cells["references"],
        photos=photos.named_as(categories) if photos is not None else None,
        min_crop=(parse_share(cells["crop"]) or 1.0) if cells["crop"] else 1.0,
        flip=cells["flip"] or "none",
        line=row.line,
    )


def _to_class(row: TableRow, calibration: ClassCalibration | None) -> ClassSpec:
    cells = row.cells
    sizes = None
    width_min, height_min, width_max, height_max = (parse_length(cells[column]) for column in SIZE_COLUMNS)
    if width_min and height_min and width_max and height_max:
        sizes = (width_min, height_min, width_max, height_max)
    ratios, band = DEFAULT_ASPECT_RATIOS, (0.0, 1.0)
    if cells["aspect_ratio_min"]:
        ratios = (float(cells["aspect_ratio_min"]), float(cells["aspect_ratio_max"]))
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


# The form of each cell.


def _cell(is_sound: Callable[[str], object], expected: str, *, optional: bool = False) -> pa.Column:
    def check(text: str) -> bool:
        return bool(is_sound(text)) if text else optional

    return pa.Column(str, pa.Check(check, element_wise=True, error=expected))


def _count(most: int) -> pa.Column:
    def is_count(text: str) -> bool:
        return _COUNT.fullmatch(text) is not None and int(text) <= most

    return _cell(is_count, f"a whole number from 0 to {most:,} is needed")


def _is_ratio(text: str) -> bool:
    try:
        return 1 / MAX_ASPECT_RATIO <= float(text) <= MAX_ASPECT_RATIO
    except ValueError:
        return False


def _is_share(text: str) -> bool:
    return parse_share(text) is not None


_LENGTH_TEXT = "a length is needed: pixels such as 64, or a share of the canvas side such as 30%"
_RATIO_TEXT = f"a ratio width/height from {1 / MAX_ASPECT_RATIO} to {MAX_ASPECT_RATIO:g} is needed"
_SHARE_TEXT = "a share of the height from 0 to 1 (or 0% to 100%) is needed"
_PROMPT = _cell(lambda text: any(map(str.isalpha, text)), "a prompt in words is needed")
_CROP_TEXT = f"a share of the largest part of a photo that fits is needed, from {LEAST_CROP:g} to 1 (or 10% to 100%)"
_BACKGROUND_CELLS = pa.DataFrameSchema(
    {
        "prompt": _PROMPT,  # not looked at in rows with photos
        "num_imgs": _count(MAX_IMAGES),
        "crop": _cell(lambda text: (parse_share(text) or 0) >= LEAST_CROP, _CROP_TEXT, optional=True),
        "flip": _cell(FLIPS.__contains__, f"one of {', '.join(FLIPS)} is needed", optional=True),
    }
)
_CLASS_CELLS = pa.DataFrameSchema(
    {
        "prompt": _PROMPT,
        "min_appear": _count(MAX_APPEAR),
        "max_appear": _count(MAX_APPEAR),
        **{column: _cell(parse_length, _LENGTH_TEXT, optional=True) for column in SIZE_COLUMNS},
        **{column: _cell(_is_ratio, _RATIO_TEXT, optional=True) for column in ASPECT_COLUMNS},
        **{column: _cell(_is_share, _SHARE_TEXT, optional=True) for column in BAND_COLUMNS},
    }
)
_ATTRIBUTE_CELLS = pa.DataFrameSchema(
    {
        "attribute": _cell(bool, "the name of an attribute is needed, such as light"),
        "text": _cell(bool, "what to add to a prompt is needed, such as at dusk"),
    }
)


# What must agree between the cells of a row, and between rows. Each cell is well formed.


def _fault(path: Path, row: TableRow, column: str, expected: str) -> Fault:
    return Fault(file=str(path), line=row.line, column=column, found=row.cells[column] or None, expected=expected)


def _all_zero_faults(path: Path, rows: Sequence[TableRow], column: str, what: str) -> list[Fault]:
    if not rows or any(int(row.cells[column]) for row in rows):
        return []
    return [_fault(path, rows[0], column, f"no {what} are asked for; at least one row needs 1 or more")]


def _wrong_scene_cells(row: TableRow) -> Iterable[tuple[str, str]]:
    """Yield (column, what would be right)."""
    for column in ("crop", "flip"):
        if row.cells[column] and not row.cells["photos"]:
            yield column, "goes with photos, and this row names none"


def _without(faults: Iterable[Fault], column: str) -> tuple[Fault, ...]:
    return tuple(fault for fault in faults if fault.column != column)


def _attribute_faults(path: Path, rows: Sequence[TableRow], categories: Iterable[str]) -> list[Fault]:
    known = dict.fromkeys((BACKGROUNDS, OBJECTS, *categories))
    expected = f"one of {', '.join(known)}, or nothing for everything"
    return [
        _fault(path, row, "applies_to", expected) for row in rows if row.cells["applies_to"] not in (EVERYTHING, *known)
    ]


def _class_faults(path: Path, rows: Sequence[TableRow], canvas_wh: tuple[int, int]) -> list[Fault]:
    faults = _all_zero_faults(path, rows, "max_appear", "objects")
    supercategories: dict[str, tuple[str, int]] = {}
    for row in rows:
        faults += (_fault(path, row, column, expected) for column, expected in _wrong_cells(row, canvas_wh))
        if row.cells["supercategory"]:
            name = _class_name(row)
            first, line = supercategories.setdefault(name, (row.cells["supercategory"], row.line))
            if first != row.cells["supercategory"]:
                faults.append(
                    _fault(path, row, "supercategory", f"'{name}' has the supercategory '{first}' on line {line}")
                )
    return faults


def _wrong_cells(row: TableRow, canvas_wh: tuple[int, int]) -> Iterable[tuple[str, str]]:
    """Yield (column, what would be right)."""
    cells = row.cells
    if int(cells["min_appear"]) > int(cells["max_appear"]):
        yield "min_appear", f"must not be above max_appear ({cells['max_appear']})"
    given = {
        group: [column for column in group if cells[column]] for group in (SIZE_COLUMNS, ASPECT_COLUMNS, BAND_COLUMNS)
    }
    if (sizes := given[SIZE_COLUMNS]) and (ratios := given[ASPECT_COLUMNS]):
        yield ratios[0], f"leave this empty, or empty {', '.join(sizes)}: one of the two"
        given[SIZE_COLUMNS] = given[ASPECT_COLUMNS] = []  # the rest of the row still counts
    for group, present in given.items():
        for column in group if present else ():
            if column not in present:
                yield column, f"is empty, but {', '.join(present)} is given; fill all of {', '.join(group)} or none"
    if len(given[SIZE_COLUMNS]) == 4:
        for low, high, side_px, side in (
            ("width_min", "width_max", canvas_wh[0], "wide"),
            ("height_min", "height_max", canvas_wh[1], "high"),
        ):
            low_px, high_px = (
                length.to_px(side_px) for column in (low, high) if (length := parse_length(cells[column]))
            )
            if low_px > high_px:
                yield low, f"must not be above {high} ({cells[high]})"
            if low_px < MIN_SIDE_PX:
                yield low, f"is {low_px} px on this canvas; at least {MIN_SIDE_PX} px are needed"
            if high_px > side_px:
                yield high, f"is larger than the canvas, which is {side_px} px {side}"
    if len(given[ASPECT_COLUMNS]) == 2 and float(cells["aspect_ratio_min"]) > float(cells["aspect_ratio_max"]):
        yield "aspect_ratio_min", f"must not be above aspect_ratio_max ({cells['aspect_ratio_max']})"
    if len(given[BAND_COLUMNS]) == 2 and (parse_share(cells["y_min"]) or 0) > (parse_share(cells["y_max"]) or 0):
        yield "y_min", f"must not be above y_max ({cells['y_max']})"
    name = _class_name(row)
    if not name:
        yield "prompt", "has nothing before its first comma to name the category by; fill the column 'name'"
    if len(name) > MAX_NAME:
        column = "name" if cells["name"] else "prompt"
        yield column, f"names the category by {len(name)} letters; fill the column 'name' with at most {MAX_NAME}"
