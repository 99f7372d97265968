"""YOLO: one text file a picture, and the names of the classes elsewhere.

Ultralytics (https://docs.ultralytics.com/datasets/detect/): data.yaml with path, train, val, test, names;
images/<split> and labels/<split>, or <split>/images and <split>/labels as Roboflow lays them out. Darknet
(https://github.com/AlexeyAB/darknet#how-to-train-to-detect-your-custom-objects): obj.data with train, valid, names;
labels beside the pictures; lists of paths. LabelImg: classes.txt among the labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from detection.datasets.split_names import split_of_folders, split_of_word
from detection.importers.files import SourceFiles, without_annotation
from detection.importers.lists import Claim, apply_claims, claims_of_folder, claims_of_list, claims_of_lists
from detection.importers.matching import Match
from detection.importers.types import Case, RawPicture, RawSet
from detection.importers.yolo_lines import looks_like_labels, read_lines
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.text import NotTextError, decode_text, strip_text

LOOKS_FOR = "text files of numbers named as the pictures are (data.yaml, classes.txt or obj.names beside them)"
_NOTHING = ("", "~")
_NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels", "predefined_classes.txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Description:
    """What data.yaml, obj.data or classes.txt say: names by number, and (split, folder or list) pairs."""

    file: PurePosixPath
    names: Mapping[int, str]
    splits: tuple[tuple[str, str], ...] = ()
    has_keypoints: bool = False


def matches(files: SourceFiles) -> str | None:
    """Say what speaks for YOLO; None when nothing does."""
    labels = [path for path in _text_files(files) if files.find_own(path) != Match()]
    return f"{len(labels)} label files" if any(_holds_labels(files, path) for path in labels) else None


def read(files: SourceFiles) -> RawSet:
    """Read the names, every label file, and the splits. Raises DatasetError when the names cannot be read."""
    described, cases = _describe(files)
    names = described.names if described is not None else None
    has_keypoints = described is not None and described.has_keypoints
    pictures: list[RawPicture] = []
    for path in _text_files(files):
        text = _text(files, path)
        match = files.find_own(path)
        if match == Match() and not _in_labels(path) and not looks_like_labels(text):
            continue  # a list, a licence, a note
        objects, faults = read_lines(text, str(path), names, has_keypoints=has_keypoints)
        cases += [*faults, *match.cases(path.name, path)]
        pictures.append(
            RawPicture(
                name=str(path.with_suffix("")),
                path=match.path,
                file=str(path),
                split=split_of_folders(path) or (split_of_folders(match.path) if match.path else None),
                objects=tuple(objects),
                relative=True,
                looseness=match.looseness,
                rivals=match.rivals,
            )
        )
    claims, folders, faults = _claims(files, described, pictures)
    empty, left_out = without_annotation(files, pictures, kept_below=folders)
    pictures, doubled = apply_claims(files, [*pictures, *empty], claims)
    if names is None:
        what = "no names of the classes: they are called by their numbers"
        cases.append(Case(file=".", what=what, found="neither data.yaml nor classes.txt nor obj.names", done="kept"))
        observed = {item.category for picture in pictures for item in picture.objects}
        categories = tuple(sorted(observed, key=int))
    else:
        categories = tuple(name for _, name in sorted(names.items()))
    return RawSet(categories=categories, pictures=tuple(pictures), cases=(*cases, *faults, *left_out, *doubled))


def _claims(
    files: SourceFiles, described: _Description | None, pictures: list[RawPicture]
) -> tuple[list[Claim], list[PurePosixPath], list[Case]]:
    """Find out which pictures are of which split: as described, else by lists named train.txt, val.txt ..."""
    claims: list[Claim] = []
    places: dict[PurePosixPath, str] = {}
    cases: list[Case] = []
    for split, value in described.splits if described is not None else ():
        place = _locate(files, value)
        file = str(described.file) if described is not None else "."
        if place is None:
            what = "a folder or list of pictures that is not there"
            cases.append(Case(file=file, place=split, what=what, found=value, done="dropped"))
        elif place in places:
            what = "one folder or list for two splits: it is the first one's"
            cases.append(Case(file=file, place=split, what=what, found=f"{place}: {places[place]}", done="mended"))
        else:
            places[place] = split
            read_claims = claims_of_list if place in files.files else claims_of_folder
            claims += read_claims(files, place, split)
    if not claims:
        claims = claims_of_lists(files, [picture.name for picture in pictures])
    return claims, [place for place in places if place not in files.files], cases


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


def _describe(files: SourceFiles) -> tuple[_Description | None, list[Case]]:
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
    what = "a YAML file that cannot be read: another describes the set"
    cases = [
        Case(file=str(path), what=what, found=error.faults[0].expected, done="dropped")
        for path, error in unreadable.items()
    ]
    ranks = [(not each.splits, len(each.file.parts)) for each in described]
    best = [each for each, rank in zip(described, ranks, strict=True) if rank == min(ranks)]
    if any(each.names != best[0].names for each in best):
        raise _different(files, [each.file for each in best])
    return best[0] if best else listed, cases


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
    lines = re.split(r"\r\n|\r|\n", _strict_text(files, path))
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
        return yaml.load(_strict_text(files, path), Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        expected = f"is not YAML: {str(error).splitlines()[0]}"
        raise DatasetError([Fault(file=str(files.root / path), expected=expected)]) from None


def _splits_of_darknet(files: SourceFiles) -> tuple[tuple[str, str], ...]:
    splits = []
    for path in files.files:
        if path.suffix.lower() == ".data":
            for line in _text(files, path).splitlines():
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
    text = _text(files, path)
    # Of a set without any object all files are empty.
    return looks_like_labels(text) or (not text.strip() and _in_labels(path))


def _in_labels(path: PurePosixPath) -> bool:
    return any(part.lower() == "labels" for part in path.parent.parts)


def _text(files: SourceFiles, path: PurePosixPath) -> str:
    """Read numbers and paths; a path may hold bytes that are no text, as names of files do."""
    return decode_text(files.read_bytes(path), errors="surrogateescape")


def _strict_text(files: SourceFiles, path: PurePosixPath) -> str:
    try:
        return decode_text(files.read_bytes(path))
    except NotTextError as error:
        raise DatasetError([error.fault(str(files.root / path))]) from None
