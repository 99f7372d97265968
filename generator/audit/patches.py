"""Square patches across the edge of a place, turned so that the outside is on top: what a seam would be seen in.

At the picture's own resolution, since grain and sharpness do not survive a change of size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generator.audit.places import MARGIN_PX, Place

PATCH_PX = 2 * MARGIN_PX
# Along an edge: patches overlap by half; corners are left out, where a rounded region has no edge.
STEP_PX = 16
CORNER_SHARE = 0.15
MAX_PER_SIDE = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patches:
    """Patches of many places.

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
