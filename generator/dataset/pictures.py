"""Pictures for people: boxes drawn on scenes, contact sheets, previews of a plan."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from generator.dataset.record import SceneRecord
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.geometry import Box
from generator.plan import ScenePlan

# Okabe and Ito 2008: told apart by colour-blind eyes as well; black left out, yellow first.
PALETTE = ("#F0E442", "#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#0072B2", "#FFFFFF")
_GAP_PX, _PREVIEW_CELL_PX = 4, 300
_DASH_PX = 5


def category_colours(categories: Iterable[str]) -> dict[str, str]:
    """Give each category a colour, in order."""
    return {name: PALETTE[number % len(PALETTE)] for number, name in enumerate(categories)}


def draw_boxes(
    picture: Image.Image, boxes: Sequence[tuple[str, Box]], colours: Mapping[str, str], *, names: bool = False
) -> Image.Image:
    """Draw (category, box) pairs on a copy of a picture."""
    drawn = picture.convert("RGB")
    pen = ImageDraw.Draw(drawn)
    for category, box in boxes:
        x_min, y_min, x_max, y_max = box.xyxy
        pen.rectangle((x_min, y_min, x_max - 1, y_max - 1), outline=colours[category], width=2)
        if names:
            text_box = pen.textbbox((x_min + 2, y_min + 1), category)
            pen.rectangle(text_box, fill="#000000")
            pen.text((x_min + 2, y_min + 1), category, fill=colours[category])
    return drawn


def draw_dashed(picture: Image.Image, boxes: Sequence[tuple[str, Box]], colours: Mapping[str, str]) -> Image.Image:
    """Draw (category, box) pairs on a copy of a picture with dashed lines."""
    drawn = picture.convert("RGB")
    pen = ImageDraw.Draw(drawn)
    for category, box in boxes:
        x_min, y_min, x_max, y_max = box.xyxy
        for x in range(x_min, x_max, 2 * _DASH_PX):
            for y in (y_min, y_max - 2):
                pen.rectangle((x, y, min(x + _DASH_PX, x_max) - 1, y + 1), fill=colours[category])
        for y in range(y_min, y_max, 2 * _DASH_PX):
            for x in (x_min, x_max - 2):
                pen.rectangle((x, y, x + 1, min(y + _DASH_PX, y_max) - 1), fill=colours[category])
    return drawn


def tile(pictures: Sequence[Image.Image], *, columns: int, cell_width: int) -> Image.Image:
    """Lay pictures of one size out in rows, each `cell_width` pixels wide."""
    width, height = pictures[0].size
    cell_height = max(1, round(cell_width * height / width))
    rows = math.ceil(len(pictures) / columns)
    sheet = Image.new(
        "RGB",
        (columns * (cell_width + _GAP_PX) + _GAP_PX, rows * (cell_height + _GAP_PX) + _GAP_PX),
        "#202020",
    )
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        resized = picture.resize((cell_width, cell_height), Image.Resampling.LANCZOS)
        sheet.paste(resized, (_GAP_PX + column * (cell_width + _GAP_PX), _GAP_PX + row * (cell_height + _GAP_PX)))
    return sheet


def preview_plan(
    scenes: Sequence[ScenePlan], canvas_wh: tuple[int, int], categories: Iterable[str], *, columns: int = 6
) -> Image.Image:
    """Show the planned boxes of some scenes in colour on empty canvases; dashed: labelled objects of a photo."""
    colours = category_colours(categories)
    scale = _PREVIEW_CELL_PX / canvas_wh[0]
    empty = Image.new("RGB", (_PREVIEW_CELL_PX, max(1, round(canvas_wh[1] * scale))), "#3a3a3a")
    pictures = []
    for scene in scenes:
        present = scene.photo.present if scene.photo is not None else ()
        real = [(item.category, _scaled(item.box, scale)) for item in present if not item.unlabelled]
        planned = [(item.category, _scaled(item.box, scale)) for item in scene.placements]
        pictures.append(draw_boxes(draw_dashed(empty, real, colours), planned, colours, names=True))
    return tile(pictures, columns=min(columns, len(pictures)), cell_width=_PREVIEW_CELL_PX)


def _scaled(box: Box, scale: float) -> Box:
    x_min, y_min = round(box.x_min * scale), round(box.y_min * scale)
    return Box.from_xywh(x_min, y_min, max(1, round(box.width * scale)), max(1, round(box.height * scale)))


def draw_record(record: SceneRecord, images: Path, colours: Mapping[str, str]) -> Image.Image:
    """Draw the labels of a finished scene, dashed those of real objects.

    Raises DatasetError when its picture cannot be read.
    """
    path = images / record.file_name
    try:
        with Image.open(path) as picture:
            picture.load()
    except (OSError, ValueError, SyntaxError) as error:
        expected = f"cannot be read ({error}); remove it, and the next `boxpaint generate` paints it again"
        raise DatasetError([Fault(file=str(path), expected=expected)]) from None
    boxes = []
    for item in record.objects:
        label = item.label_xyxy((record.width, record.height))
        if label is not None:
            boxes.append((item.category, Box.from_xyxy(*(round(edge) for edge in label))))
    return draw_boxes(draw_real(picture, record, colours), boxes, colours)


def draw_real(picture: Image.Image, record: SceneRecord, colours: Mapping[str, str]) -> Image.Image:
    """Draw the labels of real objects on a copy of a picture, dashed, so that they are told apart from painted ones."""
    labels = [(item.category, item.label_box) for item in record.real_objects if item.category in colours]
    boxes = [(name, Box.from_xyxy(*(round(edge) for edge in box))) for name, box in labels if _has_pixels(box)]
    return draw_dashed(picture, boxes, colours)


def _has_pixels(box_xyxy: tuple[float, float, float, float]) -> bool:
    left, top, right, bottom = map(round, box_xyxy)
    return right > left and bottom > top


def spread(total: int, count: int) -> list[int]:
    """`count` positions (or fewer) spread evenly over range(total): spread(10, 3) is [0, 4, 9]."""
    if total <= count:
        return list(range(total))
    return [int(position) for position in np.linspace(0, total - 1, count)]
