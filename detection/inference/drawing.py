"""What was found in a picture, drawn for people: boxes, outlines, maps, and a sheet of some pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from detection.datasets.masks import masks_of
from detection.datasets.types import Detections
from generator.dataset.pictures import PALETTE, category_colours, draw_boxes, spread, tile
from generator.foundation.geometry import Box

# Smaller pictures are enlarged by a whole number: names would hide their objects.
_WIDTH_PX = 640
# Enough to see the colour, little enough to see the object through it.
FILL_SHARE = 0.25
_INK = (20, 20, 20)
_TEXT_PX, _LEGEND_PX = 12, 14
_MOST_OF_A_PALETTE = 255
_SHEET_PICTURES, _SHEET_COLUMNS, _CELL_PX = 12, 4, 420


def draw_found(picture: Image.Image, found: Detections, categories: Sequence[str]) -> Image.Image:
    """Draw all detections with category and score, in the colours of their categories, on a copy of the picture; it is
    enlarged by a whole number where it is small."""
    drawn, scale = enlarged(picture)
    boxes = named_boxes(found, categories, scale)
    colours = [*category_colours(categories).values()]
    of_text = {text: colours[label - 1] for (text, _), label in zip(boxes, found.labels.tolist(), strict=True)}
    return draw_boxes(drawn, boxes, of_text, names=True)


def named_boxes(found: Detections, categories: Sequence[str], scale: int) -> list[tuple[str, Box]]:
    """Category and score of each detection, and its box on a picture that is `scale` times as large."""
    return [
        (f"{categories[label - 1]} {score:.2f}", pixel_box(box))
        for box, label, score in zip(scale * found.boxes_xyxy, found.labels.tolist(), found.scores, strict=True)
    ]


def pixel_box(box_xyxy: np.ndarray) -> Box:
    """The whole pixels of a box (4,) with fractions; at least one."""
    x_min, y_min, x_max, y_max = (round(float(value)) for value in box_xyxy)
    return Box.from_xyxy(x_min, y_min, max(x_max, x_min + 1), max(y_max, y_min + 1))


def enlarged(picture: Image.Image) -> tuple[Image.Image, int]:
    """The picture, at least so wide that names fit, and by what it was multiplied."""
    scale = max(1, math.ceil(_WIDTH_PX / picture.width))
    size_wh = picture.width * scale, picture.height * scale
    return (picture.resize(size_wh, Image.Resampling.BICUBIC) if scale > 1 else picture), scale


def draw_overlay(picture: np.ndarray, found: Detections, categories: Sequence[str]) -> np.ndarray:
    """Fill and outline every object in the colour of its category, the best one in front, and write its score.

    `picture`: (H, W, 3) uint8 RGB; returns another one. Raises ValueError when the detector gives no masks.
    """
    colours = [_rgb(colour) for colour in category_colours(categories).values()]
    drawn = picture.copy()
    thickness = line_px(picture.shape)
    for mask, label in zip(masks_of(found)[::-1], found.labels[::-1], strict=True):
        colour = colours[int(label) - 1]
        drawn[mask] = np.rint((1 - FILL_SHARE) * drawn[mask] + FILL_SHARE * np.array(colour)).astype(np.uint8)
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        # Dark below bright: one of them stands out from any background.
        cv2.drawContours(drawn, outlines, -1, _INK, 2 * thickness + 1, cv2.LINE_AA)
        cv2.drawContours(drawn, outlines, -1, colour, thickness, cv2.LINE_AA)
    canvas = Image.fromarray(drawn)
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(_TEXT_PX * thickness)
    for box, label, score in zip(found.boxes_xyxy, found.labels, found.scores, strict=True):
        text = f"{score:.2f}"
        # Above the object where there is room, else just inside it.
        x = min(max(float(box[0]), 2.0), canvas.width - font.getlength(text) - 2)
        y = float(box[1]) - (_TEXT_PX + 4) * thickness
        y = y if y >= 0 else float(box[1]) + 2 * thickness
        pen.text((x, y), text, fill=colours[int(label) - 1], font=font, stroke_width=thickness, stroke_fill=_INK)
    return np.asarray(canvas)


def line_px(shape: tuple[int, ...]) -> int:
    """Width of lines on a picture (H, W, ...), so that they look alike on all sizes."""
    return max(1, round(min(shape[:2]) / 240))


def legend(categories: Sequence[str], counts: Mapping[str, int], width: int, *, scale: int = 1) -> Image.Image:
    """Make a strip `width` pixels wide that names the colours of the categories and how often each was found."""
    font = ImageFont.load_default(_LEGEND_PX * scale)
    gap, row = 8 * scale, 22 * scale
    items = [(f"{name}: {counts[name]}", colour) for name, colour in category_colours(categories).items()]
    places, x, y = [], gap, 0
    for text, _ in items:
        item_width = _LEGEND_PX * scale + gap + round(font.getlength(text)) + 2 * gap
        if x > gap and x + item_width > width:
            x, y = gap, y + row
        places.append((x, y))
        x += item_width
    strip = Image.new("RGB", (width, y + row), _INK)
    pen = ImageDraw.Draw(strip)
    for (text, colour), (left, top) in zip(items, places, strict=True):
        swatch = left, top + (row - _LEGEND_PX * scale) // 2
        pen.rectangle((*swatch, swatch[0] + _LEGEND_PX * scale, swatch[1] + _LEGEND_PX * scale), fill=colour)
        pen.text((left + _LEGEND_PX * scale + gap, top + row // 2), text, fill="#FFFFFF", font=font, anchor="lm")
    return strip


def with_legend(drawn: np.ndarray, found: Detections, categories: Sequence[str]) -> Image.Image:
    """Put the legend of what was found below a picture (H, W, 3) uint8, so that it covers nothing."""
    strip = legend(categories, found.counts(categories), drawn.shape[1], scale=line_px(drawn.shape))
    return _one_above_the_other(Image.fromarray(drawn), strip)


def semantic_picture(drawn: np.ndarray, categories: int) -> Image.Image:
    """Make a picture of a semantic map (H, W) uint16: with the colours of the overlays as its palette and black for the
    background, or 16 bit where there are too many categories for one."""
    if categories > _MOST_OF_A_PALETTE:
        return Image.fromarray(drawn)
    picture = Image.fromarray(drawn.astype(np.uint8))
    colours = [(0, 0, 0), *(_rgb(PALETTE[number % len(PALETTE)]) for number in range(_MOST_OF_A_PALETTE))]
    picture.putpalette([value for colour in colours for value in colour])  # makes it "P"
    return picture


class ContactSheet:
    """Collects pictures with what was found in them, spread over all, each small: memory does not grow with them."""

    def __init__(self, categories: Sequence[str], total: int):
        """`total` pictures will be offered."""
        self._categories = tuple(categories)
        self._chosen = set(spread(total, _SHEET_PICTURES))
        self._offered = 0
        self._cells: list[Image.Image] = []
        self._counts = dict.fromkeys(self._categories, 0)

    def offer(self, picture: np.ndarray, found: Detections) -> None:
        """Take the next picture (H, W, 3) uint8 when it is one of those chosen."""
        if self._offered in self._chosen:
            for shown in (picture, draw_overlay(picture, found, self._categories)):
                cell = Image.fromarray(shown)
                # The first decides the shape of all; others are padded to it.
                width, height = (self._cells or [cell])[0].size
                size = _CELL_PX, max(1, round(_CELL_PX * height / width))
                self._cells.append(ImageOps.pad(cell, size, Image.Resampling.LANCZOS))
            for name, count in found.counts(self._categories).items():
                self._counts[name] += count
        self._offered += 1

    def draw(self) -> Image.Image:
        """Lay the pictures out, each beside what was found in it, above a legend."""
        sheet = tile(self._cells, columns=min(_SHEET_COLUMNS, len(self._cells)), cell_width=_CELL_PX)
        return _one_above_the_other(sheet, legend(self._categories, self._counts, sheet.width))


def _one_above_the_other(upper: Image.Image, lower: Image.Image) -> Image.Image:
    whole = Image.new("RGB", (upper.width, upper.height + lower.height))
    whole.paste(upper)
    whole.paste(lower, (0, upper.height))
    return whole


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour.removeprefix("#")))
