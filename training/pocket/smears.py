"""Stained blood smears: what is labelled in them, what is stained, and how a painter and a verifier are shown them.

The photos are those of BCCD (MIT, https://github.com/Shenggan/BCCD_Dataset): red and white blood cells and platelets,
640 x 480 px. Their labels are not complete: about half of them hold stained platelets or debris without a box, which v0
learned to paint into "no white blood cells". So a place counts as empty only where no labelled cell and no stain is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from detection.datasets.categories import choose_categories, rename_categories
from detection.datasets.types import DetectionDataset
from detection.painter.photos import LabelledObject, LabelledPhoto, Limits, described, read_photos
from detection.painter.samples import HIDDEN_SCALE, SampleRecipe, Subject
from detection.painter.verifier import LookRecipe
from detection.painter.wording import MIN_VISIBLE_SHARE
from generator.foundation.geometry import Box, intersection_area, scaled_about_centre
from generator.painting.crop import LATENT_PX
from training.pocket.grammar import (
    OBJECT_KINDS,
    PLACES,
    STAINED,
    amount_of,
    empty_caption,
    object_caption,
    scene_caption,
)

NAMES = {"WBC": "white blood cell", "Platelets": "platelet", "RBC": "red blood cell"}
RED = "red blood cell"
# Pixels of a recipe are those of photos of this size.
PHOTO_WH = (640, 480)
# Blue over red, less that of the empty background, in grey values: 98 % of the labelled platelets of BCCD are above 29,
# 98 % of the red cells below 31.
MAX_STAIN = 28.0
STAIN_BLUR_PX = 3.0
# What CLIP and BLIP look at. Smaller places show one red cell, and are one.
LOOKS = LookRecipe(place_share=0.12, scene_share=0.12, place_sides_px=(130, 260))
LOOK_KINDS = {"white blood cell": 0.28, "platelet": 0.28, RED: 0.2}
# Of each kind as many are measured on at most.
MAX_MEASURED = 40
# A microscope has no up.
AS_SHOWN = SampleRecipe(turns=True, flips=True)


def cells_of(data: DetectionDataset) -> DetectionDataset:
    """Bring the categories of BCCD, or those of the bundle, to OBJECT_KINDS. Raises DatasetError where one is not."""
    return choose_categories(
        rename_categories(data, NAMES), OBJECT_KINDS, where="--data", rename_with="boxpaint import --rename OLD=NEW"
    )


def read_smears(data: DetectionDataset) -> list[LabelledPhoto]:
    """Read photos; larger ones than BCCD's are shrunk to about their size."""
    return read_photos(data, PHOTO_WH)


def described_cells(photos: Sequence[LabelledPhoto], limits: Limits) -> list[LabelledPhoto]:
    """Name size and tone of every cell, and of the more strongly stained half of the stained ones that it is purple."""
    return [replace(photo, objects=tuple(map(_purple, photo.objects))) for photo in described(photos, limits)]


def _purple(cell: LabelledObject) -> LabelledObject:
    return replace(cell, colour="purple" if cell.colour and cell.category in STAINED else "")


def unlabelled_stain(photo: LabelledPhoto) -> np.ndarray:
    """Where a photo is stained blue to purple beside its labelled cells: HW bool."""
    colours = cv2.GaussianBlur(photo.image, (0, 0), STAIN_BLUR_PX).astype(np.float32)
    light = colours.sum(axis=2)
    blue = colours[..., 2] - colours[..., 0]
    stain = blue - np.median(blue[light >= np.quantile(light, 0.8)]) > MAX_STAIN
    for each in photo.objects:
        if each.category in STAINED:
            left, top, right, bottom = scaled_about_centre(each.box.xyxy, HIDDEN_SCALE, photo.size_wh)
            stain[int(top) : math.ceil(bottom), int(left) : math.ceil(right)] = False
    return np.asarray(stain)


@dataclass(frozen=True, kw_only=True)
class SmearWording:
    """Captions of cells and smears in the words of the grammar; `place_share` of the cells are said to be somewhere."""

    place_share: float = 0.0

    def object(self, each: LabelledObject, rng: np.random.Generator) -> str:
        """Caption of one cell, with some of its attributes."""
        caption = object_caption(each.category, each.size, each.tone, each.colour == "purple", rng)
        return f"{caption} {rng.choice(PLACES)}" if rng.random() < self.place_share else caption

    def place(self, rng: np.random.Generator) -> str:
        """Caption of a place without anything to label."""
        return empty_caption(rng)

    def view(self, photo: LabelledPhoto, box: Box, rng: np.random.Generator) -> str | None:
        """Caption of what is in view; None: no red cell, or a stained cell that is hardly in view."""
        num_red, others = cells_in_view(photo, box)
        visible = [intersection_area(each.box, box) / each.box.area for each in photo.objects if each.category != RED]
        if num_red == 0 or any(0 < share < MIN_VISIBLE_SHARE for share in visible):
            return None
        return scene_caption(num_red, others, rng)

    def content(self, photo: LabelledPhoto, box: Box) -> str:
        """How many red cells, and which others: what every caption of such a scene says."""
        num_red, others = cells_in_view(photo, box)
        return ", ".join(["a scene", amount_of(num_red), *others])


def cells_in_view(photo: LabelledPhoto, box: Box) -> tuple[int, tuple[str, ...]]:
    """Count the red cells whose centre lies in a part of a photo, and list the other kinds of which a part shows."""
    red = sum(
        box.x_min <= (cell.box.x_min + cell.box.x_max) / 2 < box.x_max
        and box.y_min <= (cell.box.y_min + cell.box.y_max) / 2 < box.y_max
        for cell in photo.of(RED)
    )
    shown = {cell.category for cell in photo.objects if intersection_area(cell.box, box)}
    return red, tuple(kind for kind in STAINED if kind in shown)


def subject_of(
    photos: Sequence[LabelledPhoto],
    side_px: int,
    *,
    kinds: Mapping[str, float] = LOOK_KINDS,
    recipe: SampleRecipe = AS_SHOWN,
    place_share: float = 0.25,
) -> Subject:
    """Smears as they are shown: red cells are ground, and a stain without a label is something to label."""
    stains = {photo.name: unlabelled_stain(photo) for photo in photos}

    def has_stain(photo: LabelledPhoto, box: Box) -> bool:
        return bool(stains[photo.name][box.slices].any())

    return Subject(
        photos=photos,
        kinds=kinds,
        wording=SmearWording(place_share=place_share),
        side_px=side_px,
        size_multiple=LATENT_PX,
        recipe=recipe,
        ground=frozenset({RED}),
        has_unlabelled=has_stain,
    )
