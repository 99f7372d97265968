"""COCO files, read and written, and the pictures that they name: https://cocodataset.org/#format-data

There is one reader. It takes any file that has the three lists, in any Unicode encoding, and joins labels to pictures
and categories even where ids are text in one place and numbers in another. An import works on that and mends item by
item; code that must rely on the whole file asks for its `faults`, or calls `read_coco`, which raises them.

Ids that we write start at 1: an annotation with id 0 counts as a miss in pycocotools.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from generator.foundation.errors import DatasetError, Fault
from generator.foundation.run_folder import IMPORTED, PAINTED, add_kind, kind_of
from generator.foundation.storage import atomic_writer, make_folder
from generator.foundation.text import NotTextError, decode_text

Id = int | float | str

# Of a category: names of files and folders are made of it, and file systems hold no longer ones.
MAX_NAME = 255
MAX_FAULTS_OF_A_KIND = 20
NOT_EXHAUSTIVE = "not_exhaustive_category_ids"
"""Of an image: categories of which not every object is labelled (LVIS: arXiv 1908.03195)."""
_REQUIRED = {
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("id", "image_id", "category_id", "bbox", "area", "iscrowd"),
    "categories": ("id", "name"),
}
_TEXTS = ("file_name", "name")
_SPLIT_FOLDERS = ("train", "val", "train2017", "val2017")
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


class Joined(NamedTuple):
    """An annotation as the file has it, with the ids of its image and category as these have them; None for none."""

    item: Any
    image_id: Id | None
    category_id: Id | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CocoFile:
    """What a COCO file holds. `name` is for messages, `head` what is not one of the lists: info, licenses."""

    name: str
    head: Mapping[str, Any]
    images: Sequence[Any]
    annotations: Sequence[Any]
    categories: Sequence[Any]

    def joined(self) -> tuple[list[Joined], int]:
        """Join annotations to images and categories; count the ids that are equal as text only: "1", 1 and 1.0."""
        images, categories = _Ids(self.images), _Ids(self.categories)
        found = [
            Joined(item, images.find(item.get("image_id")), categories.find(item.get("category_id")))
            if isinstance(item, dict)
            else Joined(item, None, None)
            for item in self.annotations
        ]
        return found, images.num_loose + categories.num_loose

    def faults(self) -> Iterator[Fault]:
        """Find what lacks a key, is of another type, or has the id of another."""
        for section, keys in _REQUIRED.items():
            items: Sequence[Any] = getattr(self, section)
            for position, item in enumerate(items):
                yield from _item_faults(self.name, section, position, item, keys)
            ids = Counter(
                item.get("id") for item in items if isinstance(item, dict) and isinstance(item.get("id"), int)
            )
            for number, count in ids.items():
                if count > 1:
                    yield _fault(self.name, section, f"the id {number} is used {count} times; ids must be unique")
        if any(isinstance(item, dict) and item.get("id") == 0 for item in self.annotations):
            expected = "the id 0 counts as a miss in pycocotools (AP 1.0 becomes 0.0); start at 1"
            yield _fault(self.name, "annotations", expected)


def parse_coco(data: bytes, name: str) -> CocoFile:
    """Read a COCO file called `name`; of what is in its lists nothing is believed yet.

    Raises DatasetError when it is no text, no JSON, or lacks one of the lists.
    """
    try:
        content = json.loads(decode_text(data))
    except NotTextError as error:
        raise DatasetError([error.fault(name)]) from None
    except (ValueError, RecursionError) as error:
        raise DatasetError([Fault(file=name, expected=f"is not JSON: {error}")]) from None
    if not isinstance(content, dict):
        expected = "a JSON object with images, annotations, categories is needed"
        raise DatasetError([Fault(file=name, expected=expected)])
    missing = [section for section in _REQUIRED if not isinstance(content.get(section), list)]
    if missing:
        raise DatasetError([_fault(name, section, "a list of this name is missing") for section in missing])
    head = {key: value for key, value in content.items() if key not in _REQUIRED}
    return CocoFile(name=name, head=head, **{section: content[section] for section in _REQUIRED})


def read_coco(path: Path) -> CocoFile:
    """Read a COCO file whose images, annotations and categories have all that they need. Raises DatasetError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError([Fault(file=str(path), expected=f"cannot be read: {error.strerror}")]) from None
    content = parse_coco(data, str(path))
    if faults := shortened(content.faults()):
        raise DatasetError(faults)
    return content


def find_annotation_files(path: Path) -> list[Path]:
    """Find the COCO files of a data set. Raises DatasetError when there are none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DatasetError([Fault(file=str(path), expected="there is no such file or folder")])
    is_run, kind = (path / "run.json").exists(), kind_of(path)  # beside it lie other JSON files of ours
    for folder in (path / "annotations",) if is_run or kind else (path / "annotations", path):
        files = sorted(file for file in folder.glob("*.json") if file.is_file())
        # COCO's own folder also holds captions and keypoints, of the same pictures.
        instances = [file for file in files if file.name.startswith("instances")]
        if files:
            return instances or files
    expected = "no COCO file is in it or in its annotations/"
    if is_run and kind in (PAINTED, None):
        expected += " (the run is unfinished, or its leak audit refused it: run `boxpaint generate` again)"
    elif kind is None:
        expected += "; where it is of another layout (YOLO, VOC, CSV ...), `boxpaint import` makes one of it"
    elif kind == IMPORTED:
        expected += "; they were here once: run the same `boxpaint import` again"
    else:
        expected = add_kind(expected, path)
    raise DatasetError([Fault(file=str(path), expected=expected)])


def folder_of(path: Path) -> Path:
    """Find the folder of a data set that is named by it, or by one file of its annotations."""
    folder = path if path.is_dir() else path.parent
    return folder.parent if folder.name == "annotations" else folder


def locate_picture(file: Path, name: str) -> Path | None:
    """Find a picture that a COCO file names: in images/, beside the annotations, or in a folder of its split."""
    root, split = folder_of(file), file.stem.removeprefix("instances_")
    folders = ("images", ".", *_SPLIT_FOLDERS, f"images/{split}", split)
    places = [*(root / folder / name for folder in folders), file.parent / name]
    return next((path for path in places if path.is_file()), None)


def missing_picture(file: Path, image: Mapping[str, Any]) -> Fault:
    """Say that an image of a COCO file is not there."""
    expected = "this picture is neither in images/ nor beside the annotations"
    return _fault(str(file), f"image {image['id']}", expected, image["file_name"])


def shortened(faults: Iterable[Fault]) -> list[Fault]:
    """At most so many faults of one kind, then a count: ten thousand equal lines help nobody."""
    kinds = Counter[tuple[str, str]]()
    shown = []
    for fault in faults:
        kind = (fault.file, " ".join(fault.expected.split(" ")[:4]))
        kinds[kind] += 1
        if kinds[kind] <= MAX_FAULTS_OF_A_KIND:
            shown.append(fault)
    return shown + [
        Fault(file=file, expected=f"{count - MAX_FAULTS_OF_A_KIND} more faults like those above")
        for (file, _), count in kinds.items()
        if count > MAX_FAULTS_OF_A_KIND
    ]


def is_id(value: object) -> bool:
    """Say whether a value may be an id, in anybody's file."""
    return isinstance(value, int | float | str) and not isinstance(value, bool) and value == value


def is_number(value: object) -> bool:
    """Say whether a value is a finite number, of at most 64 bits where it is whole."""
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) < 2**63
    return isinstance(value, float) and math.isfinite(value)


def is_box(value: object) -> bool:
    """Say whether a value is a list of four numbers."""
    return isinstance(value, list) and len(value) == 4 and all(map(is_number, value))


def id_as_text(value: object) -> str:
    """Write an id as text: 1.0 is "1"."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()


class _Ids:
    """The ids of a section. "1", 1 and 1.0 are one id where no other is exactly what was asked for."""

    def __init__(self, items: Sequence[Any]):
        self._known = {item["id"] for item in items if isinstance(item, dict) and is_id(item.get("id"))}
        self._loose: defaultdict[str, set[Id]] = defaultdict(set)
        for number in self._known:
            self._loose[id_as_text(number)].add(number)
        self.num_loose = 0

    def find(self, value: Any) -> Id | None:
        if not is_id(value):
            return None
        if value in self._known:
            return value
        same = self._loose.get(id_as_text(value), set())
        self.num_loose += len(same) == 1
        return next(iter(same)) if len(same) == 1 else None


def _item_faults(file: str, section: str, position: int, item: Any, keys: Sequence[str]) -> Iterator[Fault]:
    place = f"{section}[{position}]"
    if not isinstance(item, dict):
        yield _fault(file, place, "an object is needed", item)
        return
    if missing := [key for key in keys if key not in item]:
        yield _fault(file, place, f"lacks {', '.join(missing)}")
    for key in (key for key in keys if key in item):
        value = item[key]
        if key == "bbox":
            if not is_box(value):
                yield _fault(file, f"{place}.bbox", "four numbers x, y, width, height are needed", value)
        elif key in _TEXTS:
            if not (isinstance(value, str) and 0 < len(value) <= MAX_NAME):
                yield _fault(file, f"{place}.{key}", f"a text of 1 to {MAX_NAME} letters is needed")
        elif not is_number(value):
            yield _fault(file, f"{place}.{key}", "a finite number is needed, and whole ones in 64 bits", value)


def _fault(file: str, place: str, expected: str, *found: object) -> Fault:
    return Fault(file=file, column=place, found=", ".join(map(str, found)) if found else None, expected=expected)


class CocoWriter:
    """One file being written: images go to it at once, annotations wait beside it until all images are there."""

    def __init__(self, path: Path, images: BinaryIO, annotations: BinaryIO):
        self.path = path
        self._images, self._annotations = images, annotations
        self._first_image = self._first_annotation = True

    def add_image(self, image: Mapping[str, Any]) -> None:
        """Write an image."""
        self._images.write(_item(image, is_first=self._first_image))
        self._first_image = False

    def add_annotation(self, annotation: Mapping[str, Any]) -> None:
        """Write an annotation."""
        self._annotations.write(_item(annotation, is_first=self._first_annotation))
        self._first_annotation = False


@contextlib.contextmanager
def coco_writer(
    folder: Path, split: str, *, head: Mapping[str, Any], categories: Sequence[Mapping[str, Any]]
) -> Iterator[CocoWriter]:
    """Write folder/annotations/instances_<split>.json, whole or not at all; memory does not grow with its length.

    Raises StorageError, and ValueError for a number that JSON has not.
    """
    path = make_folder(folder / "annotations") / f"instances_{split}.json"
    opening = f"{_ENCODER.encode(head).removesuffix('}')}{', ' if head else ''}"
    with atomic_writer(path) as stream, tempfile.TemporaryFile(dir=path.parent) as waiting:
        stream.write(_bytes(f'{opening}"images": ['))
        yield CocoWriter(path, stream, waiting)
        stream.write(b'], "annotations": [')
        waiting.seek(0)
        shutil.copyfileobj(waiting, stream)
        stream.write(_bytes(f'], "categories": {_ENCODER.encode(list(categories))}}}\n'))


def _item(item: Mapping[str, Any], *, is_first: bool) -> bytes:
    return _bytes(("" if is_first else ", ") + _ENCODER.encode(item))


def _bytes(text: str) -> bytes:
    return text.encode(errors="backslashreplace")  # bytes of a file's name that are no text become escapes of JSON
