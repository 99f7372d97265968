"""The denoising loop: short, batch first, our own.

The pipelines of diffusers cannot take a list of pictures with their own seeds, stop guidance half-way or share
masked latents without working around their arguments; over unet, vae and scheduler the loop is a page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from generator.config import PaintingConfig
from generator.painting.models import DiffusionModel

REDRAW_STEPS = 2

# Number of a step -> noise (B, 4, h, w), of each picture's own seed.
FreshNoise = Callable[[int], torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Masking:
    """What a batch is to keep: `mask` (B, 1, h, w), 1 where to paint; `latents` (B, 4, h, w) of the pictures.

    For a UNet of nine channels the latents are those of the pictures with the masked part greyed out; for one of four
    channels those of the whole pictures.
    """

    mask: torch.Tensor
    latents: torch.Tensor


class Predictor:
    """Asks the UNet about one batch, step by step.

    `prompts` and `negatives` are (B, tokens, width). Guidance (arXiv 2207.12598) is paid for only inside its interval
    of noise levels (arXiv 2404.07724).
    """

    def __init__(
        self,
        model: DiffusionModel,
        prompts: torch.Tensor,
        negatives: torch.Tensor,
        masking: Masking | None,
        painting: PaintingConfig,
    ):
        self._model = model
        self._prompts = prompts
        self._both = torch.cat([negatives, prompts])
        self._extra = None
        if masking is not None and model.in_channels == 9:
            self._extra = torch.cat([masking.mask, masking.latents], dim=1).to(model.dtype)
        self._painting = painting

    def __call__(self, latents: torch.Tensor, timestep: torch.Tensor, noise_level: float) -> torch.Tensor:
        """Latents (B, 4, h, w) at a step of the training schedule -> noise, or velocity, (B, 4, h, w) float32."""
        low, high = self._painting.guidance_interval
        scale = self._painting.guidance_scale
        x = latents.to(self._model.dtype)
        if self._extra is not None:
            x = torch.cat([x, self._extra], dim=1)
        x = x.contiguous(memory_format=torch.channels_last)
        if scale > 1 and low <= noise_level <= high and not self._model.knows_guidance:
            away, toward = self._run(torch.cat([x, x]), timestep, self._both).chunk(2)
            return away + scale * (toward - away)
        return self._run(x, timestep, self._prompts)

    def _run(self, x: torch.Tensor, timestep: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        condition = self._model.guidance_condition(self._painting.guidance_scale, len(x))
        predicted: torch.Tensor = self._model.unet(x, timestep, words, timestep_cond=condition, return_dict=False)[0]
        return predicted.float()


def starting_noise(seeds: list[int], size_wh: tuple[int, int], model: DiffusionModel) -> torch.Tensor:
    """Draw latent noise for pictures of a size, one seed for each, on the CPU: every device starts from the same."""
    channels, scale = int(model.vae.config.latent_channels), model.vae_scale
    shape = channels, size_wh[1] // scale, size_wh[0] // scale
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
    fresh_noise: FreshNoise,
) -> torch.Tensor:
    """Noise (B, 4, h, w) -> latents of the same shape, by the sampler that the config names, with guidance.

    `prompts` and `negatives` are (B, tokens, width); `fresh_noise(step)` draws noise like the first for samplers that
    want more of it. With a UNet of four channels and a mask, what is to be kept is put back at each noise level
    (arXiv 2201.09865).
    """
    predict = Predictor(model, prompts, negatives, masking, painting)
    keep = masking if model.in_channels == 4 else None
    return SAMPLERS[painting.sampler](model, noise, predict, keep, painting.steps, fresh_noise)


def sample_dpm(
    model: DiffusionModel,
    noise: torch.Tensor,
    predict: Predictor,
    keep: Masking | None,
    steps: int,
    _fresh_noise: FreshNoise,
) -> torch.Tensor:
    """DPM-Solver++ (arXiv 2211.01095) on the model's own schedule; it needs no further noise."""
    scheduler: Any = model.new_scheduler()
    scheduler.set_timesteps(steps, device=model.device)
    latents = noise * scheduler.init_noise_sigma
    levels = scheduler.config.num_train_timesteps
    # Read once: reading a number off the GPU at every step would stop it each time.
    noise_levels = [(timestep + 1) / levels for timestep in scheduler.timesteps.tolist()]
    for step, timestep in enumerate(scheduler.timesteps):
        predicted = predict(scheduler.scale_model_input(latents, timestep), timestep, noise_levels[step])
        latents = scheduler.step(predicted, timestep, latents, return_dict=False)[0]
        if keep is not None:
            kept = keep.latents.float()
            if step + 1 < len(scheduler.timesteps):
                kept = scheduler.add_noise(kept, noise, scheduler.timesteps[step + 1 : step + 2])
            latents = torch.where(keep.mask > 0.5, latents, kept)
    return latents


def sample_consistency(
    model: DiffusionModel,
    noise: torch.Tensor,
    predict: Predictor,
    keep: Masking | None,
    steps: int,
    fresh_noise: FreshNoise,
) -> torch.Tensor:
    """Guess the picture, noise it to the next level, guess again: for models that were distilled to a few steps.

    Song et al. 2023, arXiv 2303.01469, algorithm 1; Luo et al. 2023 (LCM), arXiv 2310.04378; Sauer et al. 2023
    (SD-Turbo), arXiv 2311.17042. Levels are evenly spaced and end where the training schedule does. The boundary
    scalings of LCM differ from 0 and 1 by less than 1e-5 at these levels, and are left out.
    """
    scheduler: Any = model.new_scheduler()
    levels = scheduler.config.num_train_timesteps
    timesteps = [round(levels - step * levels / steps) - 1 for step in range(steps)]
    shares = scheduler.alphas_cumprod
    latents = noise
    for step, timestep in enumerate(timesteps):
        signal, noisy = float(shares[timestep]) ** 0.5, float(1 - shares[timestep]) ** 0.5
        at = torch.tensor(timestep, device=model.device)
        predicted = predict(latents, at, (timestep + 1) / levels)
        if scheduler.config.prediction_type == "v_prediction":
            guess = signal * latents - noisy * predicted
        else:
            guess = (latents - noisy * predicted) / signal
        if keep is not None:
            guess = torch.where(keep.mask > 0.5, guess, keep.latents.float())
        if step + 1 == steps:
            return guess
        share = float(shares[timesteps[step + 1]])
        latents = share**0.5 * guess + (1 - share) ** 0.5 * fresh_noise(step + 1)
    raise ValueError("a sampler needs a step or more")


# (model, noise, predictor, what to keep, steps, further noise) -> latents
SAMPLERS: dict[str, Callable[..., torch.Tensor]] = {"dpm": sample_dpm, "consistency": sample_consistency}


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
    predict = Predictor(model, prompts, prompts, masking, PaintingConfig(guidance_scale=1.0))
    latents = scheduler.add_noise(latents, noise, timesteps[:1])
    scheduler.set_begin_index(len(scheduler.timesteps) - len(timesteps))
    for timestep in timesteps:
        predicted = predict(scheduler.scale_model_input(latents, timestep), timestep, level)
        latents = scheduler.step(predicted, timestep, latents, return_dict=False)[0]
    return latents


@torch.inference_mode()
def encode(model: DiffusionModel, pixels: torch.Tensor) -> torch.Tensor:
    """Pictures (B, 3, H, W) in [-1, 1] -> scaled latents (B, 4, H/8, W/8).

    The mode of the posterior, not a sample of it: nothing random beside the noise.
    """
    encoded = [model.vae.encode(part) for part in _vae_batches(pixels.to(model.device), model)]
    # A tiny VAE (models.vae) gives latents, the usual one a distribution of them.
    rows = [each.latents if hasattr(each, "latents") else each.latent_dist.mode() for each in encoded]
    return torch.cat([row.float() for row in rows]) * model.vae.config.scaling_factor


@torch.inference_mode()
def decode(model: DiffusionModel, latents: torch.Tensor) -> torch.Tensor:
    """Scaled latents -> pictures (B, 3, H, W), float32 on the CPU, nominally in [-1, 1]."""
    batches = _vae_batches(latents / model.vae.config.scaling_factor, model)
    return torch.cat([model.vae.decode(part, return_dict=False)[0].float() for part in batches]).cpu()


def _vae_batches(rows: torch.Tensor, model: DiffusionModel) -> list[torch.Tensor]:
    """What the VAE is given at a time: on a CPU one picture, since more are no faster; else all of the batch."""
    given = rows.to(model.vae.dtype).contiguous(memory_format=torch.channels_last)
    return list(given.split(1 if model.device.type == "cpu" else len(rows)))
