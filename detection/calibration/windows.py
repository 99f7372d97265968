"""Square windows around objects, cut and varied, for the ruler to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from detection.datasets.read import read_rgb
from detection.datasets.types import DetectionDataset, Sample

WINDOW_PX = 48
# Side of a window over the longer side of the box in it, and how far the box may lie off its middle.
SCALE_RANGE, MAX_SHIFT_SHARE = (1.1, 4.0), 0.12
# All that a window may show, at a size at which small and large objects cost the same.
_PATCH_SCALE, _PATCH_PX = SCALE_RANGE[1] * (1 + 2 * MAX_SHIFT_SHARE), 224
_EDGE_PX = 1.0
_NO_SHIFT = (0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patch:
    """An object with its surroundings: (_PATCH_PX, _PATCH_PX, 3) uint8 RGB, and its box (4,) in pixels of that."""

    image: np.ndarray
    box_xyxy: np.ndarray


def cut_patches(data: DetectionDataset, label: int, *, most: int) -> list[Patch]:
    """Cut out up to `most` objects of one category, evenly spread over the set.

    Boxes at the picture's edge are left out: what is cut off there is missing in the box as well.
    """
    places = [
        (sample, box)
        for sample in data.samples
        for box in sample.boxes_xyxy[sample.labels == label]
        if is_whole(sample, box)
    ]
    step = max(1.0, len(places) / most)
    patches = []
    picture, shown = np.empty((0, 0, 3), np.uint8), None
    for sample, box in (places[int(number * step)] for number in range(min(most, len(places)))):
        if sample.path != shown:
            picture, shown = read_rgb(sample.path, labelled_wh=(sample.width, sample.height)), sample.path
        patches.append(_cut_patch(picture, box))
    return patches


def cut_window(
    patch: Patch, scale: float, shift: np.ndarray | Sequence[float] = _NO_SHIFT
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a window `scale` times the longer side of the box, its middle off by `shift` shares of its side (x, y).

    Returns it as (WINDOW_PX, WINDOW_PX, 3) uint8, and the box (4,) in shares of its side.
    """
    low, high = patch.box_xyxy[:2], patch.box_xyxy[2:]
    side = max(4, round(float((high - low).max()) * scale))
    corner = np.rint((low + high) / 2 + np.asarray(shift) * side - side / 2).astype(int).clip(0, _PATCH_PX - side)
    part = patch.image[corner[1] : corner[1] + side, corner[0] : corner[0] + side]
    window = cv2.resize(part, (WINDOW_PX, WINDOW_PX), interpolation=cv2.INTER_AREA)
    return window, ((patch.box_xyxy - np.tile(corner, 2)) / side).astype(np.float32)


def vary(window: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Flip, turn, change light, colour, sharpness and grain; returns a window (..., 3) uint8 and the box in it."""
    x_min, y_min, x_max, y_max = box
    if rng.random() < 0.5:
        window, (x_min, x_max) = window[:, ::-1], (1 - x_max, 1 - x_min)
    if rng.random() < 0.5:
        window, (y_min, y_max) = window[::-1], (1 - y_max, 1 - y_min)
    if rng.random() < 0.5:
        window, (x_min, y_min, x_max, y_max) = window.transpose(1, 0, 2), (y_min, x_min, y_max, x_max)
    values: np.ndarray = window.astype(np.float32) * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    values = (values - 150) * rng.uniform(0.8, 1.2) + 150 * rng.uniform(0.85, 1.15)
    if rng.random() < 0.5:
        values = np.asarray(cv2.GaussianBlur(np.ascontiguousarray(values), (0, 0), rng.uniform(0.3, 1.5)))
    values = values + rng.normal(0, rng.uniform(0, 5), values.shape)
    return values.clip(0, 255).astype(np.uint8), np.array([x_min, y_min, x_max, y_max], np.float32)


def is_whole(sample: Sample, box: np.ndarray) -> bool:
    """Whether no edge of the picture cuts what the box (4,) holds."""
    low, high = box[:2], box[2:]
    return bool((low >= _EDGE_PX).all() and (high <= np.array([sample.width, sample.height]) - _EDGE_PX).all())


def _cut_patch(picture: np.ndarray, box: np.ndarray) -> Patch:
    """Cut the surroundings of a box; beyond the picture its last pixels go on."""
    low, high = box[:2].astype(float), box[2:].astype(float)
    side = max(8, round(float((high - low).max()) * _PATCH_SCALE))
    left, top = np.floor((low + high) / 2 - side / 2).astype(int)
    height, width = picture.shape[:2]
    rows, columns = (np.arange(start, start + side) for start in (top, left))
    part = picture[rows.clip(0, height - 1)][:, columns.clip(0, width - 1)]
    shrinks = side > _PATCH_PX
    image = cv2.resize(part, (_PATCH_PX, _PATCH_PX), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return Patch(image=image, box_xyxy=(box - np.array([left, top, left, top])) * _PATCH_PX / side)
