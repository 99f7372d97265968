"""How a UNet, and the text encoder that it listens to, learn to denoise.

The UNet has nine channels (inpainting; with everything masked it paints whole scenes) or four, and predicts v (Salimans
& Ho 2022, arXiv 2202.00512) or the noise, weighted by the clipped signal-to-noise ratio (Hang et al. 2023, arXiv
2303.09556).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionInpaintPipeline

from detection.painter.learning import Learner
from detection.painter.samples import Bank, Encoded
from generator.foundation.device import autocast

EVALUATION_BATCH = 16


@dataclass(frozen=True, kw_only=True)
class UnetRecipe:
    """What a UNet is trained by; `canvas_share` of its steps are of whole scenes at the size of the canvas."""

    batch_size: int = 16
    learning_rate: float = 3e-4
    ema_decay: float = 0.995
    empty_prompt_share: float = 0.1
    snr_limit: float = 5.0
    # At pure noise the clipped weight is 0: pocket v0 never learned the first step of painting, which sets the colours
    # of a scene, and its scenes had a cast each of their own. 0 is v0's weighting.
    least_weight: float = 0.1
    weight_inside: float = 2.0
    canvas_share: float = 0.15
    # Different samples that are met at the start and at the end: encoding them takes longer than a step on them.
    samples: tuple[int, int] = (64, 4000)


@dataclass(frozen=True, kw_only=True, eq=False)
class Denoiser:
    """A UNet, its text encoder and tokenizer; `levels` are the cumulative alphas of the schedule on the device, and
    `prediction_type` ("v_prediction", "epsilon") is what the UNet predicts."""

    unet: Any
    text_encoder: Any
    tokenizer: Any
    levels: torch.Tensor
    prediction_type: str = "v_prediction"

    def embed(self, captions: Sequence[str]) -> torch.Tensor:
        """Captions -> (B, tokens, width)."""
        ids = tokens_of(self.tokenizer, captions).to(self.levels.device)
        return torch.as_tensor(self.text_encoder(ids)[0])

    def errors(
        self, rows: Sequence[Encoded], captions: Sequence[str], noise: torch.Tensor, steps: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Squared errors of v or of the noise (B, 4, h, w), of samples at steps of the schedule, and their masks
        (B, 1, h, w); both are 0 where nothing is to be learned.
        """
        # Half precision does not go together with the autocast of a CPU.
        clean, masked, masks, shown = (
            torch.stack([getattr(row, name) for row in rows]).float() for name in ("latents", "masked", "mask", "shown")
        )
        signal, spread = (part.sqrt()[:, None, None, None] for part in (self.levels[steps], 1 - self.levels[steps]))
        seen = signal * clean + spread * noise
        if self.unet.config.in_channels != clean.shape[1]:
            seen = torch.cat([seen, masks, masked], dim=1)
        with autocast(noise.device):
            texts = self.embed(captions)
            found = self.unet(seen.contiguous(memory_format=torch.channels_last), steps, texts, return_dict=False)[0]
        wanted = noise if self.prediction_type == "epsilon" else signal * noise - spread * clean
        return shown * (found.float() - wanted) ** 2, shown * masks

    def loss(self, rows: Sequence[Encoded], recipe: UnetRecipe, rng: np.random.Generator) -> torch.Tensor:
        """The loss of samples at random steps of the schedule, some of them without their caption."""
        device, count = self.levels.device, len(rows)
        silent = rng.random(count) < recipe.empty_prompt_share
        captions = ["" if quiet else row.caption for quiet, row in zip(silent, rows, strict=True)]
        steps = torch.from_numpy(rng.integers(len(self.levels), size=count)).to(device)
        noise = torch.randn(count, *rows[0].latents.shape, device=device)
        error, masks = self.errors(rows, captions, noise, steps)
        inside = 1 + (recipe.weight_inside - 1) * masks
        weights = weights_of(self.levels[steps], recipe, self.prediction_type)
        return (weights * (error * inside).mean(dim=(1, 2, 3))).mean()


def save_pipeline(denoiser: Denoiser, vae: Any, scheduler: Any, folder: Path) -> None:
    """Save an inpainting pipeline in the layout of diffusers, in half precision, which its models have from then on."""
    pipeline: Any = StableDiffusionInpaintPipeline(
        vae=vae.half(),
        text_encoder=denoiser.text_encoder.half(),
        tokenizer=denoiser.tokenizer,
        unet=denoiser.unet.half(),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)


def unet_learner(denoiser: Denoiser, crops: Bank, canvases: Bank | None, recipe: UnetRecipe) -> Learner:
    """Learner of a UNet and its text encoder from samples of crops and, where there are any, of whole canvases."""

    def loss(rng: np.random.Generator, progress: float) -> torch.Tensor:
        first, last = recipe.samples
        known, count, bank = int(first + progress * (last - first)), recipe.batch_size, crops
        if rng.random() < recipe.canvas_share and canvases is not None:
            known, count, bank = math.ceil(known * recipe.canvas_share / 4), max(1, count // 4), canvases
        return denoiser.loss(bank.rows(rng.integers(known, size=count).tolist()), recipe, rng)

    return Learner(
        modules={"unet": denoiser.unet, "text_encoder": denoiser.text_encoder},
        loss=loss,
        learning_rate=recipe.learning_rate,
        ema_decay=recipe.ema_decay,
    )


@torch.inference_mode()
def held_out_loss(denoiser: Denoiser, rows: Sequence[Encoded], seed: int, batch_size: int = EVALUATION_BATCH) -> float:
    """Mean squared error of what is predicted inside the masks of samples, not weighted, prompts as captioned.

    Noise depends on the seed alone, noise levels are spread evenly; a UNet that predicts 0 has about 1.
    """
    device, total = denoiser.levels.device, 0.0
    shape = (len(rows), *rows[0].latents.shape)
    noise = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed)).to(device)
    for first in range(0, len(rows), batch_size):
        batch = rows[first : first + batch_size]
        numbers = torch.arange(first, first + len(batch), device=device)
        steps = numbers * len(denoiser.levels) // len(rows)
        captions = [row.caption for row in batch]
        error, masks = denoiser.errors(batch, captions, noise[first : first + len(batch)], steps)
        inside = (error * masks).sum(dim=(1, 2, 3)) / masks.sum(dim=(1, 2, 3)).clamp(min=1) / error.shape[1]
        total += float(inside.sum())
    return total / len(rows)


def weights_of(levels: torch.Tensor, recipe: UnetRecipe, prediction_type: str = "v_prediction") -> torch.Tensor:
    """Weights of noise levels: min(snr, limit) / (snr + 1) for v, / snr for noise, and `least_weight` at least."""
    snr = levels / (1 - levels)
    over = snr if prediction_type == "epsilon" else snr + 1
    return (snr.clamp(max=recipe.snr_limit) / over).clamp(min=recipe.least_weight)


def tokens_of(tokenizer: Any, texts: Sequence[str]) -> torch.Tensor:
    """Token ids (N, positions), padded to the end as boxpaint does."""
    length = tokenizer.model_max_length
    found = tokenizer(list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return torch.as_tensor(found.input_ids)
