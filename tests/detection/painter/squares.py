"""Photos of squares on an even ground, labelled, in memory; and a CLIP that knows colours only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detection.painter.photos import LabelledObject, LabelledPhoto
from detection.painter.samples import SampleRecipe, Subject
from detection.painter.wording import PlainWording
from generator.foundation.geometry import Box

GROUND = 200
SIDE_PX = 64
# Crops as the generator cuts them, in the light of the photo.
PLAIN = SampleRecipe(box_shares=(0.4, 0.4), paddings=(0.12, 0.12), gains=(1.0, 1.0), offsets=(0.0, 0.0))


def square(category: str, x: int, y: int, side: int) -> LabelledObject:
    return LabelledObject(category=category, box=Box.from_xywh(x, y, side, side))


def photo(
    *objects: LabelledObject, size_wh: tuple[int, int] = (128, 96), colours: Sequence[tuple[int, int, int]] = ()
) -> LabelledPhoto:
    """A photo whose ground grows brighter to the right, with a square of each colour (grey 90) in its box."""
    width, height = size_wh
    image = np.empty((height, width, 3), np.uint8)
    image[:] = (GROUND + np.arange(width) * 40 // width)[None, :, None]
    for number, each in enumerate(objects):
        image[each.box.slices] = colours[number] if colours else 90
    return LabelledPhoto(name="a.png", image=image, objects=objects)


def subject(*photos: LabelledPhoto, kinds: Sequence[str] = ("cell",), recipe: SampleRecipe = PLAIN) -> Subject:
    return Subject(
        photos=photos,
        kinds=dict.fromkeys(kinds, 1.0),
        wording=PlainWording(scene="a quiet place"),
        side_px=SIDE_PX,
        size_multiple=8,
        recipe=recipe,
    )


class ColourClip:
    """Embeds a picture by its mean colour."""

    def embed_pictures(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        rows = np.array([picture.mean(axis=(0, 1)) for picture in pictures]) - GROUND
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
