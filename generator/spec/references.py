"""Reference photos of a class: a folder of pictures, or the crops of one category of a COCO data set.

The cell `references` of classes.csv holds a folder, or `coco:FILE#category`, where FILE is a COCO annotation file or a
folder with annotations/*.json in it. Relative paths count from the CSV file's own folder.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from generator.foundation.coco import find_annotation_files, folder_of, locate_picture, parse_coco
from generator.foundation.decoding import decode_rgb
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.geometry import Box, square_around

# HEIC is not read, but named as what it is: a phone's folder would else seem to hold no pictures.
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".ppm", ".pgm"),
    *(".heic", ".heif"),
)
COCO_PREFIX = "coco:"
# Around the box of a COCO category, as a share of its longer side: what is next to an object helps to name it.
COCO_MARGIN = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One reference picture: where it lies, and which part of it (None: all)."""

    path: Path
    box: Box | None = None

    @property
    def name(self) -> str:
        """How the picture is called in captions.json."""
        return self.path.name if self.box is None else f"{self.path.name}@{','.join(map(str, self.box.xyxy))}"


def find_references(cell: str, folder: Path) -> list[Reference]:
    """List the reference pictures that a cell of classes.csv means, in the order of their names; [] for an empty cell.

    Raises ValueError with what is wrong, for the caller to name the line.
    """
    if not cell:
        return []
    try:
        return _find_in_coco(cell, folder) if cell.startswith(COCO_PREFIX) else _find_in_folder(cell, folder)
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise ValueError(f"cannot be read: {error.strerror}") from None


def reference_fault(file: str, line: int, cell: str, folder: Path) -> Fault | None:
    """Check one cell; None when it is sound or empty."""
    try:
        find_references(cell, folder)
    except ValueError as error:
        return Fault(file=file, line=line, column="references", found=cell, expected=str(error))
    return None


def sample(references: list[Reference], most: int) -> list[Reference]:
    """At most `most` of them, evenly spread over the list."""
    step = max(1.0, len(references) / most)
    return [references[int(number * step)] for number in range(min(most, len(references)))]


def content_hash(reference: Reference) -> str:
    """SHA-256 over the file's bytes and the box: what a cached caption hangs on. Raises ValueError."""
    try:
        digest = hashlib.sha256(reference.path.read_bytes())
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if reference.box is not None:
        digest.update(repr(reference.box.xyxy).encode())
    return digest.hexdigest()


def open_reference(reference: Reference) -> Image.Image:
    """Decode to RGB, upright, cut to the box with a margin. Raises ValueError with the reason when it cannot be."""
    try:
        data = reference.path.read_bytes()
    except OSError as error:
        raise ValueError(str(error)) from None
    picture = decode_rgb(data)
    if reference.box is None:
        return picture
    inside = _clipped(reference.box, picture.size)
    if inside is None:
        raise ValueError(f"the box {list(reference.box.xyxy)} lies outside of the picture")
    return picture.crop(square_around(inside, margin=COCO_MARGIN, size_wh=picture.size).xyxy)


def _clipped(box: Box, size_wh: tuple[int, int]) -> Box | None:
    x_max, y_max = min(box.x_max, size_wh[0]), min(box.y_max, size_wh[1])
    if x_max <= box.x_min or y_max <= box.y_min:
        return None
    return Box.from_xyxy(box.x_min, box.y_min, x_max, y_max)


def _find_in_folder(cell: str, folder: Path) -> list[Reference]:
    place = folder / cell
    if not place.is_dir():
        raise ValueError("there is no such folder; a folder of pictures, or coco:FILE#category, is needed")
    found = sorted(path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise ValueError(f"the folder holds no pictures ({', '.join(SUFFIXES)})")
    return [Reference(path=path) for path in found]


def _find_in_coco(cell: str, folder: Path) -> list[Reference]:
    text = cell.removeprefix(COCO_PREFIX)
    # A file's name may hold a #, and so may a category's: where there is such a file is the one that parts them.
    cuts = [position for position, letter in enumerate(text) if letter == "#" and 0 < position < len(text) - 1]
    if not cuts:
        raise ValueError("the form is coco:FILE#category")
    cut = next((position for position in reversed(cuts) if (folder / text[:position]).exists()), cuts[-1])
    path, category = folder / text[:cut], text[cut + 1 :]
    try:
        files = find_annotation_files(path)
    except DatasetError:
        raise ValueError(f"there is no COCO file {str(path)!r} (nor annotations/*.json below it)") from None
    found: list[Reference] = []
    known: dict[str, None] = {}
    for file in files:
        status = file.stat()
        for name, references in _read_coco(file, status.st_mtime_ns, status.st_size).items():
            known[name] = None
            found += references if name == category else ()
    if category not in known:
        raise ValueError(f"there is no category {category!r}; known: {', '.join(known) or 'none'}")
    if not found:
        raise ValueError(f"the category {category!r} has no boxes")
    return sorted(found, key=lambda item: (str(item.path), item.box.xyxy if item.box else ()))


@functools.lru_cache(maxsize=4)
def _read_coco(file: Path, _mtime_ns: int, _size: int) -> dict[str, tuple[Reference, ...]]:
    """Category -> its crops. Kept, because each class of a scenario asks for the same file."""
    try:
        content = parse_coco(file.read_bytes(), file.name)
        names = {item["id"]: str(item["name"]) for item in content.categories}
        paths = {item["id"]: _path_of(file, item["file_name"]) for item in content.images}
        crops: dict[str, list[Reference]] = {name: [] for name in names.values()}
        for item, image_id, category_id in content.joined()[0]:
            box = _pixel_box(item["bbox"])
            if box is not None and category_id in names and image_id in paths:
                crops[names[category_id]].append(Reference(path=paths[image_id], box=box))
    except (DatasetError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{file} cannot be read as COCO ({type(error).__name__}: {error})") from None
    return {name: tuple(references) for name, references in crops.items()}


def _path_of(file: Path, name: str) -> Path:
    return locate_picture(file, name) or folder_of(file) / name


def _pixel_box(xywh: Any) -> Box | None:
    x, y, width, height = (float(value) for value in xywh)
    box = (max(0, round(x)), max(0, round(y)), round(x + width), round(y + height))
    return Box.from_xyxy(*box) if box[2] > box[0] and box[3] > box[1] else None
