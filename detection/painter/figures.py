"""What a trained painter paints, beside what it painted before and beside real objects; and whether it only copies.

Objects are painted into empty places. *Agreement* is the share that the verifier takes for what they should be. A
*near-copy* is one that hardly differs from an object of the photos it learned from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from detection.painter.samples import Sample, Subject, framed
from generator.config import Config
from generator.foundation.geometry import Box, box_of_mask, square_around
from generator.foundation.seeds import derive_rng, derive_seed
from generator.labels.verifier import MARGIN
from generator.models.vision_language import Clip
from generator.painting.crop import resize
from generator.painting.painter import InpaintJob
from generator.painting.stable_diffusion import StableDiffusionPainter

# Correlation of grey values from which on two objects are one and the same to the eye.
NEAR_COPY = 0.95
# Side at which objects are compared: finer detail is grain.
COMPARED_PX = 32
_TRIES = 200
_GAP, _CELL_PX = 4, 128


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PaintedSample:
    """An object that was painted into a place: the place, what it became before and after training (all HWC uint8 RGB
    of one size), and the part that was repainted."""

    category: str
    place: np.ndarray
    before: np.ndarray | None
    after: np.ndarray
    region: Box


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Nearest:
    """Real objects nearest to a sample, by pixels and by CLIP (HWC uint8 RGB each), and how near these are."""

    by_pixels: np.ndarray
    correlation: float
    by_clip: np.ndarray
    cosine: float


def places_for(subject: Subject, count: int, seed: int) -> list[tuple[str, Sample]]:
    """Empty places of the photos, each to paint an object of a class into; fewer where the photos are crowded."""
    places = []
    for number, kind in enumerate(subject.kinds):
        for index in range(count):
            rng = derive_rng(seed, number, index)
            found = (subject.draw_place(rng, kind) for _ in range(_TRIES))
            if (sample := next(filter(None, found), None)) is not None:
                places.append((kind, sample))
    return places


def paint_into(places: Sequence[tuple[str, Sample]], config: Config, seed: int) -> list[np.ndarray]:
    """Paint what the captions of places say into them: pictures (HWC uint8) of the places' size, stitched."""
    painter = StableDiffusionPainter(config)
    side = painter.native_px
    jobs = [
        InpaintJob(
            prompt=sample.caption,
            negative_prompt=config.painting.object_negative_prompt,
            seed=derive_seed(seed, number),
            size_wh=(side, side),
            image=resize(sample.pixels, (side, side)),
            mask=cv2.resize(sample.mask.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST).astype(bool),
        )
        for number, (_, sample) in enumerate(places)
    ]
    painted = []
    for (_, sample), picture in zip(places, painter.inpaint(jobs), strict=True):
        pixels = resize(picture.pixels, (sample.pixels.shape[1], sample.pixels.shape[0]))
        soft = cv2.GaussianBlur(sample.mask.astype(np.float32), (0, 0), 2)[..., None] * sample.mask[..., None]
        painted.append(np.rint(soft * pixels + (1 - soft) * sample.pixels).astype(np.uint8))
    return painted


def agreement(samples: Sequence[PaintedSample], clip: Clip, texts: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Share of the samples of each class that CLIP takes for that class; `texts` are (class, "" for none; prompt)."""
    rows = clip.embed_texts([text for _, text in texts])
    owners = [owner for owner, _ in texts]
    looks = [_around(each.after, each.region) for each in samples]
    chosen = (clip.embed_pictures(looks) @ rows.T).argmax(axis=1)
    right: dict[str, list[bool]] = {}
    for each, index in zip(samples, chosen, strict=True):
        right.setdefault(each.category, []).append(owners[int(index)] == each.category)
    return {name: float(np.mean(values)) for name, values in right.items()}


def find_nearest(samples: Sequence[PaintedSample], subject: Subject, clip: Clip) -> tuple[list[Nearest], float]:
    """The real objects nearest to each sample, and the share of real objects that are near-copies of other real ones.

    Where the painter learned turned and mirrored photos, real objects count in all eight positions.
    """
    real = {kind: framed(subject, kind) for kind in subject.kinds}
    turned = {kind: [view for crop in crops for view in _views(crop, subject)] for kind, crops in real.items()}
    small = {kind: np.stack([_compared(view) for view in views]) for kind, views in turned.items() if views}
    embedded = {kind: clip.embed_pictures(crops) for kind, crops in real.items() if crops}
    found = []
    for each in samples:
        look = each.after[each.region.slices]
        correlations = small[each.category] @ _compared(look)
        cosines = embedded[each.category] @ clip.embed_pictures([look])[0]
        best, likest = int(correlations.argmax()), int(cosines.argmax())
        found.append(
            Nearest(
                by_pixels=turned[each.category][best],
                correlation=float(correlations[best]),
                by_clip=real[each.category][likest],
                cosine=float(cosines[likest]),
            )
        )
    doubles, total = 0, 0
    for kind, crops in real.items():
        per_object = len(turned[kind]) // max(1, len(crops))
        for number, crop in enumerate(crops):
            correlations = small[kind] @ _compared(crop)
            correlations[number * per_object : (number + 1) * per_object] = -1
            doubles, total = doubles + bool(correlations.max(initial=-1) >= NEAR_COPY), total + 1
    return found, doubles / max(1, total)


def draw_samples(samples: Sequence[PaintedSample], subject: Subject, columns: int) -> Image.Image:
    """A sheet: for each class rows of empty places, of what was painted there before and after, and of real objects."""
    rows = []
    for kind in subject.kinds:
        of_kind = [each for each in samples if each.category == kind][:columns]
        real = framed(subject, kind, whole_crop=True)[:columns]
        befores = [each.before for each in of_kind if each.before is not None]
        rows += [[each.place for each in of_kind], befores, [each.after for each in of_kind], real]
    return _grid([row for row in rows if row], columns)


def draw_nearest(samples: Sequence[PaintedSample], nearest: Sequence[Nearest], columns: int) -> Image.Image:
    """A sheet of the samples most like a real object: the sample, the real one nearest by pixels, and by CLIP."""
    order = sorted(range(len(samples)), key=lambda number: -nearest[number].correlation)[:columns]
    looks = [samples[number].after[samples[number].region.slices] for number in order]
    return _grid(
        [looks, [nearest[number].by_pixels for number in order], [nearest[number].by_clip for number in order]], columns
    )


def _grid(rows: Sequence[Sequence[np.ndarray]], columns: int) -> Image.Image:
    cell = _CELL_PX + _GAP
    sheet = np.full((cell * len(rows) + _GAP, cell * columns + _GAP, 3), 255, np.uint8)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            top, left = _GAP + y * cell, _GAP + x * cell
            sheet[top : top + _CELL_PX, left : left + _CELL_PX] = resize(picture, (_CELL_PX, _CELL_PX))
    return Image.fromarray(sheet)


def _around(picture: np.ndarray, box: Box) -> np.ndarray:
    height, width = picture.shape[:2]
    return picture[square_around(box, margin=MARGIN, size_wh=(width, height)).slices]


def _views(crop: np.ndarray, subject: Subject) -> list[np.ndarray]:
    turns = range(4) if subject.recipe.turns else range(1)
    views = [np.ascontiguousarray(np.rot90(crop, turn)) for turn in turns]
    return [*views, *(np.ascontiguousarray(view[:, ::-1]) for view in views)] if subject.recipe.flips else views


def _compared(picture: np.ndarray) -> np.ndarray:
    """Grey values at a small size, as a unit vector without a mean."""
    grey = cv2.cvtColor(resize(picture, (COMPARED_PX, COMPARED_PX)), cv2.COLOR_RGB2GRAY).astype(np.float32).ravel()
    grey -= grey.mean()
    return np.asarray(grey / max(float(np.linalg.norm(grey)), 1e-6), np.float32)


def region_of(sample: Sample) -> Box:
    """The box around what is repainted of a sample."""
    box = box_of_mask(sample.mask)
    assert box is not None, "a sample has a mask"
    return box
