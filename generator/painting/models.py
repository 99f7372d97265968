"""Folders and hub repositories in the layout of diffusers -> the parts that paint.

Only the parts are loaded, not a diffusers pipeline: it would bring a safety checker, an image processor and a second
of imports. https://huggingface.co/docs/diffusers/using-diffusers/loading
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DPMSolverMultistepScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from generator.bundles import DiffusionRef, ModelRef
from generator.foundation.errors import ModelError
from generator.models.loading import load_from
from generator.painting.adapters import add_adapters
from generator.painting.upsampling import with_fast_upsampling

_MAX_CACHED_PROMPTS = 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class DiffusionModel:
    """One latent diffusion model, ready on its device: UNet, VAE, text encoder and the noise schedule it was
    trained with."""

    role: str
    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    scheduler_config: dict[str, Any]
    device: torch.device
    dtype: torch.dtype
    _embeddings: dict[str, torch.Tensor] = field(default_factory=dict, init=False, repr=False)

    @property
    def in_channels(self) -> int:
        """4: noisy latents only; 9: noisy latents, mask, masked latents."""
        return int(self.unet.config.in_channels)

    @property
    def vae_scale(self) -> int:
        """Pixels per latent, 8 for Stable Diffusion."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def size_multiple(self) -> int:
        """Picture sides must be a multiple of this for the UNet's halvings to come out even."""
        return self.vae_scale * int(2 ** (len(self.unet.config.block_out_channels) - 1))

    @property
    def native_px(self) -> int:
        """Side of the pictures that the UNet was trained on."""
        return int(self.unet.config.sample_size) * self.vae_scale

    @property
    def knows_guidance(self) -> bool:
        """Whether the UNet was distilled to take the guidance scale as an input, and needs no second look."""
        return getattr(self.unet.config, "time_cond_proj_dim", None) is not None

    def guidance_condition(self, scale: float, rows: int) -> torch.Tensor | None:
        """That input, (rows, width); None where the UNet takes none."""
        if not self.knows_guidance:
            return None
        embedded = guidance_embedding(scale, int(self.unet.config.time_cond_proj_dim))
        return embedded.expand(rows, -1).to(self.device, self.dtype)

    def new_scheduler(self) -> DPMSolverMultistepScheduler:
        """Make a fresh DPM-Solver++ (arXiv 2211.01095) on the model's own schedule and prediction type.

        `from_config` keeps epsilon or v-prediction and the betas; the solver is ours because 20-25 of its steps
        equal 50 of DDIM.
        """
        return DPMSolverMultistepScheduler.from_config(self.scheduler_config, algorithm_type="dpmsolver++")

    def embed_prompt(self, prompt: str) -> torch.Tensor:
        """Text embedding (1, tokens, width); one prompt at a time, so that it never depends on its batch; cached."""
        if prompt not in self._embeddings:
            if len(self._embeddings) >= _MAX_CACHED_PROMPTS:
                self._embeddings.clear()
            self._embeddings[prompt] = self._embed(prompt)
        return self._embeddings[prompt]

    def overlong(self, prompt: str) -> int:
        """Count the tokens of a prompt that the text encoder will not see."""
        return max(0, len(self.tokenizer(prompt).input_ids) - int(self.tokenizer.model_max_length))

    def _embed(self, prompt: str) -> torch.Tensor:
        tokens = self.tokenizer(
            prompt,
            padding="max_length",
            max_length=self.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        uses_mask = getattr(self.text_encoder.config, "use_attention_mask", False)
        mask = tokens.attention_mask.to(self.device) if uses_mask else None
        with torch.inference_mode():
            hidden: torch.Tensor = self.text_encoder(tokens.input_ids.to(self.device), attention_mask=mask)[0]
        return hidden


def load_tiny_vae(ref: ModelRef, *, like: DiffusionModel, dtype: torch.dtype, offline: bool) -> Any:
    """Load an `AutoencoderTiny` of diffusers for the latents of another model's VAE. Raises ModelError."""

    def load(source: str, _hub: dict[str, Any], weights: dict[str, Any]) -> Any:
        vae = AutoencoderTiny.from_pretrained(source, dtype=dtype, **weights)
        shape = vae.config.latent_channels, len(vae.config.block_out_channels)
        if shape != (like.vae.config.latent_channels, len(like.vae.config.block_out_channels)):
            raise ModelError(f"models.vae: {source!r} is not for latents of the kind that {like.role} paints")
        return vae

    vae = load_from(
        "vae",
        ref,
        load,
        marker="config.json",
        layout="config.json and diffusion_pytorch_model.safetensors of an AutoencoderTiny",
        device=like.device,
        offline=offline,
    )
    vae.requires_grad_(False).eval().to(like.device)
    return vae.to(memory_format=torch.channels_last)


def guidance_embedding(scale: float, width: int) -> torch.Tensor:
    """Embed a guidance scale, (1, width) float32, for a UNet that was distilled to know it.

    Sines and cosines of 1000 x (scale - 1): Luo et al. 2023, arXiv 2310.04378, as in the pipeline of diffusers.
    """
    rates = torch.exp(torch.arange(width // 2) * -(math.log(10_000.0) / (width // 2 - 1)))
    angles = 1000.0 * (scale - 1) * rates
    return torch.cat([angles.sin(), angles.cos()])[None]


def load_model(
    role: str,
    ref: ModelRef,
    *,
    device: torch.device,
    dtype: torch.dtype,
    offline: bool,
    for_training: bool = False,
) -> DiffusionModel:
    """Load a diffusion model from its folder or the hub, with its adapters in its weights.

    `for_training`: its modules stay as diffusers made them, so that they can be trained and saved. Raises ModelError
    (generator/models/loading.py, generator/painting/adapters.py).
    """

    def load(source: str, hub: dict[str, Any], weights: dict[str, Any]) -> DiffusionModel:
        unet = UNet2DConditionModel.from_pretrained(source, subfolder="unet", dtype=dtype, **weights)
        vae = AutoencoderKL.from_pretrained(source, subfolder="vae", dtype=dtype, **weights)
        text_encoder = CLIPTextModel.from_pretrained(source, subfolder="text_encoder", dtype=dtype, **weights)
        tokenizer = CLIPTokenizer.from_pretrained(source, subfolder="tokenizer", **hub)
        scheduler_config = DPMSolverMultistepScheduler.load_config(source, subfolder="scheduler", **hub)
        if unet.config.in_channels not in (4, 9) or not isinstance(unet.config.sample_size, int):
            raise ModelError(
                f"models.{role}: {source!r} has a UNet of {unet.config.in_channels} channels; text-to-image (4) and "
                "inpainting (9) models of Stable Diffusion 1 and 2 can be used"
            )
        for part in (unet, vae, text_encoder):
            part.requires_grad_(False).eval().to(device)
        return DiffusionModel(
            role=role,
            unet=unet,
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            scheduler_config=dict(scheduler_config),
            device=device,
            dtype=dtype,
        )

    model = load_from(
        role,
        ref,
        load,
        marker="unet/config.json",
        layout="unet, vae, text_encoder, tokenizer and scheduler in the layout of diffusers",
        device=device,
        offline=offline,
    )
    if isinstance(ref, DiffusionRef) and ref.adapters:
        add_adapters(role, ref, model.unet, model.text_encoder, offline=offline)
    if device.type == "cpu" and not for_training:  # where it was measured
        with_fast_upsampling(model.unet)
        with_fast_upsampling(model.vae)
    model.unet.to(memory_format=torch.channels_last)
    model.vae.to(memory_format=torch.channels_last)
    return model
