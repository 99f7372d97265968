"""The pocket's VAE: 8 x 8 pixels of a blood smear <-> one latent of four numbers.

Rombach et al. 2022, arXiv 2112.10752, at 4 M parameters: L1 in pixels and in their differences at several scales, a
weak pull towards a normal distribution, and from some time on a patch critic (Isola et al. 2017, arXiv 1611.07004)
with hinge loss, which keeps fine speckle that L1 alone would smooth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import nn
from torch.nn import functional

from generator.foundation.device import autocast
from training.pocket.loop import Learner, Session, fit, identify
from training.pocket.smears import Smear, cut, random_square, read_smears

GRADIENT_SCALES = (1, 2, 4)
SCALING_CROPS = 256
HELD_OUT_CROPS_PER_PHOTO = 2
BATCH_SIZE = 16


@dataclass(frozen=True, kw_only=True)
class VaeRecipe:
    """Sizes and schedule. `critic_from` is a share of the budget, `crop_sides_px` are pixels of the photos."""

    side_px: int = 256
    crop_sides_px: tuple[int, int] = (110, 480)
    channels: tuple[int, ...] = (32, 64, 128, 128)
    latent_channels: int = 4
    norm_groups: int = 16
    batch_size: int = 32
    learning_rate: float = 5e-4
    kl_weight: float = 3e-4
    critic_channels: int = 32
    critic_learning_rate: float = 2e-4
    critic_weight: float = 0.03
    critic_from: float = 0.3


def made_from(session: Session, _out: Path, recipe: VaeRecipe) -> dict[str, str]:
    """Name what the training is made from."""
    return identify("vae", session, recipe)


def train(session: Session, out: Path, recipe: VaeRecipe) -> None:
    """Train on the training and validation photos and save to `out`, with the scale that gives latents a std of 1."""
    smears = read_smears(session.data, ("train", "val"))
    torch.manual_seed(session.seed)
    vae: Any = AutoencoderKL(**_config(recipe))
    critic: Any = _critic(recipe.critic_channels)
    for module in (vae, critic):
        module.to(session.device, memory_format=torch.channels_last)
    # Filled in by the first learner of a step, looked at by the second: both judge the same pictures.
    pair: list[torch.Tensor] = []

    def loss(rng: np.random.Generator, progress: float) -> torch.Tensor:
        real = _vary_light(to_tensor(_training_crops(smears, recipe, rng), session.device))
        with autocast(session.device):
            posterior = vae.encode(real).latent_dist
            fake = vae.decode(posterior.sample()).sample.float()
        pair[:] = [real, fake.detach()]
        total = functional.l1_loss(fake, real) + _gradient_loss(fake, real) + recipe.kl_weight * _kl(posterior)
        if progress >= recipe.critic_from:
            with autocast(session.device):
                total = total - recipe.critic_weight * critic(fake).float().mean()
        return total

    def critic_loss(_rng: np.random.Generator, progress: float) -> torch.Tensor | None:
        if progress < recipe.critic_from:
            return None
        real, fake = pair
        with autocast(session.device):
            real_score, fake_score = critic(real).float(), critic(fake).float()
        return functional.relu(1 - real_score).mean() + functional.relu(1 + fake_score).mean()

    learners = [
        Learner(modules={"vae": vae}, loss=loss, learning_rate=recipe.learning_rate),
        Learner(modules={"critic": critic}, loss=critic_loss, learning_rate=recipe.critic_learning_rate),
    ]
    fit("vae", learners, session, out.parent, batch_size=recipe.batch_size, made_from=made_from(session, out, recipe))
    rng = session.rng(6)
    crops = [_random_crop(smears, recipe.crop_sides_px, recipe.side_px, rng) for _ in range(SCALING_CROPS)]
    std = float(encode(vae, to_tensor(crops, session.device)).std())
    vae.register_to_config(scaling_factor=1 / std)
    session.say(f"vae: latents have a standard deviation of {std:.3f}")
    vae.half().save_pretrained(out)


def evaluate(session: Session, folder: Path) -> dict[str, float]:
    """PSNR (mean over crops, values in [0, 255]) and speckle on crops of unseen photos, brought to the native side.

    Speckle kept is the standard deviation of the Laplacian of the reconstructions as a share of that of the crops: 1
    is as sharp as the photo, below 1 is smoothed.
    """
    vae = AutoencoderKL.from_pretrained(folder, dtype=torch.float32).to(session.device).eval()
    rng = session.rng(7)
    side, sides = int(vae.config.sample_size), VaeRecipe().crop_sides_px
    crops = [
        _random_crop([smear], sides, side, rng)
        for smear in read_smears(session.data, ("test",))
        for _ in range(HELD_OUT_CROPS_PER_PHOTO)
    ]
    decibels, kept, given = [], 0.0, 0.0
    for crop in crops:
        with torch.inference_mode():
            mode = vae.encode(to_tensor([crop], session.device)).latent_dist.mode()
            decoded = (vae.decode(mode).sample[0].permute(1, 2, 0).cpu().numpy() + 1) * 127.5
        painted = np.clip(decoded, 0, 255).astype(np.float32)
        decibels.append(10 * np.log10(255**2 / max(float(np.mean((painted - crop) ** 2)), 1e-12)))
        kept += float(cv2.Laplacian(painted, cv2.CV_32F).std())
        given += float(cv2.Laplacian(crop.astype(np.float32), cv2.CV_32F).std())
    return {"VAE PSNR, unseen photos, dB": float(np.mean(decibels)), "VAE speckle kept": kept / given}


def to_tensor(pictures: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """Pictures (HWC uint8 RGB, of one size) -> (B, 3, H, W) float32 in [-1, 1]."""
    stacked = torch.from_numpy(np.stack(pictures)).to(device).permute(0, 3, 1, 2)
    return stacked.float().contiguous(memory_format=torch.channels_last) / 127.5 - 1


@torch.inference_mode()
def encode(vae: Any, pictures: torch.Tensor) -> torch.Tensor:
    """Pictures (B, 3, H, W) in [-1, 1] -> latents (B, 4, H/8, W/8) float32, not scaled: modes, as boxpaint takes."""
    rows = []
    with autocast(pictures.device):
        for batch in pictures.split(BATCH_SIZE):
            rows.append(vae.encode(batch).latent_dist.mode().float())
    return torch.cat(rows)


def _random_crop(
    smears: Sequence[Smear], sides_px: tuple[int, int], side_px: int, rng: np.random.Generator
) -> np.ndarray:
    """Square of a random photo with a side in `sides_px` (the photo's permitting), brought to side_px."""
    smear = smears[int(rng.integers(len(smears)))]
    return cut(smear, random_square(smear, sides_px, rng), side_px)


def _training_crops(smears: Sequence[Smear], recipe: VaeRecipe, rng: np.random.Generator) -> list[np.ndarray]:
    """A batch of random crops, flipped and turned."""
    crops = []
    for _ in range(recipe.batch_size):
        crop = np.rot90(_random_crop(smears, recipe.crop_sides_px, recipe.side_px, rng), int(rng.integers(4)))
        crops.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return crops


def _vary_light(pictures: torch.Tensor) -> torch.Tensor:
    """Change gain and offset of each channel by a few hundredths, one draw a picture."""
    shape = (len(pictures), 3, 1, 1)
    gain = 1 + 0.06 * (2 * torch.rand(shape, device=pictures.device) - 1)
    offset = 0.06 * (2 * torch.rand(shape, device=pictures.device) - 1)
    return (pictures * gain + offset).clamp(-1, 1)


def _gradient_loss(fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of the differences between neighbours, at full, half and quarter size."""
    total = torch.zeros((), device=fake.device)
    for scale in GRADIENT_SCALES:
        error = functional.avg_pool2d(fake - real, scale)
        total = total + error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return total


def _kl(posterior: Any) -> torch.Tensor:
    """Divergence from a normal distribution, mean over the numbers of a latent (Kingma & Welling, arXiv 1312.6114)."""
    mean, log_variance = posterior.mean.float(), posterior.logvar.float()
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()


def _critic(channels: int) -> nn.Sequential:
    """Score patches of 46 px: (B, 3, H, W) -> (B, 1, h, w), above 0 for what looks real."""
    layers: list[nn.Module] = [nn.Conv2d(3, channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    for number in range(2):
        wide = channels * 2 ** (number + 1)
        layers += [nn.Conv2d(wide // 2, wide, 4, stride=2, padding=1), nn.GroupNorm(4, wide), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(channels * 4, 1, 4, padding=1))


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
