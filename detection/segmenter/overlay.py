"""Objects with their outlines on a picture, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from detection.detectors.types import Detections
from detection.segmenter.maps import masks_of
from generator.dataset.pictures import PALETTE, category_colours

# Enough to see the colour, little enough to see the object through it.
FILL_SHARE = 0.25
_INK = (20, 20, 20)
_TEXT_PX, _LEGEND_PX = 12, 14


def draw_overlay(picture: np.ndarray, found: Detections, categories: Sequence[str]) -> np.ndarray:
    """Fill and outline every object in the colour of its category, the best one in front, and write its score.

    `picture`: (H, W, 3) uint8 RGB; returns another one. Raises ValueError when the detector gives no masks.
    """
    colours = [_rgb(colour) for colour in category_colours(categories).values()]
    drawn = picture.copy()
    thickness = line_px(picture.shape)
    masks = masks_of(found)
    for mask, label in zip(masks[::-1], found.labels[::-1], strict=True):
        colour = colours[int(label) - 1]
        drawn[mask] = np.rint((1 - FILL_SHARE) * drawn[mask] + FILL_SHARE * np.array(colour)).astype(np.uint8)
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        # Dark below bright: one of them stands out from any background.
        cv2.drawContours(drawn, outlines, -1, _INK, 2 * thickness + 1, cv2.LINE_AA)
        cv2.drawContours(drawn, outlines, -1, colour, thickness, cv2.LINE_AA)
    return _with_scores(drawn, found, colours, thickness)


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
    height, width = drawn.shape[:2]
    strip = legend(categories, counts_of(found, categories), width, scale=line_px(drawn.shape[:2]))
    whole = Image.new("RGB", (width, height + strip.height))
    whole.paste(Image.fromarray(drawn))
    whole.paste(strip, (0, height))
    return whole


def counts_of(found: Detections, categories: Sequence[str]) -> dict[str, int]:
    """Objects of each category."""
    return {name: int((found.labels == number).sum()) for number, name in enumerate(categories, start=1)}


def palette() -> list[int]:
    """Colours of a semantic map as a palette PNG has them: 256 times red, green, blue; black for the background."""
    colours = [(0, 0, 0), *(_rgb(PALETTE[number % len(PALETTE)]) for number in range(255))]
    return [value for colour in colours for value in colour]


def _with_scores(
    drawn: np.ndarray, found: Detections, colours: Sequence[tuple[int, ...]], thickness: int
) -> np.ndarray:
    canvas = Image.fromarray(drawn)
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(_TEXT_PX * thickness)
    for box, label, score in zip(found.boxes_xyxy, found.labels, found.scores, strict=True):
        text = f"{score:.2f}"
        # Above the object where there is room, else just inside it.
        x = min(max(float(box[0]), 2.0), canvas.width - font.getlength(text) - 2)
        y = float(box[1]) - (_TEXT_PX + 4) * thickness
        y = y if y >= 0 else float(box[1]) + 2 * thickness
        colour = colours[int(label) - 1]
        pen.text((x, y), text, fill=colour, font=font, stroke_width=thickness, stroke_fill=_INK)
    return np.asarray(canvas)


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour.removeprefix("#")))
