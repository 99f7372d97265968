"""Crops for classifiers, as torchvision.datasets.ImageFolder reads them: <split>/<category>/<picture>-<annotation>.png.

https://pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from detection.datasets.names import file_name
from detection.datasets.picture_set import Category, PictureSet
from detection.datasets.read import open_rgb
from detection.formats.pictures import encode
from detection.formats.target import Target, Writer

# What one system or another does not allow in the name of a folder.
_FORBIDDEN = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
# Letters, and bytes: a letter may take up to four.
_LONGEST, _LONGEST_BYTES = 100, 200


def write(data: PictureSet, target: Target) -> None:
    """Cut every object out. Raises DatasetError for a damaged picture, StorageError."""
    folders = folder_names(data.categories)
    seen: dict[str, set[int]] = {split: set() for split in data.heads}
    for picture in target.track(data.pictures):
        if not picture.objects:
            continue
        image = open_rgb(picture.path, labelled_wh=picture.size_wh)
        for item in picture.objects:
            crop = image.crop(crop_of(item.box_xyxy, image.size, target.options.margin))
            name = file_name(picture.stem, f"-{item.id}.png")
            target.write(f"{picture.split}/{folders[item.category.id]}/{name}", encode(crop, "PNG", origin=image))
            seen[picture.split].add(item.category.id)
    for split, ids in seen.items():
        missing = [category.name for category in data.categories if category.id not in ids]
        if missing:
            target.notes.append(
                f"there is no crop of {', '.join(missing)} in {split}: ImageFolder numbers the classes of each folder "
                "by themselves"
            )


def crop_of(
    box_xyxy: tuple[float, float, float, float], size_wh: tuple[int, int], margin: float
) -> tuple[int, int, int, int]:
    """Find the whole pixels that hold a box, with a margin on each side as a share of its sides, cut to the picture.

    >>> crop_of((10, 10, 20, 30.5), (40, 32), 0.5)
    (5, 0, 25, 32)
    """
    x_min, y_min, x_max, y_max = box_xyxy
    more_x, more_y = margin * (x_max - x_min), margin * (y_max - y_min)
    left, top = max(0, math.floor(x_min - more_x)), max(0, math.floor(y_min - more_y))
    return left, top, min(size_wh[0], math.ceil(x_max + more_x)), min(size_wh[1], math.ceil(y_max + more_y))


def folder_names(categories: Sequence[Category]) -> dict[int, str]:
    """Name a folder for each category, by its id: its own name where that may be one, and no other has it in any case.

    >>> folder_names([Category(id=1, name="a/b", content={}), Category(id=2, name="A_B", content={})])
    {1: 'a_b', 2: 'A_B_2'}
    """
    wished = {
        category.id: _cut(_FORBIDDEN.sub("_", category.name)).rstrip(" .").lstrip(" ") or "_" for category in categories
    }
    names: dict[int, str] = {}
    taken: set[str] = set()
    for number, wish in wished.items():
        name = wish
        if name.startswith(".") or name.casefold() in taken:
            name = f"{name.lstrip('.')}_{number}"
            others = taken | {other.casefold() for other in wished.values()}
            while name.casefold() in others:
                name = f"{name}_{number}"
        taken.add(name.casefold())
        names[number] = name
    return names


def _cut(name: str) -> str:
    return name[:_LONGEST].encode(errors="replace")[:_LONGEST_BYTES].decode(errors="ignore")


WRITER = Writer(
    write=write,
    opening="""
from torchvision.datasets import ImageFolder
data = ImageFolder("{split}")
""",
    needs="objects",
    links="nothing",
)
