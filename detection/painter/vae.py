"""How a VAE learns a domain: 8 x 8 pixels of a photo <-> one latent of a few numbers.

Rombach et al. 2022, arXiv 2112.10752: L1 in pixels and in their differences at several scales, a weak pull towards a
normal distribution, and, for those who have the time, a patch critic (Isola et al. 2017, arXiv 1611.07004) with hinge
loss, which keeps fine speckle that L1 alone would smooth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from detection.painter.learning import Learner
from generator.foundation.device import autocast
from generator.foundation.training import to_channels_last
from generator.painting.stable_diffusion import to_tensor

GRADIENT_SCALES = (1, 2, 4)

# Random numbers of a step -> a batch of pictures (HWC uint8 RGB each, of one size).
DrawPictures = Callable[[np.random.Generator], Sequence[np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class VaeRecipe:
    """What a VAE is trained by. The critic plays from `critic_from` on, a share of the budget; weight 0: never."""

    learning_rate: float = 3e-4
    kl_weight: float = 3e-4
    ema_decay: float = 0.999
    critic_channels: int = 32
    critic_learning_rate: float = 2e-4
    critic_weight: float = 0.0
    critic_from: float = 0.3


def vae_learners(vae: Any, draw: DrawPictures, recipe: VaeRecipe, device: torch.device) -> list[Learner]:
    """Learners of a VAE, in an order in which both judge the same pictures; light varies a little."""
    # Filled in by the first learner of a step, looked at by the second.
    pair: list[torch.Tensor] = []
    critic = to_channels_last(_critic(recipe.critic_channels), device)

    def loss(rng: np.random.Generator, progress: float) -> torch.Tensor:
        real = vary_light(to_tensor(np.stack(draw(rng))).to(device))
        real = real.contiguous(memory_format=torch.channels_last)
        with autocast(device):
            posterior = vae.encode(real).latent_dist
            fake = vae.decode(posterior.sample()).sample.float()
        pair[:] = [real, fake.detach()]
        total = functional.l1_loss(fake, real) + gradient_loss(fake, real) + recipe.kl_weight * _kl(posterior)
        if recipe.critic_weight and progress >= recipe.critic_from:
            with autocast(device):
                total = total - recipe.critic_weight * critic(fake).float().mean()
        return torch.as_tensor(total)

    def critic_loss(_rng: np.random.Generator, progress: float) -> torch.Tensor | None:
        if progress < recipe.critic_from:
            return None
        real, fake = pair
        with autocast(device):
            real_score, fake_score = critic(real).float(), critic(fake).float()
        return torch.as_tensor(functional.relu(1 - real_score).mean() + functional.relu(1 + fake_score).mean())

    learners = [
        Learner(modules={"vae": vae}, loss=loss, learning_rate=recipe.learning_rate, ema_decay=recipe.ema_decay)
    ]
    if recipe.critic_weight:
        learners.append(
            Learner(modules={"critic": critic}, loss=critic_loss, learning_rate=recipe.critic_learning_rate)
        )
    return learners


@torch.no_grad()
def set_scale(vae: Any, pictures: Sequence[np.ndarray], device: torch.device) -> float:
    """Set the scale that gives the latents of pictures a standard deviation of 1; returns what that was without it."""
    rows = []
    for picture in pictures:
        with autocast(device):
            rows.append(vae.encode(to_tensor(np.array(picture)[None]).to(device)).latent_dist.mode().float().flatten())
    std = float(torch.cat(rows).std())
    vae.register_to_config(scaling_factor=1 / std)
    return std


@torch.no_grad()
def tie_channels(vae: Any) -> None:
    """Let a VAE paint grey: its three channels become their mean. Where all photos are grey nothing else ties them."""
    last = vae.decoder.conv_out
    for parameter in (last.weight, last.bias):
        parameter.copy_(parameter.mean(dim=0, keepdim=True).expand_as(parameter).clone())


@torch.inference_mode()
def reconstruct(vae: Any, picture: np.ndarray, device: torch.device) -> np.ndarray:
    """What is left of a picture (HWC uint8 RGB, sides multiples of 8): HWC float32 in [0, 255]."""
    mode = vae.encode(to_tensor(np.array(picture)[None]).to(device)).latent_dist.mode()
    decoded = (vae.decode(mode).sample[0].permute(1, 2, 0).float().cpu().numpy() + 1) * 127.5
    return np.clip(decoded, 0, 255).astype(np.float32)


def psnr(vae: Any, pictures: Sequence[np.ndarray], device: torch.device) -> float:
    """Peak signal-to-noise ratio of reconstructions in dB, mean over pictures (HWC uint8 RGB)."""
    errors = [float(np.mean((reconstruct(vae, picture, device) - picture) ** 2)) for picture in pictures]
    return float(np.mean([10 * np.log10(255**2 / max(error, 1e-12)) for error in errors]))


def speckle_kept(vae: Any, pictures: Sequence[np.ndarray], device: torch.device) -> float:
    """Standard deviation of the Laplacian of reconstructions as a share of that of the pictures.

    1 is as sharp as the photo, below 1 is smoothed.
    """
    given = sum(float(cv2.Laplacian(picture.astype(np.float32), cv2.CV_32F).std()) for picture in pictures)
    kept = (float(cv2.Laplacian(reconstruct(vae, each, device), cv2.CV_32F).std()) for each in pictures)
    return sum(kept) / given


def vary_light(pictures: torch.Tensor) -> torch.Tensor:
    """Change gain and offset of each channel by a few hundredths, one draw a picture; grey pictures stay grey."""
    shape = (len(pictures), 3, 1, 1)
    gain = 1 + 0.06 * (2 * torch.rand(shape, device=pictures.device) - 1)
    offset = 0.06 * (2 * torch.rand(shape, device=pictures.device) - 1)
    grey = (pictures.amax(1, keepdim=True) - pictures.amin(1, keepdim=True)).amax(dim=(2, 3), keepdim=True) < 0.025
    gain, offset = (torch.where(grey, each[:, :1].expand(shape), each) for each in (gain, offset))
    return (pictures * gain + offset).clamp(-1, 1)


def gradient_loss(fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of the differences between neighbours, at full, half and quarter size."""
    total = torch.zeros((), device=fake.device)
    for scale in GRADIENT_SCALES:
        error = functional.avg_pool2d(fake - real, scale)
        total = total + error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return total


def _kl(posterior: Any) -> torch.Tensor:
    """Divergence from a normal distribution, mean over the numbers of a latent (Kingma & Welling, arXiv 1312.6114)."""
    mean, log_variance = posterior.mean.float(), posterior.logvar.float()
    return torch.as_tensor(0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean())


def _critic(channels: int) -> nn.Sequential:
    """Score patches of 46 px: (B, 3, H, W) -> (B, 1, h, w), above 0 for what looks real."""
    layers: list[nn.Module] = [nn.Conv2d(3, channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    for number in range(2):
        wide = channels * 2 ** (number + 1)
        layers += [nn.Conv2d(wide // 2, wide, 4, stride=2, padding=1), nn.GroupNorm(4, wide), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(channels * 4, 1, 4, padding=1))
