"""What a painter is shown: a square of a photo, the part of it to repaint, and a caption that is true.

Three sorts. *Objects*: a labelled one in a crop as the generator will cut it (painting/crop.py), where other objects
are protected, so that masks are as irregular as they will be. *Places*: the same without an object. *Scenes*: parts of
photos to be painted as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional

from detection.painter.photos import LabelledObject, LabelledPhoto
from detection.painter.wording import Wording
from generator.foundation.device import autocast
from generator.foundation.geometry import Box, intersection_area, overlap_share, scaled_about_centre
from generator.foundation.seeds import derive_rng
from generator.painting.crop import CropFrame, frame_around, native_mask, resize
from generator.painting.stable_diffusion import to_tensor

# Draws of one sort before another is taken.
TRIES = 60
# A box that shares more with another object is of both: neither is shown alone.
MAX_SHARED = 0.3
# Objects, with their halos, are hidden in boxes of so many times their sides.
HIDDEN_SCALE = 1.4


@dataclass(frozen=True, kw_only=True)
class SampleRecipe:
    """Shares of the sorts, and how crops vary around those that the generator cuts.

    `box_shares` and `paddings` lie around `painting.box_share` and `painting.mask_padding`; `gains` and `offsets` (grey
    values) change the light of objects and places: what is painted has to follow its surroundings. Of scenes, which
    have none, the light stays that of the photos: what a UNet is shown of casts it paints. `clear_share` of the scenes
    are to show no object; `scene_scales` are the pixels of a photo that a pixel of a scene stands for. `turns`,
    `flips`: quarter turns and mirror images are as likely as what the photos show.
    """

    place_share: float = 0.2
    scene_share: float = 0.15
    clear_share: float = 0.6
    scene_scales: tuple[float, float] = (1.0, 1.0)
    box_shares: tuple[float, float] = (0.28, 0.55)
    paddings: tuple[float, float] = (0.04, 0.2)
    gains: tuple[float, float] = (0.8, 1.25)
    offsets: tuple[float, float] = (-25.0, 25.0)
    turns: bool = False
    flips: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """`pixels` (HWC uint8 RGB), `mask` (HW bool, true where to repaint, in whole cells of 8 px) and what to paint.

    `hidden` (HW bool) is where nothing is to be learned, None: nowhere.
    """

    pixels: np.ndarray
    mask: np.ndarray
    caption: str
    hidden: np.ndarray | None = None


Draw = Callable[[np.random.Generator], Sample | None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """Photos and how to speak of them; `kinds` are the classes to learn, with the share of each among objects.

    Of these, `ground` are classes that scenes are full of, which nobody labels: other objects are painted over them.
    `has_unlabelled` says whether a part of a photo shows what would be labelled, and is not.
    """

    photos: Sequence[LabelledPhoto]
    kinds: Mapping[str, float]
    wording: Wording
    side_px: int
    size_multiple: int
    recipe: SampleRecipe = field(default_factory=SampleRecipe)
    ground: frozenset[str] = frozenset()
    has_unlabelled: Callable[[LabelledPhoto, Box], bool] = lambda _photo, _box: False

    def is_clear(self, photo: LabelledPhoto, box: Box) -> bool:
        """Say whether a part of a photo shows nothing that would be labelled."""
        return not self.in_view(photo, box) and not self.has_unlabelled(photo, box)

    def in_view(self, photo: LabelledPhoto, box: Box) -> list[LabelledObject]:
        """Objects, those of the ground left out, of which a part of a photo shows some."""
        return [each for each in photo.objects if each.category not in self.ground and intersection_area(each.box, box)]

    def draw_kind(self, rng: np.random.Generator) -> str:
        """Draw a class by its share."""
        shares = np.array(list(self.kinds.values()))
        return str(rng.choice(list(self.kinds), p=shares / shares.sum()))

    def draw(self, rng: np.random.Generator) -> Sample:
        """Draw a sample of a sort drawn by the recipe, at side_px squared."""
        # Once for all tries: of a rare class whose objects are often cut or crowded there would be fewer still.
        draw_object = partial(self._object, self.draw_kind(rng))
        sort = rng.random()
        if sort < self.recipe.scene_share:
            order: tuple[Draw, ...] = (self._scene, self._place, draw_object)
        elif sort < self.recipe.scene_share + self.recipe.place_share:
            order = (self._place, self._scene, draw_object)
        else:
            order = (draw_object, self._place, self._scene)
        for draw in order:
            for _ in range(TRIES):
                if (sample := draw(rng)) is not None:
                    return self._turned(sample, rng)
        raise ValueError("the photos show nothing that can be learned from")

    def draw_canvas(self, canvas_wh: tuple[int, int], rng: np.random.Generator) -> Sample:
        """Draw a whole photo at the size of a canvas, to be painted as a whole."""
        photo = self._photo(rng)
        box = _largest_of_shape(photo.size_wh, canvas_wh, rng)
        caption = self.wording.view(photo, box, rng) if rng.random() >= self.recipe.clear_share else None
        is_empty = caption is None
        sample = self._whole(photo, box, canvas_wh, caption or self.wording.place(rng), is_empty=is_empty)
        return self._turned(sample, rng)

    def draw_place(self, rng: np.random.Generator, kind: str) -> Sample | None:
        """Draw an empty place for an object of a class, whose caption asks for it; None where the place is taken."""
        sample = self._place(rng, kind)
        found = [each for photo in self.photos for each in photo.of(kind)]
        if sample is None or not found:
            return None
        caption = self.wording.object(found[int(rng.integers(len(found)))], rng)
        return replace(sample, caption=caption)

    def _object(self, kind: str, rng: np.random.Generator) -> Sample | None:
        holding = [photo for photo in self.photos if photo.of(kind)]
        if not holding:
            return None
        photo = holding[int(rng.integers(len(holding)))]
        of_kind = photo.of(kind)
        each = of_kind[int(rng.integers(len(of_kind)))]
        width, height = photo.size_wh
        box = each.box
        is_cut = box.x_min <= 1 or box.y_min <= 1 or box.x_max >= width - 1 or box.y_max >= height - 1
        if is_cut and rng.random() > 0.1:  # taught so, objects would come out smaller than their boxes
            return None
        frame = self._frame(photo, box, rng)
        if frame is None:
            return None
        others = [other.box for other in self.in_view(photo, frame.crop) if other is not each]
        if any(overlap_share(box, other) > MAX_SHARED for other in others):
            return None
        return self._sample(photo, frame, others, self.wording.object(each, rng), rng, keep=box)

    def _place(self, rng: np.random.Generator, kind: str | None = None) -> Sample | None:
        photo, kinds = self._photo(rng), self.kinds if kind is None else (kind,)
        sizes = [each.box for other in self.photos for each in other.objects if each.category in kinds]
        if not sizes:
            return None
        like, (width, height) = sizes[int(rng.integers(len(sizes)))], photo.size_wh
        if like.width > width or like.height > height:
            return None
        x, y = (int(rng.integers(0, room, endpoint=True)) for room in (width - like.width, height - like.height))
        box = Box.from_xywh(x, y, like.width, like.height)
        frame = self._frame(photo, box, rng)
        if frame is None or not self.is_clear(photo, box) or self.has_unlabelled(photo, frame.region_on_canvas()):
            return None
        near = [each.box for each in self.in_view(photo, frame.crop)]
        return self._sample(photo, frame, near, self.wording.place(rng), rng)

    def _scene(self, rng: np.random.Generator) -> Sample | None:
        """A part of a photo at a scale of the recipe; None where it shows what nobody labelled."""
        photo = self._photo(rng)
        side = min(round(self.side_px * float(rng.uniform(*self.recipe.scene_scales))), *photo.size_wh)
        x, y = (int(rng.integers(0, room - side, endpoint=True)) for room in photo.size_wh)
        box, size_wh = Box.from_xywh(x, y, side, side), (self.side_px, self.side_px)
        is_empty = rng.random() < self.recipe.clear_share
        caption = self.wording.view(self._bare(photo) if is_empty else photo, box, rng)
        if caption is None or self.has_unlabelled(photo, box):
            return None
        return self._whole(photo, box, size_wh, caption, is_empty=is_empty)

    def _bare(self, photo: LabelledPhoto) -> LabelledPhoto:
        """A photo as if it showed ground alone; what is written of the whole of it is not of that."""
        ground = tuple(each for each in photo.objects if each.category in self.ground)
        return replace(photo, name="", objects=ground)

    def _whole(self, photo: LabelledPhoto, box: Box, size_wh: tuple[int, int], caption: str, is_empty: bool) -> Sample:
        """A part of a photo, all of it masked. Where it is to pass for empty, nothing is learned from its objects.

        Few photos show a scene without any: so ground is learned from what lies around them.
        """
        hidden = np.zeros(photo.image.shape[:2], np.uint8)
        for each in (each for each in photo.objects if is_empty and each.category not in self.ground):
            left, top, right, bottom = scaled_about_centre(each.box.xyxy, HIDDEN_SCALE, photo.size_wh)
            hidden[int(top) : math.ceil(bottom), int(left) : math.ceil(right)] = 1
        shrunk = cv2.resize(hidden[box.slices], size_wh, interpolation=cv2.INTER_NEAREST) > 0
        pixels, mask = resize(photo.image[box.slices], size_wh), np.ones(shrunk.shape, bool)
        return Sample(pixels=pixels, mask=mask, caption=caption, hidden=shrunk)

    def _frame(self, photo: LabelledPhoto, box: Box, rng: np.random.Generator) -> CropFrame | None:
        """Frame a box as the generator does, varied; None where the crop is no square."""
        recipe = self.recipe
        frame = frame_around(
            box,
            photo.size_wh,
            native_px=self.side_px,
            size_multiple=self.size_multiple,
            box_share=float(rng.uniform(*recipe.box_shares)),
            mask_padding=float(rng.uniform(*recipe.paddings)),
        )
        return frame if frame.native_wh == (self.side_px, self.side_px) else None

    def _sample(
        self,
        photo: LabelledPhoto,
        frame: CropFrame,
        others: Sequence[Box],
        caption: str,
        rng: np.random.Generator,
        *,
        keep: Box | None = None,
    ) -> Sample | None:
        crop = frame.crop
        protected = np.zeros((crop.height, crop.width), bool)
        for other in others:
            x_min, y_min, x_max, y_max = frame.in_crop(other).xyxy
            protected[max(0, y_min) : max(0, y_max), max(0, x_min) : max(0, x_max)] = True
        if keep is not None:
            protected[frame.in_crop(keep).slices] = False
        mask = native_mask(frame, protected)
        if not mask.any():
            return None
        pixels = resize(photo.image[crop.slices], frame.native_wh)
        return Sample(pixels=self._in_another_light(pixels, rng), mask=mask, caption=caption)

    def _in_another_light(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        gain, offset = float(rng.uniform(*self.recipe.gains)), float(rng.uniform(*self.recipe.offsets))
        return np.clip(np.rint(gain * pixels + offset), 0, 255).astype(np.uint8)

    def _photo(self, rng: np.random.Generator) -> LabelledPhoto:
        return self.photos[int(rng.integers(len(self.photos)))]

    def _turned(self, sample: Sample, rng: np.random.Generator) -> Sample:
        turns = 0
        if self.recipe.turns:
            # A canvas that is no square stays as it lies.
            is_square = sample.pixels.shape[0] == sample.pixels.shape[1]
            turns = int(rng.integers(4)) if is_square else 2 * int(rng.integers(2))
        is_flipped = self.recipe.flips and rng.random() < 0.5

        def turned(array: np.ndarray) -> np.ndarray:
            array = np.rot90(array, turns)
            return np.ascontiguousarray(array[:, ::-1] if is_flipped else array)

        hidden = None if sample.hidden is None else turned(sample.hidden)
        return replace(sample, pixels=turned(sample.pixels), mask=turned(sample.mask), hidden=hidden)


def cannot_be_shown(subject: Subject) -> list[str]:
    """Classes of which no object can be learned: all share much of their boxes, or fill their photos."""

    def is_alone(photo: LabelledPhoto, each: LabelledObject) -> bool:
        others = (other.box for other in subject.in_view(photo, each.box) if other is not each)
        return all(overlap_share(each.box, other) <= MAX_SHARED for other in others)

    def has_surroundings(photo: LabelledPhoto, each: LabelledObject) -> bool:
        frame = usual_frame(subject, photo, each)
        return frame.native_wh == (subject.side_px, subject.side_px) and frame.region.area < subject.side_px**2

    def is_shown(kind: str) -> bool:
        objects = ((photo, each) for photo in subject.photos for each in photo.of(kind))
        return any(is_alone(photo, each) and has_surroundings(photo, each) for photo, each in objects)

    return [kind for kind in subject.kinds if not is_shown(kind)]


def framed(subject: Subject, kind: str, *, whole_crop: bool = False) -> list[np.ndarray]:
    """Every object of a class as the generator would frame it (HWC uint8): what is repainted, or the whole crop."""
    crops = []
    for photo in subject.photos:
        for each in photo.of(kind):
            frame = usual_frame(subject, photo, each)
            pixels = resize(photo.image[frame.crop.slices], frame.native_wh)
            crops.append(pixels if whole_crop else pixels[frame.region.slices])
    return crops


def usual_frame(subject: Subject, photo: LabelledPhoto, each: LabelledObject) -> CropFrame:
    """Frame an object in the middle of what the recipe varies."""
    return frame_around(
        each.box,
        photo.size_wh,
        native_px=subject.side_px,
        size_multiple=subject.size_multiple,
        box_share=sum(subject.recipe.box_shares) / 2,
        mask_padding=sum(subject.recipe.paddings) / 2,
    )


# A crop enlarged more holds no more detail.
MAX_ENLARGED = 2.5


def side_for(photos: Sequence[LabelledPhoto], kinds: Mapping[str, float], box_share: float, most_px: int) -> int:
    """Side of the square crops that suit objects: enlarged 2.5 times on average, in steps of 64 px.

    Small objects need no large crops: the same training and painting then takes a quarter of the time. Measured on
    cells of 20 px: benchmarks/painter.py.
    """
    sides = [np.median([max(box.width, box.height) for box in _boxes(photos, kind)]) for kind in kinds]
    wanted = MAX_ENLARGED * float(np.mean(sides)) / box_share
    return int(min(max(64 * round(wanted / 64), 128), most_px))


def _boxes(photos: Sequence[LabelledPhoto], kind: str) -> list[Box]:
    return [each.box for photo in photos for each in photo.of(kind)] or [Box.from_xywh(0, 0, 64, 64)]


def _largest_of_shape(size_wh: tuple[int, int], shape_wh: tuple[int, int], rng: np.random.Generator) -> Box:
    """The largest part of a picture that has a shape, somewhere in it."""
    scale = min(size_wh[0] / shape_wh[0], size_wh[1] / shape_wh[1])
    width, height = (max(1, min(limit, round(scale * side))) for side, limit in zip(shape_wh, size_wh, strict=True))
    x, y = (int(rng.integers(0, room, endpoint=True)) for room in (size_wh[0] - width, size_wh[1] - height))
    return Box.from_xywh(x, y, width, height)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoded:
    """A sample as a UNet learns from it: float16 tensors on the device.

    `latents` and `masked` (4, h, w), scaled, of the picture and of the picture with the masked part greyed out; `mask`
    (1, h, w), 1 where to repaint; `shown` (1, h, w), 1 where to learn from.
    """

    latents: torch.Tensor
    masked: torch.Tensor
    mask: torch.Tensor
    shown: torch.Tensor
    caption: str


class Bank:
    """Samples by number, each drawn from a generator of its own, encoded when it is first asked for, and kept.

    Encoding costs more than a training step on a sample, and each is met again and again. What a sample becomes does
    not hang on what it is asked for with: it is encoded in a block of fixed numbers (on a CPU, alone).
    """

    def __init__(
        self,
        draw: Callable[[np.random.Generator], Sample],
        vae: Any,
        seed: int,
        device: torch.device,
        *,
        at_once: int = 64,
    ):
        self._draw, self._vae, self._seed, self._device = draw, vae, seed, device
        self._block = 1 if device.type == "cpu" else at_once
        self._kept: dict[int, Encoded] = {}

    def rows(self, numbers: Sequence[int]) -> list[Encoded]:
        """The samples of these numbers."""
        for number in numbers:
            if number not in self._kept:
                first = number - number % self._block
                block = range(first, first + self._block)
                samples = [self._draw(derive_rng(self._seed, each)) for each in block]
                self._kept.update(zip(block, encode_samples(samples, self._vae, self._device), strict=True))
        return [self._kept[number] for number in numbers]


def encode_samples(samples: Sequence[Sample], vae: Any, device: torch.device) -> list[Encoded]:
    """Encode samples of one size.

    As boxpaint does (painting/stable_diffusion.py): the masked part is 0, which is grey, and the mask is brought to the
    size of the latents by taking the nearest pixel.
    """
    pictures = to_tensor(np.stack([sample.pixels for sample in samples])).to(device)
    masks = torch.from_numpy(np.stack([sample.mask for sample in samples]))[:, None].float().to(device)
    shown = torch.stack([_shown(sample) for sample in samples]).to(device)
    latents, masked = (encode(vae, each) for each in (pictures, pictures * (1 - masks)))
    small = functional.interpolate(masks, size=latents.shape[-2:], mode="nearest").half()
    # A latent is learned from where all of its pixels are.
    shown = -functional.adaptive_max_pool2d(-shown, latents.shape[-2:])
    rows = zip(latents.half(), masked.half(), small, shown.half(), samples, strict=True)
    return [
        Encoded(latents=clean, masked=rest, mask=mask, shown=part, caption=sample.caption)
        for clean, rest, mask, part, sample in rows
    ]


def _shown(sample: Sample) -> torch.Tensor:
    hidden = np.zeros_like(sample.mask) if sample.hidden is None else sample.hidden
    return torch.from_numpy(~hidden)[None].float()


@torch.no_grad()
def encode(vae: Any, pictures: torch.Tensor) -> torch.Tensor:
    """Pictures (B, 3, H, W) in [-1, 1] -> latents (B, 4, H/8, W/8) float32, scaled: modes, as boxpaint takes."""
    with autocast(pictures.device):
        mode = vae.encode(pictures.contiguous(memory_format=torch.channels_last)).latent_dist.mode()
    return torch.as_tensor(mode.float() * vae.config.scaling_factor)
