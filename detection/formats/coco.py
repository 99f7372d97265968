"""COCO instances, ours and the look-alikes of Roboflow, CVAT, Label Studio and others.

https://cocodataset.org/#format-data. Read: the pictures may lie in images/, in train2017/, beside the file, or anywhere
else: they are found by name. Written: images/ and annotations/instances_<split>.json; ids and all fields stay.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from detection.datasets.names import split_of_folders, split_of_name
from detection.datasets.picture_set import PictureSet
from detection.datasets.read import not_exhaustive_ids
from detection.formats.mending import box_around, nested_polygons
from detection.formats.raw import Case, RawObject, RawPicture, RawSet
from detection.formats.source import Reader, SourceFiles, without_annotation
from detection.formats.target import Work, Writer
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.storage import make_folder, write_json
from generator.foundation.text import NotTextError, decode_text

_MARKS = (b'"images"', b'"annotations"', b'"categories"')
_PANOPTIC = b'"segments_info"'
Id = int | float | str


def matches(files: SourceFiles) -> str | None:
    """Say what speaks for COCO; None when nothing does."""
    found = _annotation_files(files)
    return ", ".join(str(path) for path in found) if found else None


def read(files: SourceFiles) -> RawSet:
    """Read every file. Raises DatasetError when one is no JSON."""
    found = _annotation_files(files)
    # COCO's own folder also holds keypoints, of the same pictures.
    instances = [path for path in found if path.name.lower().startswith("instances")] or found
    cases = [
        Case(file=str(path), what="labels of another kind beside instances", done="dropped")
        for path in found
        if path not in instances
    ]
    pictures: list[RawPicture] = []
    names: dict[str, None] = {}
    for path in instances:
        content = _parse(files, path)
        categories, faults = _categories(content, str(path))
        names.update(dict.fromkeys(categories.values()))
        cases += faults
        objects, faults = _objects(content, str(path), categories)
        cases += faults
        read_pictures, faults = _pictures(files, content, path, objects, categories)
        pictures += read_pictures
        cases += faults
    _, left_out = without_annotation(files, pictures, keep=False)
    return RawSet(categories=tuple(names), pictures=tuple(pictures), cases=(*cases, *left_out))


def _annotation_files(files: SourceFiles) -> list[PurePosixPath]:
    found = []
    for path in files.with_suffix(".json"):
        data = files.read_bytes(path)
        if all(mark in data for mark in _MARKS) and _PANOPTIC not in data:
            found.append(path)
    return found


def _parse(files: SourceFiles, path: PurePosixPath) -> dict[str, list[Any]]:
    try:
        content = json.loads(decode_text(files.read_bytes(path)))
    except NotTextError as error:
        raise DatasetError([error.fault(str(files.root / path))]) from None
    except (ValueError, RecursionError) as error:
        raise DatasetError([Fault(file=str(files.root / path), expected=f"is not JSON: {error}")]) from None
    sections = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in sections):
        expected = "an object with lists named images, annotations and categories is needed"
        raise DatasetError([Fault(file=str(files.root / path), expected=expected)])
    return content


class _Ids:
    """The ids that a section gives. "1", 1 and 1.0 are one id where no other is exactly what was asked for."""

    def __init__(self, items: Sequence[Any]):
        found = [number for item in items if (number := _id_of(item)) is not None]
        self._known = set(found)
        self._loose: defaultdict[str, set[Id]] = defaultdict(set)
        for number in self._known:
            self._loose[_plain(number)].add(number)
        self.num_loose = 0

    def find(self, value: Any) -> Id | None:
        """Find the id that is meant; None for none."""
        if not _is_id(value):
            return None
        if value in self._known:
            return value
        same = self._loose.get(_plain(value), set())
        self.num_loose += len(same) == 1
        return next(iter(same)) if len(same) == 1 else None


def _categories(content: dict[str, list[Any]], file: str) -> tuple[dict[Id, str], list[Case]]:
    found = [item for item in content["categories"] if _id_of(item) is not None]
    found.sort(key=lambda item: (isinstance(item["id"], str), item["id"]))
    names: dict[Id, str] = {item["id"]: str(item.get("name", "")).strip() for item in found}
    headings = {str(item.get("supercategory", "")) for item in found}
    in_use = {_plain(item.get("category_id")) for item in content["annotations"] if isinstance(item, dict)}
    cases = []
    for number, name in list(names.items()):
        # Roboflow puts the name of the project first: a category that nothing is of, and all others are below.
        if name in headings and _plain(number) == "0" and "0" not in in_use and len(names) > 1:
            del names[number]
            what = "a heading, not a category"
            cases.append(Case(file=file, place=f"category {number}", what=what, found=name, done="dropped"))
    return names, cases


def _objects(
    content: dict[str, list[Any]], file: str, names: dict[Id, str]
) -> tuple[dict[Id, list[RawObject]], list[Case]]:
    images = _Ids(content["images"])
    categories = _Ids([item for item in content["categories"] if _id_of(item) in names])
    objects: dict[Id, list[RawObject]] = defaultdict(list)
    cases = []
    for position, item in enumerate(content["annotations"]):
        place = f"annotation {item['id']}" if isinstance(item, dict) and "id" in item else f"annotations[{position}]"
        image, category = (
            (images.find(item.get("image_id")), categories.find(item.get("category_id")))
            if isinstance(item, dict)
            else (None, None)
        )
        if image is None or category is None or item.get("iscrowd") in (1, "1"):
            what, found = _fault(item, image, category, names)
            cases.append(Case(file=file, place=place, what=what, found=found, done="dropped", lost_objects=1))
            continue
        segmentation = nested_polygons(item.get("segmentation")) or None
        box = _box(item.get("bbox"))
        if box is None:
            box = box_around(segmentation)
            if math.isfinite(sum(box)):
                what = "no box: taken from the polygons"
                cases.append(Case(file=file, place=place, what=what, found=str(item.get("bbox")), done="mended"))
        objects[image].append(RawObject(category=names[category], box=box, place=place, segmentation=segmentation))
    if loose := images.num_loose + categories.num_loose:
        what = 'ids that are text here and numbers there: "1", 1 and 1.0 are taken as one'
        cases.append(Case(file=file, what=what, found=str(loose), done="mended"))
    return objects, cases


def _fault(item: Any, image: Id | None, category: Id | None, names: dict[Id, str]) -> tuple[str, str]:
    if not isinstance(item, dict):
        return "an annotation that is no object", str(item)[:80]
    if image is None:
        return "an annotation of no picture", f"image_id {json.dumps(item.get('image_id'))[:80]}"
    if category is None:
        return "an unknown class", f"category_id {json.dumps(item.get('category_id'))[:80]}"
    return "a crowd, not one object", names[category]


def _pictures(
    files: SourceFiles,
    content: dict[str, list[Any]],
    path: PurePosixPath,
    objects: dict[Id, list[RawObject]],
    names: dict[Id, str],
) -> tuple[list[RawPicture], list[Case]]:
    named: defaultdict[Id | None, set[str]] = defaultdict(set)
    for item in content["images"]:
        named[_id_of(item)].add(str(item.get("file_name")) if isinstance(item, dict) else "")
    split = split_of_name(path.stem) or split_of_folders(path)
    pictures: list[RawPicture] = []
    cases: list[Case] = []
    for position, item in enumerate(content["images"]):
        number = _id_of(item)
        name = item.get("file_name") if isinstance(item, dict) else None
        place = f"images[{position}]" if number is None else f"image {number}"
        if number is None or not isinstance(name, str) or len(named[number]) > 1:
            doubled = "an id that two pictures have: nobody knows whose labels these are"
            cases.append(
                Case(
                    file=str(path),
                    place=place,
                    what="a picture without id or file_name" if number is None or len(named[number]) == 1 else doubled,
                    found=str(name),
                    done="dropped",
                    lost_pictures=1,
                    lost_objects=len(objects.pop(number, [])) if number is not None else 0,
                )
            )
            continue
        match = files.find_named(name, path)
        cases += match.cases(name, path, place)
        pictures.append(
            RawPicture(
                name=name,
                path=match.path,
                file=str(path),
                place=place,
                size_wh=_size(item),
                split=split,
                objects=tuple(objects.pop(number, ())),
                unlabelled=tuple(names[each] for each in not_exhaustive_ids(item) if each in names),
                looseness=match.looseness,
                rivals=match.rivals,
            )
        )
    return pictures, cases


def _id_of(item: Any) -> Id | None:
    return item["id"] if isinstance(item, dict) and _is_id(item.get("id")) else None


def _size(item: dict[str, Any]) -> tuple[int, int] | None:
    sides = item.get("width"), item.get("height")
    if not all(isinstance(side, int | float) and math.isfinite(side) for side in sides):
        return None
    return int(item["width"]), int(item["height"])


def _is_id(value: Any) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool) and value == value


def _plain(value: Any) -> str:
    """Write an id as text: 1.0 is "1"."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()


def _box(value: Any) -> tuple[float, float, float, float] | None:
    if not isinstance(value, list) or len(value) != 4:
        return None
    try:
        x, y, width, height = (float(number) for number in value)
    except (TypeError, ValueError):
        return (math.nan,) * 4
    return x, y, x + width, y + height


def write(data: PictureSet, work: Work) -> None:
    """Lay the pictures, and write a file for each split. Raises StorageError."""
    categories = [{**item.content, "id": item.id, "name": item.name} for item in data.categories]
    annotations = make_folder(work.folder / "annotations")
    for split, pictures in data.splits().items():
        images: list[dict[str, Any]] = []
        labels: list[dict[str, Any]] = []
        for picture in work.walk(pictures):
            work.lay(picture, f"images/{picture.name}")
            source = {"source": picture.source} if picture.source is not None else {}
            images.append({**picture.content, "id": picture.id, "file_name": picture.name, **source})
            labels += [
                {**item.content, "id": item.id, "image_id": picture.id, "category_id": item.category.id}
                for item in picture.annotations
            ]
        content = {**data.heads[split], "images": images, "annotations": labels, "categories": categories}
        write_json(annotations / f"instances_{split}.json", content, indent=None)


READER = Reader(matches=matches, read=read, looks_for='JSON files with "images", "annotations" and "categories"')
WRITER = Writer(
    write=write,
    opening="""
from pycocotools.coco import COCO
coco = COCO("annotations/instances_{split}.json")
""",
)
