"""Places to look at: rectangles where something was painted, and others of the same sizes where nothing was.

A probe that tells the two apart has found a trace of painting. It must not find anything else, so an untouched place is
drawn for each painted one: in the same picture, of the same size, as far from the picture's border, and with the same
pixels hidden.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from generator.geometry import Box, intersection_area

TRIES = 60
# What must lie outside each edge, to be compared with the inside.
MARGIN_PX = 16
# Pixels around a painted region that nothing untouched may reach into: blending ends before.
CLEARANCE_PX = 2


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


def draw_untouched(
    painted: Sequence[Place], occupied: Sequence[Box], rng: np.random.Generator
) -> list[tuple[Place, Place]]:
    """Pair each painted place of one picture with an untouched one; those for which there is no room are left out.

    `occupied` is everything that was painted in the picture, labelled or not. A painted place nearer than MARGIN_PX to
    the picture's border is left out, and no untouched one lies there: how many of its edges are to be seen would tell
    the two apart.
    """
    taken = [_grown(box, CLEARANCE_PX) for box in occupied]
    pairs = []
    for place in painted:
        height, width = place.picture.shape[:2]
        box = place.box
        x_last, y_last = width - MARGIN_PX - box.width, height - MARGIN_PX - box.height
        if not (MARGIN_PX <= box.x_min <= x_last and MARGIN_PX <= box.y_min <= y_last):
            continue
        for _ in range(TRIES):
            x = int(rng.integers(MARGIN_PX, x_last, endpoint=True))
            y = int(rng.integers(MARGIN_PX, y_last, endpoint=True))
            free = Box.from_xywh(x, y, box.width, box.height)
            if not any(intersection_area(free, other) for other in taken):
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


def _fitted(hidden: np.ndarray | None, box: Box) -> np.ndarray | None:
    if hidden is None:
        return None
    resized = cv2.resize(hidden.astype(np.uint8), (box.width, box.height), interpolation=cv2.INTER_NEAREST)
    return resized.astype(bool)


def _grown(box: Box, by_px: int) -> Box:
    return Box(x_min=box.x_min - by_px, y_min=box.y_min - by_px, x_max=box.x_max + by_px, y_max=box.y_max + by_px)
