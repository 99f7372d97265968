"""Places to look at: rectangles where something was painted, and others of the same sizes where nothing was.

A probe that tells the two apart has found a trace of painting. It must not find anything else, so an untouched place is
drawn for each painted one: in the same picture, of the same size, as far from the picture's border, with the same
pixels hidden, and where places of its class lie in other pictures: animals stand on the ground, and a probe that was
shown the sky beside them would find the ground.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from generator.foundation.geometry import Box, intersection_area

TRIES = 60
# What must lie outside each edge, to be compared with the inside.
MARGIN_PX = 16
# Pixels around a painted region that nothing untouched may reach into: blending ends before.
CLEARANCE_PX = 2
PATCH_PX = 2 * MARGIN_PX
# Along an edge: patches overlap by half; corners are left out, where a rounded region has no edge.
STEP_PX = 16
CORNER_SHARE = 0.15
MAX_PER_SIDE = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """A rectangle of a picture (HWC uint8): `box` is the edge of what was painted, or would have been.

    `hidden` (HW bool of the box's size, or None) are pixels that the probe may not see: the object itself. `group` is
    the picture's number, `category` whose sizes the box has.
    """

    picture: np.ndarray
    box: Box
    group: int
    is_painted: bool
    hidden: np.ndarray | None = None
    category: str = ""

    def __post_init__(self) -> None:
        if self.hidden is not None and self.hidden.shape != (self.box.height, self.box.width):
            raise ValueError(f"hidden pixels {self.hidden.shape} are not of the box's size {self.box.xyxy}")


def centres_of(painted: Iterable[Place]) -> dict[str, np.ndarray]:
    """Where the painted places of all pictures lie, by category: (N, 2), centres as shares of width and height."""
    found: dict[str, list[tuple[float, float]]] = {}
    for place in painted:
        if _is_clear_of_the_border(place.box, place.picture):
            height, width = place.picture.shape[:2]
            centre = (place.box.x_min + place.box.x_max) / 2 / width, (place.box.y_min + place.box.y_max) / 2 / height
            found.setdefault(place.category, []).append(centre)
    return {category: np.array(centres) for category, centres in found.items()}


def draw_untouched(
    painted: Sequence[Place], occupied: Sequence[Box], centres: Mapping[str, np.ndarray], rng: np.random.Generator
) -> list[tuple[Place, Place]]:
    """Pair each painted place of one picture with an untouched one; those for which there is no room are left out.

    `occupied` is everything that was painted in the picture, labelled or not; `centres` are those of all pictures
    (centres_of). A painted place nearer than MARGIN_PX to the picture's border is left out, and no untouched one lies
    there: how many of its edges are to be seen would tell the two apart.
    """
    taken = [_grown(box, CLEARANCE_PX) for box in occupied]
    pairs = []
    for place in painted:
        if not _is_clear_of_the_border(place.box, place.picture):
            continue
        height, width = place.picture.shape[:2]
        known = centres[place.category]
        for x_centre, y_centre in known[rng.integers(len(known), size=TRIES)].tolist():
            x, y = round(x_centre * width - place.box.width / 2), round(y_centre * height - place.box.height / 2)
            free = Box.from_xywh(x, y, place.box.width, place.box.height)
            if _is_clear_of_the_border(free, place.picture) and not any(
                intersection_area(free, other) for other in taken
            ):
                taken.append(free)
                pairs.append((place, replace(place, box=free, is_painted=False)))
                break
    return pairs


def pair_with_decoys(
    objects: Sequence[tuple[Place, Place]], decoys: Sequence[Place], rng: np.random.Generator
) -> list[tuple[Place, Place]]:
    """What a detector is up against: objects, and as many places without one, of which every other is a decoy.

    `objects` are pairs with their untouched places. Each decoy goes with the object of its category that is nearest in
    size and hides the same pixels; another object goes with its own untouched place.
    """
    waiting = [objects[place] for place in rng.permutation(len(objects))]
    pairs = []
    for decoy in decoys:
        own = [pair for pair in waiting if pair[0].category == decoy.category]
        if len(own) < 2:
            continue
        nearest = min(own, key=lambda pair: abs(math.log(pair[0].box.area / decoy.box.area)))
        waiting.remove(nearest)
        other = next(pair for pair in own if pair is not nearest)
        waiting.remove(other)
        pairs += [(nearest[0], replace(decoy, is_painted=False, hidden=_fitted(nearest[0].hidden, decoy.box))), other]
    return pairs


def _is_clear_of_the_border(box: Box, picture: np.ndarray) -> bool:
    height, width = picture.shape[:2]
    return min(box.x_min, box.y_min) >= MARGIN_PX and box.x_max <= width - MARGIN_PX and box.y_max <= height - MARGIN_PX


def _fitted(hidden: np.ndarray | None, box: Box) -> np.ndarray | None:
    if hidden is None:
        return None
    resized = cv2.resize(hidden.astype(np.uint8), (box.width, box.height), interpolation=cv2.INTER_NEAREST)
    return resized.astype(bool)


def _grown(box: Box, by_px: int) -> Box:
    return Box(x_min=box.x_min - by_px, y_min=box.y_min - by_px, x_max=box.x_max + by_px, y_max=box.y_max + by_px)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patches:
    """Square patches across the edges of many places, turned so that the outside is on top.

    At the picture's own resolution, since grain and sharpness do not survive a change of size.

    `pixels`: (N, PATCH_PX, PATCH_PX, 3) uint8, first row outermost; `known`: (N, PATCH_PX, PATCH_PX) bool, False where
    the object was, whose pixels are set to the mean of the others; `place`: (N,) number of the place of each.
    """

    pixels: np.ndarray
    known: np.ndarray
    place: np.ndarray


def cut_patches(places: list[Place]) -> Patches:
    """Cut the patches of all places; one whose every side lies too close to the picture's border has none."""
    pixels, known, owners = [], [], []
    for number, place in enumerate(places):
        for patch, seen in _of_place(place):
            pixels.append(patch)
            known.append(seen)
            owners.append(number)
    shape = (len(pixels), PATCH_PX, PATCH_PX)
    return Patches(
        pixels=np.array(pixels, np.uint8).reshape(*shape, 3),
        known=np.array(known, bool).reshape(shape),
        place=np.array(owners, np.int64),
    )


def _of_place(place: Place) -> list[tuple[np.ndarray, np.ndarray]]:
    visible = np.ones(place.picture.shape[:2], bool)
    if place.hidden is not None:
        visible[place.box.slices] = ~place.hidden
    found = []
    for turns in range(4):
        # np.rot90 turns left: after `turns` of them this side of the box is on top.
        picture, seen = np.rot90(place.picture, turns), np.rot90(visible, turns)
        left, top, right, _ = _turned(place, turns)
        found += _along_top(picture, seen, left, top, right)
    return found


def _along_top(
    picture: np.ndarray, seen: np.ndarray, left: int, top: int, right: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    half = PATCH_PX // 2
    height, width = picture.shape[:2]
    if top < half or top + half > height:
        return []
    corner = CORNER_SHARE * (right - left)
    count = int(np.clip((right - left - 2 * corner) // STEP_PX, 1, MAX_PER_SIDE))
    centres = np.linspace(left + corner, right - corner, 2 * count + 1)[1::2]
    starts = np.unique(np.clip(np.round(centres - half).astype(int), 0, width - PATCH_PX))
    cut = []
    for start in starts:
        area = np.s_[top - half : top + half, start : start + PATCH_PX]
        patch, known = picture[area].copy(), seen[area]
        if known.mean() < 0.25:  # nothing is left to look at
            continue
        patch[~known] = patch[known].mean(axis=0).astype(np.uint8)
        cut.append((patch, known))
    return cut


def _turned(place: Place, turns: int) -> tuple[int, int, int, int]:
    """Edges of the box in the picture turned left so many times."""
    height, width = place.picture.shape[:2]
    left, top, right, bottom = place.box.xyxy
    for _ in range(turns):
        left, top, right, bottom = top, width - right, bottom, width - left
        height, width = width, height
    return left, top, right, bottom
