"""YOLO: one text file a picture, and the names of the classes elsewhere.

Read: Ultralytics (https://docs.ultralytics.com/datasets/detect/): data.yaml with path, train, val, test, names;
images/<split> and labels/<split>, or <split>/images and <split>/labels as Roboflow lays them out. Darknet
(https://github.com/AlexeyAB/darknet#how-to-train-to-detect-your-custom-objects): obj.data with train, valid, names;
labels beside the pictures; lists of paths. LabelImg: classes.txt among the labels.

Written: data.yaml, images/<split>/, labels/<split>/ with a text file of the same stem for each picture, empty where
there are no objects.

A line is `class x_center y_center width height`, or `class x1 y1 x2 y2 x3 y3 ...`
(https://docs.ultralytics.com/datasets/segment/): classes count from 0, numbers are shares of the picture's sides. A
sixth number is a confidence or a track's id, as `save_txt` of Ultralytics writes it. A polygon that is written is one
for each object: parts are tied together, holes are lost, and the box is what is around the polygon.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import yaml
from scipy.spatial.distance import cdist

from detection.datasets.names import split_of_folders
from detection.datasets.picture_set import Annotation, Picture, PictureSet
from detection.formats.matching import Match
from detection.formats.raw import Cases, RawObject, RawPicture, RawSet, number_of
from detection.formats.source import Reader, SourceFiles, without_annotation
from detection.formats.splits import Claim, apply_claims, claims_of_folder, claims_of_list, claims_of_lists
from detection.formats.target import Target, Writer
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.split_names import split_of_word
from generator.foundation.text import strip_text
from generator.labels.segmentation import decode_segmentation, mask_to_polygons

DESCRIPTION = "data.yaml"
# Ultralytics looks beside the file where it names no path, so that the folder may be moved. A relative path would be
# taken from wherever the training is started.
_HEAD = "# no `path`: ultralytics looks beside this file, wherever it is moved; YOLOv5 needs a line `path: FOLDER`\n"
_WANTED = ("train", "val")
LineOf = Callable[[Annotation, tuple[int, int]], str]
# A path may hold bytes that are no text, as names of files do.
_ANY_BYTES = "surrogateescape"
_NOTHING = ("", "~")
_NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels", "predefined_classes.txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Description:
    """What data.yaml, obj.data or classes.txt say: names by number, and (split, folder or list) pairs."""

    file: PurePosixPath
    names: Mapping[int, str] | None = None
    splits: tuple[tuple[str, str], ...] = ()
    has_keypoints: bool = False


def matches(files: SourceFiles) -> str | None:
    """Say what speaks for YOLO; None when nothing does."""
    labels = [path for path in _text_files(files) if files.find_own(path) != Match()]
    return f"{len(labels)} label files" if any(_holds_labels(files, path) for path in labels) else None


def read(files: SourceFiles) -> RawSet:
    """Read the names, every label file, and the splits. Raises DatasetError when the names cannot be read."""
    cases = Cases()
    described = _describe(files, cases)
    names = described.names
    pictures: list[RawPicture] = []
    for path in _text_files(files):
        text = files.read_text(path, errors=_ANY_BYTES)
        match = files.find_own(path)
        if match == Match() and not _in_labels(path) and not looks_like_labels(text):
            continue  # a list, a licence, a note
        picture = RawPicture(
            name=str(path.with_suffix("")),
            file=str(path),
            split=split_of_folders(path) or split_of_folders(match.path),
            objects=read_lines(text, str(path), names, cases, has_keypoints=described.has_keypoints),
            relative=True,
        )
        pictures.append(match.of(picture, cases, path.name))
    if names is None:
        what = "no names of the classes: they are called by their numbers"
        cases.kept(".", what, "neither data.yaml nor classes.txt nor obj.names")
        categories = sorted({item.category for picture in pictures for item in picture.objects}, key=int)
    else:
        categories = [name for _, name in sorted(names.items())]
    claims, folders = _claims(files, described, pictures, cases)
    empty = without_annotation(files, pictures, cases, kept_below=folders)
    pictures = apply_claims(files, [*pictures, *empty], claims, cases)
    return RawSet(categories=categories, pictures=pictures, cases=cases)


def _claims(
    files: SourceFiles, described: _Description, pictures: list[RawPicture], cases: Cases
) -> tuple[list[Claim], list[PurePosixPath]]:
    """Find out which pictures are of which split: as described, else by lists named train.txt, val.txt ..."""
    claims: list[Claim] = []
    places: dict[PurePosixPath, str] = {}
    for split, value in described.splits:
        place, file = _locate(files, value), described.file
        if place is None:
            cases.dropped(file, "a folder or list of pictures that is not there", value, split)
        elif place in places:
            what = "one folder or list for two splits: it is the first one's"
            cases.mended(file, what, f"{place}: {places[place]}", split)
        else:
            places[place] = split
            read_claims = claims_of_list if place in files.files else claims_of_folder
            claims += read_claims(files, place, split)
    if not claims:
        claims = claims_of_lists(files, [picture.name for picture in pictures])
    return claims, [place for place in places if place not in files.files]


def _locate(files: SourceFiles, value: str) -> PurePosixPath | None:
    """Find the folder or list that data.yaml means by a path: its end is looked for.

    It was written on another machine, and Roboflow writes `../train/images` for what lies in train/images. What says
    train or val is never cut off.
    """
    parts = tuple(part for part in value.replace("\\", "/").split("/") if part not in ("", ".", ".."))
    if not parts:
        return PurePosixPath()
    folders = {folder for path in files.pictures for folder in path.parents}
    lists = {path for path in files.files if path.suffix.lower() == ".txt"}
    places = sorted(folders | lists, key=lambda place: (len(place.parts), place))
    for start in range(len(parts)):
        end = parts[start:]
        found = next((place for place in places if place.parts[-len(end) :] == end), None)
        if found is not None or split_of_word(parts[start]):
            return found
    return None


def _describe(files: SourceFiles, cases: Cases) -> _Description:
    """Read the names from the YAML file nearest to the top, one with splits before others, else from a class list.

    Raises DatasetError when two that are as near differ, and when the only one cannot be read. What cannot be read
    beside another is a case: folders hold YAML of all sorts.
    """
    described: list[_Description] = []
    unreadable: dict[PurePosixPath, DatasetError] = {}
    for path in files.with_suffix(".yaml", ".yml"):
        try:
            content = _yaml(files, path)
            if isinstance(content, dict) and isinstance(content.get("names"), list | dict):
                described.append(_from_yaml(path, content))
        except DatasetError as error:
            unreadable[path] = error
    listed = _describe_by_list(files) if not described else None
    if unreadable and not described and listed is None:
        raise next(iter(unreadable.values()))
    for path, fault in unreadable.items():
        cases.dropped(path, "a YAML file that cannot be read: another describes the set", fault.faults[0].expected)
    ranks = [(not each.splits, len(each.file.parts)) for each in described]
    best = [each for each, rank in zip(described, ranks, strict=True) if rank == min(ranks)]
    if any(each.names != best[0].names for each in best):
        raise _different(files, [each.file for each in best])
    return best[0] if best else listed or _Description(file=PurePosixPath())


def _describe_by_list(files: SourceFiles) -> _Description | None:
    """Read the names from a class list. Raises DatasetError when two differ."""
    found: dict[tuple[str, ...], PurePosixPath] = {}
    for path in files.files:
        if path.name.lower() in _NAME_FILES or path.suffix.lower() == ".names":
            found.setdefault(_class_list(files, path), path)
    if len(found) > 1:
        raise _different(files, found.values())
    for names, path in found.items():
        by_number = {number: name for number, name in enumerate(names) if name}
        return _Description(file=path, names=by_number, splits=_splits_of_darknet(files))
    return None


def _class_list(files: SourceFiles, path: PurePosixPath) -> tuple[str, ...]:
    """Read a name on each line; an empty line is a number without a class, as LabelImg and Darknet count."""
    lines = re.split(r"\r\n|\r|\n", files.read_text(path))
    names = [strip_text(line) for line in lines]
    while names and not names[-1]:
        names.pop()
    return tuple(names)


def _different(files: SourceFiles, paths: Iterable[PurePosixPath]) -> DatasetError:
    shown = " and ".join(map(str, paths))
    expected = f"{shown} list different classes; leave the right one only, or import the folder of one alone"
    return DatasetError([Fault(file=str(files.root), expected=expected)])


def _from_yaml(path: PurePosixPath, content: dict[str, Any]) -> _Description:
    names = content["names"]
    pairs = list(names.items()) if isinstance(names, dict) else list(enumerate(names))
    try:
        by_number = {int(number): strip_text(str(name)) for number, name in pairs if name not in _NOTHING}
    except (ValueError, TypeError):
        expected = "names maps numbers to names, as in `0: cat`, or is a list of names"
        raise DatasetError([Fault(file=str(path), column="names", found=str(names)[:80], expected=expected)]) from None
    splits = []
    for key, value in content.items():
        split = split_of_word(str(key))
        if split is not None:
            items = [str(item) for item in (value if isinstance(value, list) else [value])]
            splits += [(split, item) for item in items if item not in _NOTHING and item.lower() != "null"]
    return _Description(file=path, names=by_number, splits=tuple(splits), has_keypoints="kpt_shape" in content)


def _yaml(files: SourceFiles, path: PurePosixPath) -> Any:
    """Read YAML, every value as it is written: `yes`, `1.0` and `2024-01-01` are names of classes."""
    try:
        return yaml.load(files.read_text(path), Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        expected = f"is not YAML: {str(error).splitlines()[0]}"
        raise DatasetError([Fault(file=str(files.root / path), expected=expected)]) from None


def _splits_of_darknet(files: SourceFiles) -> tuple[tuple[str, str], ...]:
    splits = []
    for path in files.files:
        if path.suffix.lower() == ".data":
            for line in files.read_text(path, errors=_ANY_BYTES).splitlines():
                key, _, value = (part.strip() for part in line.partition("="))
                split = split_of_word(key)
                if split is not None and value:
                    splits.append((split, value))
    return tuple(splits)


def _text_files(files: SourceFiles) -> list[PurePosixPath]:
    """List the text files that may hold labels, wherever the user pointed to."""
    if files.only is not None and files.only.suffix.lower() not in (".yaml", ".yml", ".data", ".names"):
        return []
    return [path for path in files.files if path.suffix.lower() == ".txt" and path.name.lower() not in _NAME_FILES]


def _holds_labels(files: SourceFiles, path: PurePosixPath) -> bool:
    text = files.read_text(path, errors=_ANY_BYTES)
    # Of a set without any object all files are empty.
    return looks_like_labels(text) or (not text.strip() and _in_labels(path))


def _in_labels(path: PurePosixPath) -> bool:
    return any(part.lower() == "labels" for part in path.parent.parts)


def looks_like_labels(text: str) -> bool:
    """Say whether the first line that is not empty holds five numbers or more."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    numbers = [*map(number_of, line.split())]
    return len(numbers) >= 5 and all(map(math.isfinite, numbers))


def read_lines(
    text: str, file: str, names: Mapping[int, str] | None, cases: Cases, *, has_keypoints: bool = False
) -> list[RawObject]:
    """Read the objects of one file; lines that cannot be read are cases.

    Without `names` a class is called by its number. With keypoints (`kpt_shape` in data.yaml) what follows the box is
    left out. Every line that is not empty is an object, or one lost in a case.
    """
    objects: list[RawObject] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        values = [*map(number_of, line.split())]
        what = _fault(values, names, has_keypoints=has_keypoints)
        if what is not None:
            cases.dropped(file, what, line.strip()[:80], place, objects=1)
            continue
        category = names[int(values[0])] if names is not None else str(int(values[0]))
        objects.append(_object(values[1:], category, place, has_keypoints=has_keypoints))
    return objects


def _fault(values: list[float], names: Mapping[int, str] | None, *, has_keypoints: bool) -> str | None:
    is_polygon = len(values) >= 7 and len(values) % 2 == 1
    if not (len(values) in (5, 6) or is_polygon or (has_keypoints and len(values) > 6)):
        return "a line that is no label"
    if not values[0].is_integer() or values[0] < 0 or (names is not None and int(values[0]) not in names):
        return "an unknown class"
    return None


def _object(values: list[float], category: str, place: str, *, has_keypoints: bool) -> RawObject:
    if len(values) <= 5 or has_keypoints:
        x, y, width, height = values[:4]
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        return RawObject(category=category, box=box, place=place)
    box = (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))
    if not all(math.isfinite(value) for value in values):
        box = (math.nan,) * 4
    return RawObject(category=category, box=box, place=place, segmentation=[values])


def write(data: PictureSet, target: Target) -> None:
    """Link the pictures, write labels and data.yaml. Raises StorageError."""
    write_with(data, target, box_line)


def write_with(data: PictureSet, target: Target, line_of: LineOf) -> None:
    """Write labels whose numbers behind the category `line_of` gives, from an object and the picture's size."""
    numbers = data.numbers()
    for picture in target.track(data.pictures):
        target.link(picture, f"images/{picture.split}/{picture.name}")
        lines = [f"{numbers[item.category.id]} {line_of(item, picture.size_wh)}\n" for item in picture.objects]
        target.write(f"labels/{picture.split}/{picture.stem}.txt", "".join(lines).encode())
    if missing := [split for split in _WANTED if split not in _folders(data.splits())]:
        target.notes.append(
            f"there is no split {' and no split '.join(missing)}: data.yaml names the other pictures for it (those to "
            "test on only where there are no others), or ultralytics would not open it"
        )
    names = {number: category.name for number, category in enumerate(data.categories)}
    content = {**_folders(data.splits(), wanted=_WANTED), "names": names}
    text = _HEAD + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    target.write(DESCRIPTION, text.encode())


def box_line(item: Annotation, size_wh: tuple[int, int]) -> str:
    """Write a box as centre and size in shares; six decimals are less than 1/100 of a pixel."""
    left, top, width, height = item.box_xywh
    return shares(
        [(left + width / 2) / size_wh[0], (top + height / 2) / size_wh[1], width / size_wh[0], height / size_wh[1]]
    )


def shares(values: Iterable[float]) -> str:
    """Write shares of a picture's sides.

    >>> shares([0.5, 1 / 3])
    '0.500000 0.333333'
    """
    return " ".join(f"{value:.6f}" for value in values)


def _folders(splits: dict[str, list[Picture]], wanted: tuple[str, ...] = ()) -> dict[str, str | list[str]]:
    """Name the folders of each split by the words that ultralytics knows; those `wanted` are never missing.

    Test pictures stand in for them only where there are no others: ultralytics chooses the weights on val.
    """
    found: dict[str, list[str]] = {}
    for split in splits:
        found.setdefault(split_of_word(split) or split, []).append(f"images/{split}")
    others = [folder for split, folders in found.items() if split != "test" for folder in folders]
    for split in wanted:
        found.setdefault(split, others or found["test"])
    return {split: folders[0] if len(folders) == 1 else list(folders) for split, folders in found.items()}


def write_polygons(data: PictureSet, target: Target) -> None:
    """Link the pictures, write labels and data.yaml. Raises DatasetError for a mask that is none, StorageError."""
    write_with(data, target, polygon_line)
    boxes = sum(item.segmentation is None for picture in data.pictures for item in picture.objects)
    if boxes:
        target.notes.append(f"{boxes} labels have no mask: the corners of their boxes are written as the polygon")


def polygon_line(item: Annotation, size_wh: tuple[int, int]) -> str:
    """Write an object as one polygon in shares. Raises DatasetError when its mask cannot be drawn."""
    x_min, y_min, x_max, y_max = item.box_xyxy
    points = np.array([[x_min, y_min], [x_max, y_min], [x_max, y_max], [x_min, y_max]])
    if item.segmentation is not None:
        try:
            points = join_parts(polygons_of(item.segmentation, size_wh[::-1]) or [points])
        except ValueError as error:
            raise DatasetError([Fault(file=f"annotation {item.id}", expected=f"its mask: {error}")]) from None
    return shares((np.clip(points / size_wh, 0, 1)).reshape(-1).tolist())


def polygons_of(segmentation: Any, size_hw: tuple[int, int]) -> list[np.ndarray]:
    """Give COCO polygons as arrays (N, 2), a run-length encoding traced along its pixels' edges (holes are lost).

    Raises ValueError when it is neither.
    """
    if isinstance(segmentation, dict):
        segmentation = mask_to_polygons(decode_segmentation(segmentation, size_hw))
    try:
        polygons = [np.array(polygon, float).reshape(-1, 2) for polygon in segmentation]
    except (TypeError, ValueError):
        raise ValueError("a polygon is a list of numbers, x and y in turn") from None
    if not all(len(polygon) >= 3 and np.isfinite(polygon).all() for polygon in polygons):
        raise ValueError("a polygon needs three points or more")
    return polygons


def join_parts(polygons: Sequence[np.ndarray]) -> np.ndarray:
    """Make one polygon, (N, 2), of several: each is tied to its nearest neighbour by a line there and back.

    The line has no width, so the area stays; who draws outlines, too, draws it one pixel wide. So does ultralytics when
    it converts COCO (merge_multi_segment).

    >>> squares = [np.array([[0, 0], [2, 0], [2, 2]]), np.array([[4, 0], [6, 0], [6, 2]])]
    >>> join_parts(squares).tolist()
    [[0, 0], [2, 0], [4, 0], [6, 0], [6, 2], [4, 0], [2, 0], [2, 2]]
    """
    whole, *parts = polygons
    while parts:
        distances = [cdist(whole, part) for part in parts]
        nearest = min(range(len(parts)), key=lambda number: float(distances[number].min()))
        here, there = np.unravel_index(int(distances[nearest].argmin()), distances[nearest].shape)
        part = np.roll(parts.pop(nearest), -int(there), axis=0)
        whole = np.concatenate([whole[: here + 1], part, part[:1], whole[here:]])
    return whole


READER = Reader(
    matches=matches,
    read=read,
    looks_for="text files of numbers named as the pictures are (data.yaml, classes.txt or obj.names beside them)",
)
WRITER = Writer(
    write=write,
    opening="""
from ultralytics import YOLO
YOLO("yolo11n.yaml").train(data="data.yaml")
""",
)
POLYGON_WRITER = Writer(
    write=write_polygons,
    opening="""
from ultralytics import YOLO
YOLO("yolo11n-seg.yaml").train(data="data.yaml")
""",
    needs="masks",
)
