"""Labelled pictures as their COCO files have them: ids, crowds and every field stay.

What no reader could use is left out and noted. A training gets a DetectionDataset made of this (read.py): arrays of one
numbering of the categories, without ids, crowds and fields that it must not see.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from detection.datasets.names import portable_path, unique_stems
from generator.foundation.coco import (
    NOT_EXHAUSTIVE,
    CocoFile,
    find_annotation_files,
    folder_of,
    locate_picture,
    missing_picture,
    read_coco,
)
from generator.foundation.errors import DatasetError, Fault

# Of an image, in the manner of LVIS: categories that it is known not to show, and those not labelled throughout.
_ID_LISTS = ("neg_category_ids", NOT_EXHAUSTIVE)
_PREFIX = "instances_"
_RUN = "run.json"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Category:
    """One class. `content` is the category as the COCO file has it."""

    id: int
    name: str
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Annotation:
    """One label.

    `box_xywh`: left, top, width, height in pixels, cut to the picture, of positive area. `segmentation`: COCO polygons,
    a run-length encoding, or None. `score`: how sure a second model was of the class, 0 to 1; None where none looked.
    `content` is the annotation as the COCO file has it.
    """

    id: int
    category: Category
    box_xywh: tuple[float, float, float, float]
    area: float
    segmentation: Any
    is_crowd: bool
    score: float | None
    content: Mapping[str, Any]

    @property
    def box_xyxy(self) -> tuple[float, float, float, float]:
        """The box as x_min, y_min, x_max, y_max, in pixels."""
        left, top, width, height = self.box_xywh
        return left, top, left + width, top + height


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """One picture with its labels.

    `path` is where it lies, `name` what it is called in every export: a file name without folders, of which no other
    picture has the stem. `source` is "synthetic" or "real", `caption` the prompt of the scene; None where it is not
    known. `content` is the image as the COCO file has it.
    """

    id: int
    path: Path
    name: str
    split: str
    width: int
    height: int
    annotations: tuple[Annotation, ...]
    content: Mapping[str, Any]
    source: str | None = None
    caption: str | None = None

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return Path(self.name).stem

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width, self.height

    @property
    def objects(self) -> tuple[Annotation, ...]:
        """The labels that mark one object each: all but crowds."""
        return tuple(item for item in self.annotations if not item.is_crowd)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PictureSet:
    """A data set on its way out.

    `heads`: for each split, in their order, what its COCO file holds beside the lists: info, licenses. `notes` say in
    a sentence each what was left out or changed on the way.
    """

    categories: tuple[Category, ...]
    pictures: tuple[Picture, ...]
    heads: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...] = ()

    def splits(self) -> dict[str, list[Picture]]:
        """The pictures of each split."""
        found: dict[str, list[Picture]] = {split: [] for split in self.heads}
        for picture in self.pictures:
            found[picture.split].append(picture)
        return found

    def numbers(self) -> dict[int, int]:
        """Position of each category, from 0, by its id."""
        return {category.id: position for position, category in enumerate(self.categories)}

    def with_pictures(self, pictures: Sequence[Picture], *notes: str) -> PictureSet:
        """Give it other pictures, and say why."""
        return replace(self, pictures=tuple(pictures), notes=(*self.notes, *notes))


def read_picture_set(path: str | Path, *, with_captions: bool = False) -> PictureSet:
    """Read a data set in COCO form for an export: a folder with annotations/*.json, or one COCO file.

    Pictures get the names of the export; captions are the prompts of the scenes, from the records of a run folder.
    Raises DatasetError when a file or a picture is missing.
    """
    path = Path(path)
    files = find_annotation_files(path)
    splits = {_split_of(file): file for file in files}
    if len(splits) < len(files):
        expected = f"two of its files are of one split: {', '.join(file.name for file in files)}"
        raise DatasetError([Fault(file=str(path), expected=expected)])
    data = read_files(splits)
    paths = [portable_path(picture.name) for picture in data.pictures]
    names = [f"{stem}{path.suffix}" for path, stem in zip(paths, unique_stems(paths), strict=True)]
    pictures = [replace(picture, name=name) for picture, name in zip(data.pictures, names, strict=True)]
    root = folder_of(path)
    if (root / _RUN).is_file():
        pictures = [_of_run(picture, root, with_captions=with_captions) for picture in pictures]
    return data.with_pictures(pictures, *_doubled(pictures))


def read_files(files: Mapping[str, Path]) -> PictureSet:
    """Read COCO files, one for each split; pictures are called as they are there.

    Categories of one name in several files are one. Raises DatasetError when a file or a picture is missing.
    """
    contents = {split: read_coco(file) for split, file in files.items()}
    categories = _categories([content.categories for content in contents.values()])
    pictures: list[Picture] = []
    lost = 0
    for split, content in contents.items():
        found, without_area = _pictures(files[split], split, content, {item.name: item for item in categories})
        pictures += found
        lost += without_area
    notes = [f"{lost} labels whose box has no area in its picture are left out"] if lost else []
    if any(category.id != category.content["id"] for category in categories):
        notes.append("its files give one id to several classes: classes are numbered anew")
    unlisted = unlisted_categories({split: [each["name"] for each in it.categories] for split, it in contents.items()})
    notes += [f"warning: {split} does not list {names}, which other files do" for split, names in unlisted.items()]
    return PictureSet(
        categories=categories,
        pictures=tuple(pictures),
        heads={split: content.head for split, content in contents.items()},
        notes=tuple(notes),
    )


def unlisted_categories(categories: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Find the files (name -> its categories) that lack some which others list: nobody knows if they label them."""
    known = dict.fromkeys(name for names in categories.values() for name in names)
    lacking = {file: [name for name in known if name not in names] for file, names in categories.items()}
    return {file: ", ".join(names) for file, names in lacking.items() if names}


def not_exhaustive_ids(image: Mapping[str, Any]) -> list[int]:
    """Categories of which an image of a COCO file says that not every object is labelled."""
    found = image.get(NOT_EXHAUSTIVE)
    return [number for number in found if isinstance(number, int)] if isinstance(found, list) else []


def with_category_ids(content: Mapping[str, Any], ids: Mapping[Any, int]) -> dict[str, Any]:
    """Give the lists of categories that an image has new ids, by the old ones; those without a new one go."""
    lists = {
        key: sorted({ids[number] for number in content[key] if isinstance(number, int) and number in ids})
        for key in _ID_LISTS
        if isinstance(content.get(key), list)
    }
    return {**content, **lists}


def _split_of(file: Path) -> str:
    """Name the split of a COCO file; names of folders are made of it."""
    return re.sub(r"[^\w-]+", "_", file.stem.removeprefix(_PREFIX)).strip("_") or "all"


def _categories(lists: Sequence[Sequence[Mapping[str, Any]]]) -> tuple[Category, ...]:
    """Join the categories of several files by name, in the order of their ids; ids stay where that is possible."""
    found: dict[str, Mapping[str, Any]] = {}
    for items in lists:
        for item in sorted(items, key=lambda item: item["id"]):
            found.setdefault(item["name"], item)
    ids = [int(item["id"]) for item in found.values()]
    if len({*ids}) < len(ids):
        ids = [*range(1, len(ids) + 1)]
    return tuple(
        Category(id=number, name=name, content=item) for number, (name, item) in zip(ids, found.items(), strict=True)
    )


def _pictures(file: Path, split: str, content: CocoFile, by_name: Mapping[str, Category]) -> tuple[list[Picture], int]:
    """Read the pictures of one file, and count the labels without an area, or of nothing that is there."""
    categories = {item["id"]: by_name[item["name"]] for item in content.categories}
    ids = {old: category.id for old, category in categories.items()}
    sizes = {item["id"]: (int(item["width"]), int(item["height"])) for item in content.images}
    of_image: dict[Any, list[Annotation]] = {number: [] for number in sizes}
    lost = 0
    for item, image_id, category_id in content.joined()[0]:
        known = image_id is not None and category_id is not None
        box = _cut(item["bbox"], sizes[image_id]) if known else None
        if box is None:
            lost += 1
        else:
            of_image[image_id].append(_annotation(item, box, categories[category_id]))
    pictures = []
    for item in content.images:
        path = locate_picture(file, item["file_name"])
        if path is None:
            raise DatasetError([missing_picture(file, item)])
        width, height = sizes[item["id"]]
        source = item.get("source")
        picture = Picture(
            id=int(item["id"]),
            path=path,
            name=item["file_name"],
            split=split,
            width=width,
            height=height,
            annotations=tuple(of_image[item["id"]]),
            content=with_category_ids(item, ids),
            source=source if isinstance(source, str) else None,
        )
        pictures.append(picture)
    return pictures, lost


def _annotation(item: dict[str, Any], box: tuple[float, float, float, float], category: Category) -> Annotation:
    score = item.get("verified_score")
    return Annotation(
        id=int(item["id"]),
        category=category,
        box_xywh=box,
        area=float(item["area"]),
        segmentation=item.get("segmentation") or None,
        is_crowd=item["iscrowd"] == 1,
        score=float(score) if isinstance(score, int | float) and not isinstance(score, bool) else None,
        content=item,
    )


def _cut(bbox: list[float], size_wh: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """Cut a box, x y width height, to its picture; None where nothing is left."""
    x, y, width, height = (float(side) for side in bbox)
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + width, float(size_wh[0])), min(y + height, float(size_wh[1]))
    # What lies inside keeps its very numbers: x + width - x is seldom width.
    width = width if (left, right) == (x, x + width) else right - left
    height = height if (top, bottom) == (y, y + height) else bottom - top
    return (left, top, width, height) if width > 0 and height > 0 else None


def _of_run(picture: Picture, root: Path, *, with_captions: bool) -> Picture:
    """Say of a picture what the run folder knows: a model painted it, and from which prompt."""
    caption = _caption(root / "records" / f"{picture.path.stem}.json") if with_captions else None
    return replace(picture, source=picture.source or "synthetic", caption=caption)


def _caption(record: Path) -> str | None:
    """Read the prompt of the scene; records of every version have it in the same place."""
    try:
        prompt = json.loads(record.read_bytes())["background"]["prompt"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return prompt if isinstance(prompt, str) else None


def _doubled(pictures: Sequence[Picture]) -> Iterator[str]:
    splits = Counter(path for path, _ in {(picture.path, picture.split) for picture in pictures})
    doubled = sum(count > 1 for count in splits.values())
    if doubled:
        yield f"warning: {doubled} pictures are in more than one split"
