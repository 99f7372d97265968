"""Labelled pictures -> crops of their objects, with enough around them to vary the margin in training."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from detection.datasets.boxes import are_painted
from detection.datasets.read import read_rgb
from detection.datasets.types import DetectionDataset, Sample
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.geometry import Box, intersection_area, square_around
from generator.foundation.seeds import derive_rng
from generator.painting.crop import resize

BACKGROUND = "background"
# What a patch keeps around a box beyond the margin: room for crops that are larger, or beside the object.
ROOM = 0.35
# Patches are kept at no more than this many times the side of a crop: twice as fine is no finer to see.
MAX_DETAIL = 2
_TRIES = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crop:
    """One object and what is around it.

    `patch`: (H, W, 3) uint8 RGB, read-only; `box`: the object in pixels of the patch; `label`: position in the classes,
    from 0; `picture`: where it was cut; `box_xyxy`: the object in pixels of that picture.
    """

    patch: np.ndarray
    box: Box
    label: int
    picture: str
    box_xyxy: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crops:
    """Crops of the same classes; the background, where it is one of them, is the last."""

    classes: tuple[str, ...]
    items: tuple[Crop, ...]

    def __len__(self) -> int:
        return len(self.items)

    @property
    def labels(self) -> np.ndarray:
        """Classes of the crops, (N,) int64."""
        return np.array([item.label for item in self.items], np.int64)

    def counts(self) -> dict[str, int]:
        """Crops of each class."""
        found = Counter(item.label for item in self.items)
        return {name: found[label] for label, name in enumerate(self.classes)}

    def choose(self, positions: Iterable[int]) -> Crops:
        """Keep the crops at these positions, in their order."""
        return replace(self, items=tuple(self.items[position] for position in positions))

    def relabelled(self, classes: tuple[str, ...]) -> Crops:
        """Number the labels by `classes`, which hold all of these classes."""
        labels = [classes.index(name) for name in self.classes]
        return Crops(classes=classes, items=tuple(replace(item, label=labels[item.label]) for item in self.items))

    def digest(self) -> str:
        """What identifies the pixels and labels, wherever the pictures lie."""
        sum_of = hashlib.sha256(repr(self.classes).encode())
        for item in self.items:
            sum_of.update(repr((item.patch.shape, item.box.xyxy, item.label, item.box_xyxy)).encode())
            sum_of.update(item.patch.tobytes())
        return f"sha256:{sum_of.hexdigest()}"


def cut_crops(
    data: DetectionDataset,
    *,
    margin: float,
    side_px: int,
    boxes: Literal["tight", "requested"] = "tight",
    background_seed: int | None = None,
    painted_only: bool = False,
) -> Crops:
    """Cut every object out of its picture, for crops of `side_px` that show `margin` around it.

    `boxes` chooses between `boxes_xyxy` and `requested_xyxy`, where a sample has one. With `background_seed` there is a
    class more, `background`: from each picture as many random boxes as it has objects of a class on average, at least
    one, whose crops show no object; they are as large as objects of a class drawn evenly. Pictures that do not label
    every class have none: what shows no labelled object there may show another. `painted_only` leaves out the labelled
    objects of photos that were painted into: real ones, which no background crop shows either. Raises DatasetError when
    a picture cannot be read, is not as large as its labels say, or a category is called background, too.
    """
    if BACKGROUND in data.categories and background_seed is not None:
        expected = "a category has this name already; --no-background takes it as any other"
        raise DatasetError([Fault(file=str(data.samples[0].path), found=BACKGROUND, expected=expected)])
    classes = data.categories if background_seed is None else (*data.categories, BACKGROUND)
    items: list[Crop] = []
    sizes = _sizes_wh(data)
    wanted = are_painted(data) if painted_only else [np.ones(len(sample.labels), bool) for sample in data.samples]
    for index, (sample, chosen) in enumerate(zip(data.samples, wanted, strict=True)):
        image = read_rgb(sample.path, labelled_wh=(sample.width, sample.height))
        cut = sample.choose(chosen)
        objects = [*zip(_boxes_of(cut, boxes), (int(label) - 1 for label in cut.labels), strict=True)]
        if background_seed is not None and sizes and not sample.not_exhaustive:
            rng = derive_rng(background_seed, index)
            count = max(1, math.ceil(len(objects) / len(data.categories)))
            empty = _empty_boxes(sample, sizes, margin, count, rng)
            objects += [(box, len(data.categories)) for box in empty]
        items += [_cut(image, sample, box, label, margin, side_px) for box, label in objects]
    return Crops(classes=classes, items=tuple(items))


def fixed_view(crop: Crop, *, margin: float, side_px: int) -> np.ndarray:
    """The crop that is scored: (side_px, side_px, 3) uint8 RGB, the object in the middle where the picture allows."""
    height, width = crop.patch.shape[:2]
    window = square_around(crop.box, margin=margin, size_wh=(width, height))
    return resize(crop.patch[window.slices], (side_px, side_px))


def _cut(image: np.ndarray, sample: Sample, box: Box, label: int, margin: float, side_px: int) -> Crop:
    window = square_around(box, margin=margin + ROOM, size_wh=(sample.width, sample.height))
    limit = math.ceil(MAX_DETAIL * side_px * (1 + 2 * (margin + ROOM)) / (1 + 2 * margin))
    scale = min(1.0, limit / window.width)
    side = max(1, round(window.width * scale))
    patch = np.array(resize(image[window.slices], (side, side)))  # a copy: a view would keep the whole picture
    patch.setflags(write=False)
    inside = box.shifted(-window.x_min, -window.y_min)
    return Crop(
        patch=patch,
        box=_whole_box([value * side / window.width for value in inside.xyxy], (side, side)),
        label=label,
        picture=sample.path.as_posix(),
        box_xyxy=(float(box.x_min), float(box.y_min), float(box.x_max), float(box.y_max)),
    )


def _boxes_of(sample: Sample, boxes: Literal["tight", "requested"]) -> Iterator[Box]:
    size_wh = sample.width, sample.height
    for tight, requested in zip(sample.boxes_xyxy.tolist(), sample.requested_xyxy.tolist(), strict=True):
        use = requested if boxes == "requested" and not any(map(math.isnan, requested)) else tight
        yield _whole_box(use, size_wh)


def _whole_box(box_xyxy: Sequence[float], size_wh: tuple[int, int]) -> Box:
    """Round a box to whole pixels inside a picture, at least one of them."""
    (x_min, x_max), (y_min, y_max) = (
        _whole_side(box_xyxy[axis], box_xyxy[axis + 2], limit) for axis, limit in enumerate(size_wh)
    )
    return Box.from_xyxy(x_min, y_min, x_max, y_max)


def _whole_side(low: float, high: float, limit: int) -> tuple[int, int]:
    start = min(max(0, round(low)), limit - 1)
    return start, min(max(start + 1, round(high)), limit)


def _sizes_wh(data: DetectionDataset) -> list[np.ndarray]:
    """Widths and heights (N, 2) of the objects of each category that has some."""
    found = []
    for number in range(1, len(data.categories) + 1):
        boxes = np.concatenate([sample.boxes_xyxy[sample.labels == number] for sample in data.samples])
        if len(boxes):
            found.append(boxes[:, 2:] - boxes[:, :2])
    return found


def _empty_boxes(
    sample: Sample, sizes: Sequence[np.ndarray], margin: float, count: int, rng: np.random.Generator
) -> Iterator[Box]:
    """Random boxes whose crops show no object; fewer than `count` where there is no room."""
    size_wh = sample.width, sample.height
    taken = [_whole_box(box, size_wh) for box in sample.boxes_xyxy.tolist()]
    for _ in range(count):
        for _ in range(_TRIES):
            of_class = sizes[int(rng.integers(len(sizes)))]
            wish_wh = rng.choice(of_class).tolist()
            box_wh = [min(max(1, round(side)), limit) for side, limit in zip(wish_wh, size_wh, strict=True)]
            x, y = (
                int(rng.integers(0, limit - side, endpoint=True)) for side, limit in zip(box_wh, size_wh, strict=True)
            )
            box = Box.from_xywh(x, y, *box_wh)
            view = square_around(box, margin=margin, size_wh=size_wh)
            if not any(intersection_area(view, other) for other in taken):
                yield box
                break
