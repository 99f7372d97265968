"""Boxes of detectors on pictures: what was found, what is wrong, what was missed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from detection.datasets.types import Sample
from detection.detectors.types import Detections
from detection.evaluation.mistakes import PictureMistakes
from generator.dataset.pictures import category_colours, draw_boxes
from generator.foundation.geometry import Box

# Okabe and Ito 2008: told apart by colour-blind eyes as well.
RIGHT, WRONG, MISSED = "#009E73", "#D55E00", "#56B4E9"
# Smaller pictures are enlarged by a whole number: names would hide their objects.
_WIDTH_PX = 640


def draw_found(picture: Image.Image, found: Detections, categories: Sequence[str]) -> Image.Image:
    """Draw all detections with category and score, in the colours of their categories, on a copy of the picture; it is
    enlarged by a whole number where it is small."""
    drawn, scale = _enlarged(picture)
    colours = category_colours(categories)
    names = [categories[int(label) - 1] for label in found.labels]
    texts = [f"{name} {score:.2f}" for name, score in zip(names, found.scores, strict=True)]
    boxes = [(text, pixel_box(box)) for text, box in zip(texts, scale * found.boxes_xyxy, strict=True)]
    return draw_boxes(drawn, boxes, dict(zip(texts, map(colours.__getitem__, names), strict=True)), names=True)


def draw_mistakes(
    picture: Image.Image, sample: Sample, found: Detections, mistakes: PictureMistakes, categories: Sequence[str]
) -> Image.Image:
    """Draw missed labels, right and wrong detections in their three colours on a copy of the picture; it is enlarged by
    a whole number where it is small."""
    drawn, scale = _enlarged(picture)

    def detected(positions: Iterable[int]) -> list[tuple[str, Box]]:
        return [
            (
                f"{categories[int(found.labels[number]) - 1]} {found.scores[number]:.2f}",
                pixel_box(scale * found.boxes_xyxy[number]),
            )
            for number in positions
        ]

    labelled = [
        (f"missed {categories[int(sample.labels[number]) - 1]}", pixel_box(scale * sample.boxes_xyxy[number]))
        for number in mistakes.missed
    ]
    for boxes, colour in ((detected(mistakes.right), RIGHT), (detected(mistakes.wrong), WRONG), (labelled, MISSED)):
        drawn = draw_boxes(drawn, boxes, {text: colour for text, _ in boxes}, names=True)
    return drawn


def pixel_box(box_xyxy: np.ndarray) -> Box:
    """The whole pixels of a box (4,) with fractions; at least one."""
    x_min, y_min, x_max, y_max = (round(float(value)) for value in box_xyxy)
    return Box.from_xyxy(x_min, y_min, max(x_max, x_min + 1), max(y_max, y_min + 1))


def _enlarged(picture: Image.Image) -> tuple[Image.Image, int]:
    """The picture, at least so wide that names fit, and by what it was multiplied."""
    scale = max(1, math.ceil(_WIDTH_PX / picture.width))
    size_wh = picture.width * scale, picture.height * scale
    return (picture.resize(size_wh, Image.Resampling.BICUBIC) if scale > 1 else picture), scale
