"""The denoising loop: short, batch first, our own.

The pipelines of diffusers cannot take a list of pictures with their own seeds, stop guidance half-way or share
masked latents without working around their arguments; over unet, vae and scheduler the loop is a page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from generator.config import PaintingConfig
from generator.painting.models import DiffusionModel

REDRAW_STEPS = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Masking:
    """What a batch is to keep: `mask` (B, 1, h, w), 1 where to paint; `latents` (B, 4, h, w) of the pictures.

    For a UNet of nine channels the latents are those of the pictures with the masked part greyed out; for one of four
    channels those of the whole pictures.
    """

    mask: torch.Tensor
    latents: torch.Tensor


def starting_noise(seeds: list[int], shape: tuple[int, int, int], model: DiffusionModel) -> torch.Tensor:
    """Draw noise (B, *shape), one seed for each picture, on the CPU so that every device starts from the same."""
    rows = [torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed)) for seed in seeds]
    return torch.stack(rows).to(model.device)


@torch.inference_mode()
def denoise(
    model: DiffusionModel,
    noise: torch.Tensor,
    prompts: torch.Tensor,
    negatives: torch.Tensor,
    masking: Masking | None,
    painting: PaintingConfig,
) -> torch.Tensor:
    """Noise (B, 4, h, w) -> latents of the same shape, by DPM-Solver++ with classifier-free guidance (arXiv
    2207.12598).

    `prompts` and `negatives` are (B, tokens, width). Guidance is paid for only inside its interval of noise levels
    (arXiv 2404.07724). With a UNet of four channels and a mask, what is to be kept is put back at each noise level
    (arXiv 2201.09865).
    """
    scheduler: Any = model.new_scheduler()
    scheduler.set_timesteps(painting.steps, device=model.device)
    extra = _extra_channels(masking, model)
    latents = noise * scheduler.init_noise_sigma
    both = torch.cat([negatives, prompts])
    low, high = painting.guidance_interval
    levels = scheduler.config.num_train_timesteps
    # Read once: reading a number off the GPU at every step would stop it each time.
    noise_levels = [(timestep + 1) / levels for timestep in scheduler.timesteps.tolist()]
    for step, timestep in enumerate(scheduler.timesteps):
        guided = painting.guidance_scale > 1 and low <= noise_levels[step] <= high
        x = _unet_input(scheduler, latents, timestep, extra, model)
        if guided:
            away, toward = model.unet(torch.cat([x, x]), timestep, both, return_dict=False)[0].float().chunk(2)
            predicted = away + painting.guidance_scale * (toward - away)
        else:
            predicted = model.unet(x, timestep, prompts, return_dict=False)[0].float()
        latents = scheduler.step(predicted, timestep, latents, return_dict=False)[0]
        if masking is not None and model.in_channels == 4:
            kept = masking.latents.float()
            if step + 1 < len(scheduler.timesteps):
                kept = scheduler.add_noise(kept, noise, scheduler.timesteps[step + 1 : step + 2])
            latents = torch.where(masking.mask > 0.5, latents, kept)
    return latents


@torch.inference_mode()
def redraw(
    model: DiffusionModel,
    latents: torch.Tensor,
    noise: torch.Tensor,
    prompts: torch.Tensor,
    masking: Masking | None,
    level: float,
) -> torch.Tensor:
    """Noise latents (B, 4, h, w) up to a noise level (share of the training schedule) and denoise them again.

    What is finer than that noise is drawn anew, everywhere by the same model at the same size (SDEdit, Meng et al.
    2022, arXiv 2108.01073); what is coarser stays. Without guidance, in REDRAW_STEPS steps.
    """
    scheduler: Any = model.new_scheduler()
    steps = max(REDRAW_STEPS, round(REDRAW_STEPS / level))
    scheduler.set_timesteps(steps, device=model.device)
    timesteps = scheduler.timesteps[-REDRAW_STEPS:]
    extra = _extra_channels(masking, model)
    latents = scheduler.add_noise(latents, noise, timesteps[:1])
    scheduler.set_begin_index(len(scheduler.timesteps) - len(timesteps))
    for timestep in timesteps:
        x = _unet_input(scheduler, latents, timestep, extra, model)
        predicted = model.unet(x, timestep, prompts, return_dict=False)[0].float()
        latents = scheduler.step(predicted, timestep, latents, return_dict=False)[0]
    return latents


def _extra_channels(masking: Masking | None, model: DiffusionModel) -> torch.Tensor | None:
    if masking is None or model.in_channels != 9:
        return None
    return torch.cat([masking.mask, masking.latents], dim=1).to(model.dtype)


def _unet_input(
    scheduler: Any, latents: torch.Tensor, timestep: torch.Tensor, extra: torch.Tensor | None, model: DiffusionModel
) -> torch.Tensor:
    x = scheduler.scale_model_input(latents, timestep).to(model.dtype)
    if extra is not None:
        x = torch.cat([x, extra], dim=1)
    return x.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def encode(model: DiffusionModel, pixels: torch.Tensor) -> torch.Tensor:
    """Pictures (B, 3, H, W) in [-1, 1] -> scaled latents (B, 4, H/8, W/8).

    The mode of the posterior, not a sample of it: nothing random beside the noise.
    """
    rows = [
        model.vae.encode(_vae_input(part, model)).latent_dist.mode().float()
        for part in pixels.to(model.device).split(_vae_rows(model, len(pixels)))
    ]
    return torch.cat(rows) * model.vae.config.scaling_factor


@torch.inference_mode()
def decode(model: DiffusionModel, latents: torch.Tensor) -> torch.Tensor:
    """Scaled latents -> pictures (B, 3, H, W), float32 on the CPU, nominally in [-1, 1]."""
    scaled = latents / model.vae.config.scaling_factor
    rows = [
        model.vae.decode(_vae_input(part, model), return_dict=False)[0].float()
        for part in scaled.split(_vae_rows(model, len(scaled)))
    ]
    return torch.cat(rows).cpu()


def _vae_rows(model: DiffusionModel, count: int) -> int:
    """Pictures that the VAE is given at a time: on a CPU one, since more are no faster; else all of the batch."""
    return 1 if model.device.type == "cpu" else count


def _vae_input(row: torch.Tensor, model: DiffusionModel) -> torch.Tensor:
    return row.to(model.vae.dtype).contiguous(memory_format=torch.channels_last)
