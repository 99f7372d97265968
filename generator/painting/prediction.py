"""What the UNet predicts at one step: guided inside the interval, over its deep features where they are kept."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from generator.config import PaintingConfig
from generator.painting.models import DiffusionModel


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
        self._extra = _extra_channels(masking, model)
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


def _extra_channels(masking: Masking | None, model: DiffusionModel) -> torch.Tensor | None:
    if masking is None or model.in_channels != 9:
        return None
    return torch.cat([masking.mask, masking.latents], dim=1).to(model.dtype)
