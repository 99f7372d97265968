"""YOLO boxes as ultralytics reads them: https://docs.ultralytics.com/datasets/detect/.

data.yaml                  the folder of each split, and the names of the categories
images/<split>/            the pictures
labels/<split>/            a text file for each, of the same stem: `category x_center y_center width height`

Categories count from 0, the other numbers are shares of the picture's sides. A picture without objects has an empty
file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import yaml

from detection.datasets.split_names import split_of_word
from detection.exporters.types import Annotation, Picture, PictureSet
from detection.exporters.work import Work

OPENING = """
from ultralytics import YOLO
YOLO("yolo11n.yaml").train(data="data.yaml")
"""
DESCRIPTION = "data.yaml"
# Ultralytics looks beside the file where it names no path, so that the folder may be moved. A relative path would be
# taken from wherever the training is started.
_HEAD = "# no `path`: ultralytics looks beside this file, wherever it is moved; YOLOv5 needs a line `path: FOLDER`\n"
_WANTED = ("train", "val")
LineOf = Callable[[Annotation, tuple[int, int]], str]


def write(data: PictureSet, work: Work) -> None:
    """Lay the pictures, write labels and data.yaml. Raises StorageError."""
    write_with(data, work, box_line)


def write_with(data: PictureSet, work: Work, line_of: LineOf) -> None:
    """Write labels whose numbers behind the category `line_of` gives, from an object and the picture's size."""
    numbers = data.numbers()
    for picture in work.walk(data.pictures):
        work.lay(picture, f"images/{picture.split}/{picture.name}")
        size_wh = picture.width, picture.height
        lines = [f"{numbers[item.category.id]} {line_of(item, size_wh)}\n" for item in picture.objects]
        work.write(f"labels/{picture.split}/{picture.stem}.txt", "".join(lines).encode())
    if missing := [split for split in _WANTED if split not in _folders(data.splits())]:
        work.notes.append(
            f"there is no split {' and no split '.join(missing)}: data.yaml names the other pictures for it (those to "
            "test on only where there are no others), or ultralytics would not open it"
        )
    names = {number: category.name for number, category in enumerate(data.categories)}
    content = {**_folders(data.splits(), wanted=_WANTED), "names": names}
    text = _HEAD + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    work.write(DESCRIPTION, text.encode())


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
