"""The pocket's VAE, 4 M parameters: how it is built, and the crops of blood smears that it learns from.

What it learns by: detection/painter/vae.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL

from detection.painter import vae as shared
from detection.painter.photos import LabelledPhoto
from detection.painter.vae import psnr, set_scale, speckle_kept, vae_learners
from generator.foundation.geometry import Box
from generator.foundation.training import to_channels_last
from generator.painting.crop import resize
from training.pocket.session import Session, identify, learn

SCALING_CROPS = 256
HELD_OUT_CROPS_PER_PHOTO = 2


@dataclass(frozen=True, kw_only=True)
class VaeRecipe:
    """Sizes and schedule; `crop_sides_px` are pixels of the photos."""

    side_px: int = 256
    crop_sides_px: tuple[int, int] = (110, 480)
    channels: tuple[int, ...] = (32, 64, 128, 128)
    latent_channels: int = 4
    norm_groups: int = 16
    batch_size: int = 32
    learning: shared.VaeRecipe = field(
        default_factory=lambda: shared.VaeRecipe(learning_rate=5e-4, critic_weight=0.03, critic_from=0.3)
    )


def made_from(session: Session, _out: Path, recipe: VaeRecipe) -> dict[str, str]:
    """Name what the training is made from."""
    return identify("vae", session, recipe)


def train(session: Session, out: Path, recipe: VaeRecipe) -> None:
    """Train on the photos and save to `out`, with the scale that gives latents a std of 1."""
    photos = session.seen_photos
    torch.manual_seed(session.seed)
    vae: Any = AutoencoderKL(**_config(recipe))
    to_channels_last(vae, session.device)

    def draw(rng: np.random.Generator) -> list[np.ndarray]:
        crops = []
        for _ in range(recipe.batch_size):
            crop = np.rot90(random_crop(photos, recipe.crop_sides_px, recipe.side_px, rng), int(rng.integers(4)))
            crops.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
        return crops

    learners = vae_learners(vae, draw, recipe.learning, session.device)
    origin = made_from(session, out, recipe)
    learn("vae", learners, session, out.parent, batch_size=recipe.batch_size, made_from=origin)
    rng = session.rng(6)
    crops = [random_crop(photos, recipe.crop_sides_px, recipe.side_px, rng) for _ in range(SCALING_CROPS)]
    std = set_scale(vae, crops, session.device)
    session.say(f"vae: latents have a standard deviation of {std:.3f}")
    vae.half().save_pretrained(out)


def evaluate(session: Session, folder: Path) -> dict[str, float]:
    """PSNR and speckle kept on crops of unseen photos, brought to the native side."""
    vae = AutoencoderKL.from_pretrained(folder, dtype=torch.float32).to(session.device).eval()
    rng = session.rng(7)
    side, sides = int(vae.config.sample_size), VaeRecipe().crop_sides_px
    crops = [
        random_crop([photo], sides, side, rng)
        for photo in session.unseen_photos
        for _ in range(HELD_OUT_CROPS_PER_PHOTO)
    ]
    return {
        "VAE PSNR, unseen photos, dB": psnr(vae, crops, session.device),
        "VAE speckle kept": speckle_kept(vae, crops, session.device),
    }


def random_crop(
    photos: Sequence[LabelledPhoto], sides_px: tuple[int, int], side_px: int, rng: np.random.Generator
) -> np.ndarray:
    """Square anywhere in a photo with a side in `sides_px` (as far as the photo permits), brought to side_px."""
    photo = photos[int(rng.integers(len(photos)))]
    low, high = (min(side, *photo.size_wh) for side in sides_px)
    side = int(rng.integers(low, high, endpoint=True))
    x, y = (int(rng.integers(0, room - side, endpoint=True)) for room in photo.size_wh)
    return resize(photo.image[Box.from_xywh(x, y, side, side).slices], (side_px, side_px))


def _config(recipe: VaeRecipe) -> dict[str, Any]:
    blocks = len(recipe.channels)
    return {
        "sample_size": recipe.side_px,
        "latent_channels": recipe.latent_channels,
        "block_out_channels": recipe.channels,
        "down_block_types": ("DownEncoderBlock2D",) * blocks,
        "up_block_types": ("UpDecoderBlock2D",) * blocks,
        "layers_per_block": 1,
        "norm_num_groups": recipe.norm_groups,
        "force_upcast": False,
    }
