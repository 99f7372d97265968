"""What the inpainting model is shown: a square of a photo, the part of it to repaint, and a caption that is true.

Three sorts: whole scenes, empty places, and labelled cells. The labels of the photos are not complete: about half of
them hold stained platelets or debris without a box, which v0 learned to paint into "no white blood cells". So a place
counts as empty only where no labelled cell and no stain is.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save
from torch.nn import functional

from generator.foundation.geometry import Box, intersection_area
from generator.foundation.seeds import derive_rng
from generator.foundation.storage import write_bytes, write_json
from generator.painting.crop import LATENT_PX
from training.pocket.grammar import empty_caption, object_caption, scene_caption
from training.pocket.smears import STAINED, Cell, Smear, cells_in_view, cut, empty_square, random_square
from training.pocket.vae import encode, to_tensor

# Blue over red, less that of the empty background, in grey values: 98 % of the labelled platelets of BCCD are above 29,
# 98 % of the red cells below 31.
MAX_STAIN = 28.0
STAIN_BLUR_PX = 3.0
# A cell of which less can be seen is neither named in a caption nor may it be denied: such a scene is drawn again.
MIN_VISIBLE_SHARE = 0.4
SAMPLES_AT_ONCE = 64
SECONDS_BETWEEN_LINES = 15.0


@dataclass(frozen=True, kw_only=True)
class SampleRecipe:
    """Shares of the sorts and of the kinds of cells; sides in pixels of the photos, the others in shares.

    Differences from v0: clear scenes are looked for (v0 met them by chance) and boxes are padded by 2 to 14 % instead
    of 3 to 30 %, because objects came out smaller than their boxes. boxpaint pads by 12 % (`painting.mask_padding`).
    """

    scene_share: float = 0.3
    empty_share: float = 0.2
    # Of the scenes: without white cells and platelets, which is what scenes are asked for most.
    clear_share: float = 0.6
    scene_sides_px: tuple[int, int] = (300, 480)
    # Clear squares above 400 px are found in one photo of twenty.
    clear_sides_px: tuple[int, int] = (260, 400)
    empty_sides_px: tuple[int, int] = (110, 480)
    empty_box_shares: tuple[float, float] = (0.15, 0.6)
    kinds: tuple[tuple[str, float], ...] = (("white blood cell", 0.45), ("platelet", 0.35), ("red blood cell", 0.2))
    object_shares: tuple[float, float] = (0.2, 0.72)
    padding_shares: tuple[float, float] = (0.02, 0.14)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StainedSmear:
    """A photo with its stain: HW float32, grey values of blue over red, 0 in the empty background."""

    smear: Smear
    stain: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """`pixels` (HWC uint8 RGB), `mask` (HW bool, true where to repaint, in whole cells of 8 px) and what to paint."""

    pixels: np.ndarray
    mask: np.ndarray
    caption: str


def measure_stain(smear: Smear) -> StainedSmear:
    """Find where a photo is stained blue to purple, labelled or not."""
    colours = cv2.GaussianBlur(smear.image, (0, 0), STAIN_BLUR_PX).astype(np.float32)
    light = colours.sum(axis=2)
    blue = colours[..., 2] - colours[..., 0]
    return StainedSmear(smear=smear, stain=blue - np.median(blue[light >= np.quantile(light, 0.8)]))


def draw_sample(photos: Sequence[StainedSmear], side_px: int, recipe: SampleRecipe, rng: np.random.Generator) -> Sample:
    """Draw a sample of a sort drawn by the recipe, flipped and turned; colours stay those of the photo.

    Colours are not varied: what a UNet is shown of casts it paints.
    """
    sort = rng.random()
    sample = None
    while sample is None:
        if sort < recipe.scene_share:
            sample = _scene(photos, side_px, recipe, rng)
        elif sort < recipe.scene_share + recipe.empty_share:
            sample = _empty_place(photos, side_px, recipe, rng)
        else:
            sample = _object(photos, side_px, recipe, rng)
    turns, flips = int(rng.integers(4)), rng.random() < 0.5
    pixels, mask = np.rot90(sample.pixels, turns), np.rot90(sample.mask, turns)
    if flips:
        pixels, mask = pixels[:, ::-1], mask[:, ::-1]
    return Sample(pixels=np.ascontiguousarray(pixels), mask=np.ascontiguousarray(mask), caption=sample.caption)


def _scene(
    photos: Sequence[StainedSmear], side_px: int, recipe: SampleRecipe, rng: np.random.Generator
) -> Sample | None:
    """Draw a whole scene to repaint; None where no caption would be true."""
    if rng.random() < recipe.clear_share:
        photo, crop = _clear_square(photos, recipe, rng)
    else:
        photo = _pick(photos, rng)
        crop = random_square(photo.smear, recipe.scene_sides_px, rng)
    caption = caption_view(photo, crop, rng)
    if caption is None:
        return None
    return Sample(pixels=cut(photo.smear, crop, side_px), mask=np.ones((side_px, side_px), bool), caption=caption)


def caption_view(photo: StainedSmear, crop: Box, rng: np.random.Generator) -> str | None:
    """Caption of what is in view, or None: no red cell, a stained cell that is hardly in view, or a stain unnamed."""
    num_red, others = cells_in_view(photo.smear, crop)
    visible = [intersection_area(cell.box, crop) / cell.box.area for cell in photo.smear.cells if cell.kind in STAINED]
    if num_red == 0 or any(0 < share < MIN_VISIBLE_SHARE for share in visible):
        return None
    if not others and photo.stain[crop.slices].max() > MAX_STAIN:
        return None
    return scene_caption(num_red, others, rng)


def _clear_square(
    photos: Sequence[StainedSmear], recipe: SampleRecipe, rng: np.random.Generator
) -> tuple[StainedSmear, Box]:
    """Find a square without stained cells: large ones are rare, so that after each failure a smaller one will do."""
    side = float(rng.integers(*recipe.clear_sides_px))
    while True:
        photo = _pick(photos, rng)
        whole = min(round(side), *photo.smear.image.shape[:2])
        crop = empty_square(photo.smear, whole, rng)
        if crop is not None and photo.stain[crop.slices].max() <= MAX_STAIN:
            return photo, crop
        side = max(LATENT_PX, 0.99 * side)


def _empty_place(
    photos: Sequence[StainedSmear], side_px: int, recipe: SampleRecipe, rng: np.random.Generator
) -> Sample | None:
    """Draw a box with nothing to label under it."""
    photo = _pick(photos, rng)
    crop = random_square(photo.smear, recipe.empty_sides_px, rng)
    width, height = (float(rng.uniform(*recipe.empty_box_shares)) * crop.width for _ in range(2))
    x, y = crop.x_min + rng.uniform(0, crop.width - width), crop.y_min + rng.uniform(0, crop.height - height)
    region = cells_over((x, y, x + width, y + height), crop, side_px)
    under = _on_photo(region, crop, side_px)
    if photo.stain[under.slices].max() > MAX_STAIN or _touches_stained(photo.smear, under, None):
        return None
    return _sample(photo.smear, crop, region, side_px, empty_caption(rng))


def _object(
    photos: Sequence[StainedSmear], side_px: int, recipe: SampleRecipe, rng: np.random.Generator
) -> Sample | None:
    """Draw a labelled cell, whole and the only stained one in its padded box."""
    kinds, shares = zip(*recipe.kinds, strict=True)
    kind = str(rng.choice(kinds, p=shares))
    while not (cells := (smear := _pick(photos, rng).smear).of_kind(kind)):
        pass
    cell = cells[int(rng.integers(len(cells)))]
    height, width = smear.image.shape[:2]
    box = cell.box
    if box.x_min <= 1 or box.y_min <= 1 or box.x_max >= width - 1 or box.y_max >= height - 1:
        return None  # cut off by the photo's edge: taught so, objects would come out smaller than their boxes
    longer = max(box.width, box.height)
    left, top, right, bottom = (float(pad) * longer for pad in rng.uniform(*recipe.padding_shares, 4))
    edges = (box.x_min - left, box.y_min - top, box.x_max + right, box.y_max + bottom)
    side = min(round(longer / rng.uniform(*recipe.object_shares)), height, width)
    x, y = (
        _start(low, high, side, room, rng)
        for low, high, room in ((edges[0], edges[2], width), (edges[1], edges[3], height))
    )
    crop = Box.from_xywh(x, y, side, side)
    region = cells_over(edges, crop, side_px)
    if not crop.contains(box) or _touches_stained(smear, _on_photo(region, crop, side_px), cell):
        return None
    return _sample(smear, crop, region, side_px, object_caption(kind, cell.size, cell.tone, cell.purple, rng))


def _start(low: float, high: float, side: int, room: int, rng: np.random.Generator) -> int:
    """Where a crop begins that holds [low, high) as far as the photo goes."""
    first, last = max(0, math.ceil(high) - side), min(room - side, math.floor(low))
    return int(rng.integers(first, last, endpoint=True)) if first < last else max(0, min(first, room - side))


def cells_over(edges: tuple[float, float, float, float], crop: Box, side_px: int) -> Box:
    """Latent cells of 8 px that edges (left, top, right, bottom, in pixels of the photo) touch, in pixels of the crop
    at side_px: as boxpaint rounds its masks (generator/painting/crop.py).

    cells_over((10, 10, 20, 30), Box.from_xywh(0, 0, 64, 64), 64).xyxy is (8, 8, 24, 32).
    """
    scale = side_px / crop.width / LATENT_PX
    last = side_px // LATENT_PX
    x_min, y_min = (
        min(last - 1, max(0, math.floor((edge - start) * scale)))
        for edge, start in ((edges[0], crop.x_min), (edges[1], crop.y_min))
    )
    x_max, y_max = (
        min(last, math.ceil((edge - start) * scale)) for edge, start in ((edges[2], crop.x_min), (edges[3], crop.y_min))
    )
    return Box.from_xyxy(
        x_min * LATENT_PX, y_min * LATENT_PX, max(x_max, x_min + 1) * LATENT_PX, max(y_max, y_min + 1) * LATENT_PX
    )


def _on_photo(region: Box, crop: Box, side_px: int) -> Box:
    """Pixels of the photo under a region of a crop."""
    scale = crop.width / side_px
    x_min, y_min = (math.floor(value * scale) for value in (region.x_min, region.y_min))
    x_max, y_max = (min(crop.width, math.ceil(value * scale)) for value in (region.x_max, region.y_max))
    return Box.from_xyxy(x_min, y_min, x_max, y_max).shifted(crop.x_min, crop.y_min)


def _touches_stained(smear: Smear, box: Box, but: Cell | None) -> bool:
    return any(
        cell is not but and cell.kind in STAINED and intersection_area(cell.box, box) > 0 for cell in smear.cells
    )


def _sample(smear: Smear, crop: Box, region: Box, side_px: int, caption: str) -> Sample:
    mask = np.zeros((side_px, side_px), bool)
    mask[region.slices] = True
    return Sample(pixels=cut(smear, crop, side_px), mask=mask, caption=caption)


def _pick(photos: Sequence[StainedSmear], rng: np.random.Generator) -> StainedSmear:
    return photos[int(rng.integers(len(photos)))]


@dataclass(frozen=True, kw_only=True, eq=False)
class Bank:
    """N samples, encoded once: that costs more than a training step on them, and each is met a hundred times.

    `latents` and `masked` (N, 4, h, w) float16, scaled, of the pictures and of the pictures with the
    masked part greyed out; `masks` (N, 1, h, w) float16, 1 where to repaint; captions. `seconds`: what it took.
    """

    latents: torch.Tensor
    masked: torch.Tensor
    masks: torch.Tensor
    captions: list[str]
    seconds: float

    def __len__(self) -> int:
        return len(self.captions)


def stream_samples(smears: Sequence[Smear], side_px: int, recipe: SampleRecipe, seed: int) -> Iterator[Sample]:
    """Endless samples, each from a generator of its own."""
    photos = [measure_stain(smear) for smear in smears]
    number = 0
    while True:
        yield draw_sample(photos, side_px, recipe, derive_rng(seed, number))
        number += 1


def fill_bank(
    samples: Iterator[Sample], vae: Any, device: torch.device, *, size: int, seconds: float, say: Callable[[str], None]
) -> Bank:
    """Encode samples until there are `size` of them or `seconds` have passed, 64 at least; the bank is on the device.

    As boxpaint does (painting/stable_diffusion.py): the masked part is 0, which is grey, and the mask is brought to the
    size of the latents by taking the nearest pixel.
    """
    start = said_at = time.monotonic()
    parts: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    captions: list[str] = []
    while len(captions) < size and (not captions or time.monotonic() - start < seconds):
        batch = [next(samples) for _ in range(min(SAMPLES_AT_ONCE, size - len(captions)))]
        pictures = to_tensor([sample.pixels for sample in batch], device)
        masks = torch.stack([torch.from_numpy(sample.mask) for sample in batch])[:, None].float().to(device)
        latents = encode(vae, pictures) * vae.config.scaling_factor
        masked = encode(vae, pictures * (1 - masks)) * vae.config.scaling_factor
        small = functional.interpolate(masks, size=latents.shape[-2:], mode="nearest")
        parts.append((latents.half(), masked.half(), small.half()))
        captions += [sample.caption for sample in batch]
        if time.monotonic() - said_at > SECONDS_BETWEEN_LINES:
            said_at = time.monotonic()
            say(f"inpaint: {len(captions)} samples encoded")
    latents, masked, small = (torch.cat(rows) for rows in zip(*parts, strict=True))
    return Bank(latents=latents, masked=masked, masks=small, captions=captions, seconds=time.monotonic() - start)


def save_bank(bank: Bank, path: Path, made_from: Mapping[str, str]) -> None:
    """Save as `path` (safetensors) and a JSON of captions beside it, which names what it was made from."""
    tensors = {"latents": bank.latents, "masked": bank.masked, "masks": bank.masks}
    write_bytes(path, save({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}))
    write_json(
        path.with_suffix(".json"), {"made_from": dict(made_from), "seconds": bank.seconds, "captions": bank.captions}
    )


def load_bank(path: Path, made_from: Mapping[str, str], device: torch.device) -> Bank | None:
    """Load a bank, or None where there is none or it was made from something else."""
    listing = path.with_suffix(".json")
    if not path.exists() or not listing.exists():
        return None
    told = json.loads(listing.read_text(encoding="utf-8"))
    if told["made_from"] != dict(made_from):
        return None
    tensors = load_file(path, device=str(device))
    return Bank(**tensors, captions=told["captions"], seconds=told["seconds"])


def remove_bank(path: Path) -> None:
    """Remove a bank's two files."""
    path.unlink(missing_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)
