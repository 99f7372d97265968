"""How a CLIP learns to look: crops of objects, empty places and scenes against what can be said of them.

Radford et al. 2021, arXiv 2103.00020, with one change: in a batch of few classes many texts are true of one crop, so
its target is spread over all texts that are (Khosla et al. 2020, arXiv 2004.11362), not only over its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch

from detection.painter.learning import Learner
from detection.painter.photos import LabelledObject, LabelledPhoto
from detection.painter.samples import Subject
from generator.foundation.device import autocast
from generator.foundation.geometry import Box, square_around
from generator.labels.verifier import MARGIN
from generator.painting.crop import resize

# Margins around objects that are trained on, close to the verifier's own: how large one is shows in its neighbours.
MARGINS, SHIFT = (0.12, 0.45), 0.8
PLACE = "a place"
# In crowded photos few places are empty: one sort is tried so often before another, or its share would be less.
TRIES = 20


@dataclass(frozen=True, kw_only=True)
class LookRecipe:
    """Shares of empty places and of scenes among what is looked at; the rest are objects, in the shares of the subject.

    `place_sides_px`: sides of places in pixels of the photos; None: as large as an object with its surroundings.
    """

    place_share: float = 0.3
    scene_share: float = 0.1
    place_sides_px: tuple[int, int] | None = None


LOOKS = LookRecipe()


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """A text of something seen: `kind` is a class, or what else it is; `attributes` are the words that it says."""

    text: str
    kind: str
    attributes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """A square crop (HWC uint8 RGB), all that is true of it, and one text that says some of that."""

    pixels: np.ndarray
    kind: str
    attributes: frozenset[str]
    saying: Saying

    def fits(self, saying: Saying) -> bool:
        """Whether nothing in a text is wrong for the crop."""
        return saying.kind == self.kind and saying.attributes <= self.attributes


def clip_learner(
    model: Any,
    processor: Any,
    tokenizer: Any,
    draw: Callable[[np.random.Generator], Sequence[Look]],
    device: torch.device,
    *,
    learning_rate: float,
    weight_decay: float = 0.05,
    ema_decay: float = 0.999,
) -> Learner:
    """Learner of a CLIP from batches of looks."""

    def loss(rng: np.random.Generator, _progress: float) -> torch.Tensor:
        looks = draw(rng)
        tokens = tokenizer([look.saying.text for look in looks], padding=True, truncation=True, return_tensors="pt")
        pixels = processor([look.pixels for look in looks], return_tensors="pt")["pixel_values"]
        true = torch.tensor([[look.fits(other.saying) for other in looks] for look in looks], device=device)
        with autocast(device):
            logits = model(
                pixel_values=pixels.to(device),
                input_ids=tokens.input_ids.to(device),
                attention_mask=tokens.attention_mask.to(device),
            ).logits_per_image.float()
        return (_spread_loss(logits, true) + _spread_loss(logits.T, true.T)) / 2

    return Learner(
        modules={"clip": model},
        loss=loss,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        ema_decay=ema_decay,
    )


def draw_look(subject: Subject, side_px: int, rng: np.random.Generator, recipe: LookRecipe = LOOKS) -> Look:
    """Draw a crop of an object, of an empty place or of a scene, varied in where it is cut and how it looks.

    Raises ValueError where the photos show nothing.
    """
    draws = {
        "place": partial(_place, subject, side_px, recipe),
        "scene": partial(_scene, subject, side_px),
        "object": partial(_object, subject, subject.draw_kind(rng), side_px),
    }
    sort = rng.random()
    is_scene = sort < recipe.place_share + recipe.scene_share
    first = "place" if sort < recipe.place_share else "scene" if is_scene else "object"
    # Photos without an empty place, as of one large object, still show that.
    for name in dict.fromkeys((first, "object", "place", "scene")):
        for _ in range(TRIES):
            if (look := draws[name](rng)) is not None:
                turns, flips = subject.recipe.turns, subject.recipe.flips
                return replace(look, pixels=varied(look.pixels, rng, turns=turns, flips=flips))
    raise ValueError("the photos show nothing that can be learned from")


def held_out_looks(
    subject: Subject, side_px: int, rng: np.random.Generator, recipe: LookRecipe = LOOKS, *, most: int = 200
) -> list[Look]:
    """Crops of each class, `most` at most, and as many empty places as there are of the rarest.

    As the verifier will see them, not varied.
    """
    looks = []
    for kind in subject.kinds:
        found = _all_of(subject, kind)
        chosen = sorted(rng.choice(len(found), most, replace=False)) if len(found) > most else range(len(found))
        looks += [_of(*found[number], subject, side_px, MARGIN, (0.0, 0.0), rng) for number in chosen]
    fewest = min((sum(look.kind == kind for look in looks) for kind in subject.kinds), default=0)
    places = (_place(subject, side_px, recipe, rng) for _ in range(4 * max(fewest, 8)))
    return [*looks, *[look for look in places if look is not None][: max(fewest, 8)]]


def _object(subject: Subject, kind: str, side_px: int, rng: np.random.Generator) -> Look | None:
    found = _all_of(subject, kind)
    if not found:
        return None
    photo, each = found[int(rng.integers(len(found)))]
    shift = (float(rng.uniform(-SHIFT, SHIFT)), float(rng.uniform(-SHIFT, SHIFT)))
    return _of(photo, each, subject, side_px, float(rng.uniform(*MARGINS)), shift, rng)


def _of(
    photo: LabelledPhoto,
    each: LabelledObject,
    subject: Subject,
    side_px: int,
    margin: float,
    shift: tuple[float, float],
    rng: np.random.Generator,
) -> Look:
    box = square_around(each.box, margin=margin, size_wh=photo.size_wh, shift=shift)
    text = subject.wording.object(each, rng)
    words = {word.strip(",") for word in text.split()}
    said = frozenset(word for word in each.attributes if word in words)
    saying = Saying(text=text, kind=each.category, attributes=said)
    pixels = resize(photo.image[box.slices], (side_px, side_px))
    return Look(pixels=pixels, kind=each.category, attributes=frozenset(each.attributes), saying=saying)


def _place(subject: Subject, side_px: int, recipe: LookRecipe, rng: np.random.Generator) -> Look | None:
    """A place with nothing to label."""
    like = [each.box for photo in subject.photos for each in photo.objects if each.category in subject.kinds]
    if not like:
        return None
    photo = subject.photos[int(rng.integers(len(subject.photos)))]
    box = like[int(rng.integers(len(like)))]
    wanted = round((1 + 2 * MARGIN) * max(box.width, box.height))
    if recipe.place_sides_px is not None:
        wanted = int(rng.integers(*recipe.place_sides_px))
    side = min(wanted, *photo.size_wh)
    x, y = (int(rng.integers(0, room - side, endpoint=True)) for room in photo.size_wh)
    window = Box.from_xywh(x, y, side, side)
    if not subject.is_clear(photo, window):
        return None
    saying = Saying(text=subject.wording.place(rng), kind=PLACE)
    pixels = resize(photo.image[window.slices], (side_px, side_px))
    return Look(pixels=pixels, kind=PLACE, attributes=frozenset(), saying=saying)


def _scene(subject: Subject, side_px: int, rng: np.random.Generator) -> Look | None:
    """Half of a photo or more; what is true of it is its own caption alone."""
    photo = subject.photos[int(rng.integers(len(subject.photos)))]
    shorter = min(photo.size_wh)
    side = int(rng.integers(shorter // 2, shorter, endpoint=True))
    x, y = (int(rng.integers(0, room - side, endpoint=True)) for room in photo.size_wh)
    window = Box.from_xywh(x, y, side, side)
    text = subject.wording.view(photo, window, rng)
    if text is None or subject.has_unlabelled(photo, window):
        return None
    kind = subject.wording.content(photo, window) or (PLACE if subject.is_clear(photo, window) else text)
    pixels = resize(photo.image[window.slices], (side_px, side_px))
    return Look(pixels=pixels, kind=kind, attributes=frozenset(), saying=Saying(text=text, kind=kind))


def _all_of(subject: Subject, kind: str) -> list[tuple[LabelledPhoto, LabelledObject]]:
    return [(photo, each) for photo in subject.photos for each in photo.of(kind)]


def varied(pixels: np.ndarray, rng: np.random.Generator, *, turns: bool, flips: bool) -> np.ndarray:
    """Change a crop (HWC uint8 RGB) in ways that change nothing about what it shows.

    Soften it, since painted crops come through a VAE that smooths fine speckle, and shift its colours a little: less
    than what tells dark from pale.
    """
    if turns:
        pixels = np.rot90(pixels, int(rng.integers(4)))
    if flips and rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    if rng.random() < 0.5:
        pixels = cv2.GaussianBlur(np.ascontiguousarray(pixels), (0, 0), float(rng.uniform(0.3, 1.5)))
    gain = rng.uniform(0.94, 1.06, 3) * rng.uniform(0.92, 1.08)
    return np.clip(pixels * gain + rng.uniform(-8, 8, 3), 0, 255).astype(np.uint8)


def _spread_loss(logits: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    target = true.float() / true.sum(1, keepdim=True)
    return torch.nn.functional.cross_entropy(logits, target)
