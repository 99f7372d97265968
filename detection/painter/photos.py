"""Labelled photos as a painter learns from them: at the size of the canvas, with words for what is measured.

Attributes are measured, not guessed: an object is large or small within its class, dark or pale against the
background of its photo, and named by its hue where it is among the more colourful half of its class.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from detection.datasets.read import read_rgb
from detection.datasets.types import DetectionDataset
from generator.foundation.geometry import Box
from generator.painting.crop import resize

SIZES, TONES = ("large", "small"), ("dark", "pale")
# Upper ends of the hues in OpenCV's degrees (0 to 180), with their names; above the last it is red again.
HUES = ((8, "red"), (20, "orange"), (34, "yellow"), (85, "green"), (100, "cyan"), (128, "blue"), (160, "purple"))
# Below this saturation (of 255) a colour has no name that people would agree on.
MIN_SATURATION = 40.0
# Fewer objects of a class have no thirds.
MIN_MEASURED = 9
# A word that is said of fewer objects is theirs, not one for what they share.
MIN_TAUGHT = 3
# Middle part of a box in which tone and colour are measured: its corners hold no object.
CORE_SHARE = 0.6
# Shorter ones say nothing at the size of the canvas.
MIN_SIDE_PX = 4
# Sides of a canvas, in pixels: those of latents.
_CANVAS_STEP = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledObject:
    """One object of a photo; `size`, `tone` and `colour` are words for it, or "" where none fits."""

    category: str
    box: Box
    size: str = ""
    tone: str = ""
    colour: str = ""

    @property
    def attributes(self) -> tuple[str, ...]:
        """The words for it, in the order in which English puts them."""
        return tuple(word for word in (self.size, self.tone, self.colour) if word)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledPhoto:
    """One photo (HWC uint8 RGB) and its objects, in its pixels."""

    name: str
    image: np.ndarray
    objects: tuple[LabelledObject, ...]

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]

    def of(self, category: str) -> list[LabelledObject]:
        """Objects of one class."""
        return [each for each in self.objects if each.category == category]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What counts as small or large, pale or dark (lower and upper third of a class) and as colourful (upper half).

    Of classes with too few objects nothing is said.
    """

    side_px: Mapping[str, tuple[float, float]]
    darkness: Mapping[str, tuple[float, float]]
    saturation: Mapping[str, float]


def canvas_of(data: DetectionDataset, most_px: int) -> tuple[int, int]:
    """Width and height of a canvas like the photos (medians), of `most_px` pixels at most, in steps of 8 px.

    >>> sample = Sample.of(Path("a.png"), (640, 480), [], [])  # doctest: +SKIP
    >>> canvas_of(DetectionDataset(categories=(), samples=(sample,)), 133_120)  # doctest: +SKIP
    (424, 320)
    """
    width = float(np.median([sample.width for sample in data.samples]))
    height = float(np.median([sample.height for sample in data.samples]))
    scale = min(1.0, math.sqrt(most_px / (width * height)))
    sides = (max(64, _CANVAS_STEP * round(scale * side / _CANVAS_STEP)) for side in (width, height))
    return next(sides), next(sides)


def read_photos(data: DetectionDataset, canvas_wh: tuple[int, int]) -> list[LabelledPhoto]:
    """Read photos at the size of a canvas of (width, height) pixels: larger ones are shrunk, none is enlarged.

    Raises DatasetError for a picture that cannot be read.
    """
    photos = []
    for sample in data.samples:
        image = read_rgb(sample.path, labelled_wh=(sample.width, sample.height))
        scale = min(1.0, max(canvas_wh[0] / sample.width, canvas_wh[1] / sample.height))
        size = max(1, round(scale * sample.width)), max(1, round(scale * sample.height))
        factors = np.tile(np.array(size) / (sample.width, sample.height), 2)
        objects = []
        for corners, label in zip(sample.boxes_xyxy * factors, sample.labels, strict=True):
            low, high = np.floor(corners[:2]).astype(int), np.ceil(corners[2:]).astype(int)
            x_max, y_max = np.minimum(high, size).tolist()
            x_min, y_min = np.maximum(low, 0).tolist()
            box = Box.from_xyxy(x_min, y_min, x_max, y_max)
            if min(box.width, box.height) >= MIN_SIDE_PX:
                objects.append(LabelledObject(category=data.categories[int(label) - 1], box=box))
        photos.append(LabelledPhoto(name=sample.path.name, image=resize(image, size), objects=tuple(objects)))
    return photos


def measure_limits(photos: Sequence[LabelledPhoto]) -> Limits:
    """Find the limits of size, tone and colour words for each class with enough objects."""
    measured: defaultdict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for photo in photos:
        light = light_of(photo.image)
        for each in photo.objects:
            core = _core(photo.image, each.box)
            measured[each.category].append((side_of(each.box), _darkness(core, light), _saturation(core)))
    columns = {name: np.array(rows).T for name, rows in measured.items() if len(rows) >= MIN_MEASURED}
    return Limits(
        side_px={name: _thirds(sides) for name, (sides, _, _) in columns.items()},
        darkness={name: _thirds(tones) for name, (_, tones, _) in columns.items()},
        saturation={name: float(np.median(colours)) for name, (_, _, colours) in columns.items()},
    )


def described(photos: Sequence[LabelledPhoto], limits: Limits) -> list[LabelledPhoto]:
    """Name size, tone and colour of every object of a class that was measured."""
    named = []
    for photo in photos:
        light = light_of(photo.image)
        objects = tuple(_described(each, photo.image, light, limits) for each in photo.objects)
        named.append(replace(photo, objects=objects))
    return named


def _described(each: LabelledObject, image: np.ndarray, light: float, limits: Limits) -> LabelledObject:
    if each.category not in limits.side_px:
        return each
    core, side = _core(image, each.box), side_of(each.box)
    (low, high), (pale, dark) = limits.side_px[each.category], limits.darkness[each.category]
    darkness, saturation = _darkness(core, light), _saturation(core)
    is_colourful = saturation > max(MIN_SATURATION, limits.saturation[each.category])
    return replace(
        each,
        size="small" if side <= low else "large" if side >= high else "",
        tone="pale" if darkness <= pale else "dark" if darkness >= dark else "",
        colour=hue_of(core) if is_colourful else "",
    )


def words_taught(photos: Sequence[LabelledPhoto], category: str) -> dict[str, tuple[str, ...]]:
    """Words that can be learned of a class, by what they are about; what is said of two objects cannot.

    >>> cell = LabelledObject(category="cell", box=Box.from_xywh(0, 0, 8, 8), size="small", tone="dark")
    >>> pale = replace(cell, size="", tone="pale")
    >>> image = np.zeros((8, 8, 3), np.uint8)
    >>> words_taught([LabelledPhoto(name="a.png", image=image, objects=(cell, cell, cell, pale))], "cell")
    {'size': ('small',), 'tone': ('dark',)}
    """
    objects = [each for photo in photos for each in photo.of(category)]
    taught = {}
    for attribute in ("size", "tone", "colour"):
        said = Counter(str(getattr(each, attribute)) for each in objects)
        words = tuple(word for word, count in sorted(said.items()) if word and count >= MIN_TAUGHT)
        if words:
            taught[attribute] = words
    return taught


def hue_of(core: np.ndarray) -> str:
    """Name the median hue of some pixels (HWC uint8 RGB).

    >>> hue_of(np.full((2, 2, 3), (120, 40, 200), np.uint8))
    'purple'
    """
    hues = cv2.cvtColor(core, cv2.COLOR_RGB2HSV)[..., 0].astype(float) * (2 * np.pi / 180)
    # Hues lie on a circle: their mean direction.
    hue = np.degrees(np.angle(np.exp(1j * hues).mean())) % 360 / 2
    return next((name for end, name in HUES if hue < end), "red")


def light_of(image: np.ndarray) -> float:
    """Grey value of the empty background of a photo: nine tenths of it are darker."""
    return float(np.quantile(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 0.9))


def side_of(box: Box) -> float:
    """Side of a square of its area, in pixels."""
    return math.sqrt(box.area)


def _core(image: np.ndarray, box: Box) -> np.ndarray:
    inset_x, inset_y = (int(side * (1 - CORE_SHARE) / 2) for side in (box.width, box.height))
    return image[box.y_min + inset_y : box.y_max - inset_y, box.x_min + inset_x : box.x_max - inset_x]


def _darkness(core: np.ndarray, light: float) -> float:
    """Median darkness of the middle of an object, 0 as bright as the background, 1 black."""
    return 1 - float(np.median(cv2.cvtColor(core, cv2.COLOR_RGB2GRAY))) / max(light, 1.0)


def _saturation(core: np.ndarray) -> float:
    """Median saturation of the middle of an object, 0 grey to 255."""
    return float(np.median(cv2.cvtColor(core, cv2.COLOR_RGB2HSV)[..., 1]))


def _thirds(values: np.ndarray) -> tuple[float, float]:
    return float(np.quantile(values, 1 / 3)), float(np.quantile(values, 2 / 3))
