"""COCO instances, ours and the look-alikes of Roboflow, CVAT, Label Studio and others.

https://cocodataset.org/#format-data. Read: the pictures may lie in images/, in train2017/, beside the file, or anywhere
else: they are found by name. Written: images/ and annotations/instances_<split>.json; ids and all fields stay.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from detection.datasets.names import split_of_folders
from detection.datasets.picture_set import PictureSet, not_exhaustive_ids, unlisted_categories
from detection.formats.mending import box_around, box_of_sides, nested_polygons
from detection.formats.raw import Cases, RawObject, RawPicture, RawSet, size_of
from detection.formats.source import Reader, SourceFiles, without_annotation
from detection.formats.target import Target, Writer
from generator.foundation.coco import CocoFile, Id, coco_writer, id_as_text, is_id, parse_coco
from generator.foundation.split_names import split_of_name

_MARKS = (b'"images"', b'"annotations"', b'"categories"')
_PANOPTIC = b'"segments_info"'


def matches(files: SourceFiles) -> str | None:
    """Say what speaks for COCO; None when nothing does."""
    return ", ".join(map(str, _annotation_files(files))) or None


def read(files: SourceFiles) -> RawSet:
    """Read every file. Raises DatasetError when one is no JSON, or lacks a list."""
    found = _annotation_files(files)
    # COCO's own folder also holds keypoints, of the same pictures.
    instances = [path for path in found if path.name.lower().startswith("instances")] or found
    cases = Cases()
    for path in found:
        if path not in instances:
            cases.dropped(path, "labels of another kind beside instances")
    pictures: list[RawPicture] = []
    names: dict[str, list[str]] = {}
    for path in instances:
        content = parse_coco(files.read_bytes(path), str(files.root / path))
        categories = _categories(content, str(path), cases)
        names[str(path)] = [*categories.values()]
        objects = _objects(content, str(path), categories, cases)
        pictures += _pictures(files, content, path, objects, categories, cases)
    for file, unlisted in unlisted_categories(names).items():
        cases.kept(file, "categories that other files of the set list and this one does not", unlisted)
    pictures = _join_files_of_classes(pictures, cases)
    without_annotation(files, pictures, cases, keep=False)
    known = dict.fromkeys(name for of_file in names.values() for name in of_file)
    return RawSet(categories=tuple(known), pictures=pictures, cases=cases)


def write(data: PictureSet, target: Target) -> None:
    """Link the pictures, and write a file for each split. Raises StorageError."""
    categories = [{**item.content, "id": item.id, "name": item.name} for item in data.categories]
    for split, pictures in data.splits().items():
        with coco_writer(target.folder, split, head=data.heads[split], categories=categories) as file:
            for picture in target.track(pictures):
                target.link(picture, f"images/{picture.name}")
                source = {"source": picture.source} if picture.source is not None else {}
                file.add_image({**picture.content, "id": picture.id, "file_name": picture.name, **source})
                for item in picture.annotations:
                    ids = {"id": item.id, "image_id": picture.id, "category_id": item.category.id}
                    file.add_annotation({**item.content, **ids})


READER = Reader(matches=matches, read=read, looks_for='JSON files with "images", "annotations" and "categories"')
WRITER = Writer(
    write=write,
    opening="""
from pycocotools.coco import COCO
coco = COCO("annotations/instances_{split}.json")
""",
    says_unlabelled=True,
)


def _annotation_files(files: SourceFiles) -> list[PurePosixPath]:
    found = []
    for path in files.with_suffix(".json"):
        data = files.read_bytes(path)
        if all(mark in data for mark in _MARKS) and _PANOPTIC not in data:
            found.append(path)
    return found


def _categories(content: CocoFile, file: str, cases: Cases) -> dict[Id, str]:
    found = [item for item in content.categories if _id_of(item) is not None]
    found.sort(key=lambda item: (isinstance(item["id"], str), item["id"]))
    names: dict[Id, str] = {item["id"]: str(item.get("name", "")).strip() for item in found}
    headings = {str(item.get("supercategory", "")) for item in found}
    in_use = {id_as_text(item.get("category_id")) for item in content.annotations if isinstance(item, dict)}
    for number, name in list(names.items()):
        # Roboflow puts the name of the project first: a category that nothing is of, and all others are below.
        if name in headings and id_as_text(number) == "0" and "0" not in in_use and len(names) > 1:
            del names[number]
            cases.dropped(file, "a heading, not a category", name, f"category {number}")
    return names


def _objects(content: CocoFile, file: str, names: Mapping[Id, str], cases: Cases) -> dict[Id, list[RawObject]]:
    objects: dict[Id, list[RawObject]] = defaultdict(list)
    joined, num_loose = content.joined()
    for position, (item, image, category) in enumerate(joined):
        place = f"annotation {item['id']}" if isinstance(item, dict) and "id" in item else f"annotations[{position}]"
        if image is None or category is None or category not in names or item.get("iscrowd") in (1, "1"):
            what, found = _fault(item, image, names.get(category) if category is not None else None)
            cases.dropped(file, what, found, place, objects=1)
            continue
        segmentation = nested_polygons(item.get("segmentation")) or None
        bbox = item.get("bbox")
        box = box_of_sides(bbox)
        if not isinstance(bbox, list) or len(bbox) != 4:
            box = box_around(segmentation)
            if math.isfinite(sum(box)):
                cases.mended(file, "no box: taken from the polygons", bbox, place)
        objects[image].append(RawObject(category=names[category], box=box, place=place, segmentation=segmentation))
    if num_loose:
        cases.mended(file, 'ids that are text here and numbers there: "1", 1 and 1.0 are taken as one', num_loose)
    return objects


def _fault(item: Any, image: Id | None, category: str | None) -> tuple[str, str]:
    if not isinstance(item, dict):
        return "an annotation that is no object", str(item)[:80]
    if image is None:
        return "an annotation of no picture", f"image_id {json.dumps(item.get('image_id'))[:80]}"
    if category is None:
        return "an unknown class", f"category_id {json.dumps(item.get('category_id'))[:80]}"
    return "a crowd, not one object", category


def _pictures(
    files: SourceFiles,
    content: CocoFile,
    path: PurePosixPath,
    objects: dict[Id, list[RawObject]],
    names: Mapping[Id, str],
    cases: Cases,
) -> Iterator[RawPicture]:
    named: defaultdict[Id | None, set[str]] = defaultdict(set)
    for item in content.images:
        named[_id_of(item)].add(str(item.get("file_name")) if isinstance(item, dict) else "")
    split = split_of_name(path.stem) or split_of_folders(path)
    for position, item in enumerate(content.images):
        number = _id_of(item)
        name = item.get("file_name") if isinstance(item, dict) else None
        place = f"images[{position}]" if number is None else f"image {number}"
        of_picture = objects.pop(number, []) if number is not None else []
        if number is None or not isinstance(name, str) or len(named[number]) > 1:
            what = "a picture without id or file_name"
            if number is not None and len(named[number]) > 1:
                what = "an id that two pictures have: nobody knows whose labels these are"
            cases.dropped(path, what, name, place, pictures=1, objects=len(of_picture))
            continue
        picture = RawPicture(
            name=name,
            file=str(path),
            place=place,
            size_wh=size_of(item.get("width"), item.get("height")),
            split=split,
            objects=of_picture,
            unlabelled=[names[each] for each in not_exhaustive_ids(item) if each in names],
        )
        yield files.find_named(name, path).of(picture, cases)


def _join_files_of_classes(pictures: Sequence[RawPicture], cases: Cases) -> list[RawPicture]:
    """Join what several files say of one picture where each has classes of its own: some tools write a file a class."""
    classes: defaultdict[str, set[str]] = defaultdict(set)
    claims: defaultdict[object, list[RawPicture]] = defaultdict(list)
    for number, picture in enumerate(pictures):
        classes[picture.file] |= {item.category for item in picture.objects}
        claims[(picture.path, picture.split, picture.looseness) if picture.path else number].append(picture)
    result = []
    for claiming in claims.values():
        files = [*dict.fromkeys(picture.file for picture in claiming)]
        total = sum(len(classes[file]) for file in files)
        if len(files) > 1 and total == len(set().union(*(classes[file] for file in files))):
            what = "a picture in several files, each with classes of its own: its objects are joined"
            cases.mended(files[0], what, ", ".join(files), claiming[0].place)
            claiming = [claiming[0].joined(claiming[1:])]
        result += claiming
    return result


def _id_of(item: Any) -> Id | None:
    return item["id"] if isinstance(item, dict) and is_id(item.get("id")) else None
