"""Label maps for semantic segmentation: a palette PNG of each picture, one value a pixel.

images/<split>/            the pictures
masks/<split>/<stem>.png   0 is the background, k the k-th category of legend.csv, 255 what nobody knows
legend.json, legend.csv    value, id, name and colour of each category

The palette is that of Pascal VOC, so that a map can be looked at.
"""

from __future__ import annotations

import csv
import io
import json

import numpy as np
from PIL import Image

from detection.datasets.picture_set import Annotation, Picture, PictureSet
from detection.formats.target import Target, Writer
from generator.foundation.errors import DatasetError, Fault
from generator.labels.segmentation import decode_segmentation

VOID = 255
_COLUMNS = ("value", "id", "name", "red", "green", "blue")


def write(data: PictureSet, target: Target) -> None:
    """Link the pictures, draw the maps, write the legend. Raises DatasetError for a mask that is none, StorageError."""
    if len(data.categories) >= VOID:
        expected = f"a map holds {VOID - 1} classes at most; choose some with --classes"
        raise DatasetError(
            [Fault(file="--format semantic", found=f"{len(data.categories)} classes", expected=expected)]
        )
    numbers = data.numbers()
    palette = voc_palette()
    unknown = 0
    for picture in target.track(data.pictures):
        target.link(picture, f"images/{picture.split}/{picture.name}")
        drawn = Image.fromarray(label_map(picture, numbers))
        drawn.putpalette(palette.tobytes())
        stream = io.BytesIO()
        drawn.save(stream, "PNG", optimize=False)
        target.write(f"masks/{picture.split}/{picture.stem}.png", stream.getvalue())
        unknown += sum(item.segmentation is None for item in picture.annotations)
    if unknown:
        target.notes.append(f"{unknown} labels have no mask: their boxes are {VOID}, void, where no other mask is")
    rows = [
        (number, category.id, category.name, *(int(value) for value in palette[number]))
        for number, category in enumerate(data.categories, start=1)
    ]
    legend = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
    target.write(
        "legend.json", (json.dumps({"void": VOID, "legend": legend}, indent=1, ensure_ascii=False) + "\n").encode()
    )
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([_COLUMNS, *rows])
    target.write("legend.csv", text.getvalue().encode())


def label_map(picture: Picture, numbers: dict[int, int]) -> np.ndarray:
    """Draw the labels of a picture: (H, W) uint8, 0 for the background, position of the category + 1, or VOID.

    Where masks overlap the smaller object is in front, or it would vanish behind the larger. Crowds are void. Raises
    DatasetError when a mask cannot be drawn.
    """
    drawn = np.zeros((picture.height, picture.width), np.uint8)
    masks = [(item, _mask(item, picture)) for item in picture.annotations]
    for item, mask in masks:
        if item.is_crowd or mask is None:
            drawn[_inside(item) if mask is None else mask] = VOID
    whole = [(int(mask.sum()), item, mask) for item, mask in masks if mask is not None and not item.is_crowd]
    for _, item, mask in sorted(whole, key=lambda each: -each[0]):
        drawn[mask] = numbers[item.category.id] + 1
    return drawn


def voc_palette() -> np.ndarray:
    """Make the colour map of the VOC devkit (VOClabelcolormap): (256, 3) uint8 RGB; bits of the value, spread."""
    values = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= (((values >> channel) & 1) << (7 - bit)).astype(np.uint8)
        values = values >> 3
    return palette


def _mask(item: Annotation, picture: Picture) -> np.ndarray | None:
    if item.segmentation is None:
        return None
    try:
        mask = decode_segmentation(item.segmentation, (picture.height, picture.width))
    except ValueError as error:
        raise DatasetError([Fault(file=f"annotation {item.id}", expected=f"its mask: {error}")]) from None
    if mask.shape != (picture.height, picture.width):
        expected = f"its mask is not of its picture of {picture.width} x {picture.height} px"
        raise DatasetError([Fault(file=f"annotation {item.id}", expected=expected)])
    return mask


def _inside(item: Annotation) -> tuple[slice, slice]:
    x_min, y_min, x_max, y_max = (round(side) for side in item.box_xyxy)
    return slice(y_min, y_max), slice(x_min, x_max)


WRITER = Writer(
    write=write,
    opening="""
import numpy as np
from PIL import Image
labels = np.asarray(Image.open("masks/{split}/{stem}.png"))
""",
    needs="masks",
)
