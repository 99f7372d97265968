"""Folders and hub repositories in the layout of diffusers -> the parts that paint.

Only the parts are loaded, not a diffusers pipeline: it would bring a safety checker, an image processor and a second
of imports. https://huggingface.co/docs/diffusers/using-diffusers/loading
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from safetensors import SafetensorError
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils.logging import disable_progress_bar

from generator.bundles import ModelRef
from generator.errors import ModelError, ModelNotFoundError
from generator.painting.device import is_out_of_memory
from generator.storage import sha256_of

_MAX_CACHED_PROMPTS = 4096

# Its bar for reading a folder of weights says nothing that a person waits for; downloads keep theirs.
disable_progress_bar()


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


def load_model(role: str, ref: ModelRef, *, device: torch.device, dtype: torch.dtype, offline: bool) -> DiffusionModel:
    """Load a model from its folder or the hub; the variant (fp16 files) is tried first, then the plain files.

    Raises ModelNotFoundError when the files are not to be had, ModelError when they are broken.
    """
    source = ref.folder or ref.id or ""
    if ref.folder and not Path(ref.folder).is_dir():
        raise ModelNotFoundError(
            f"models.{role}.folder: there is no folder {ref.folder!r}; it must hold unet, vae, text_encoder, tokenizer "
            "and scheduler in the layout of diffusers"
        )
    cause = ""
    for variant in dict.fromkeys((ref.variant, None)):
        try:
            return _load(role, source, ref.revision, variant, device=device, dtype=dtype, offline=offline)
        except (OSError, ValueError, ImportError) as error:
            cause = (str(error).strip() or type(error).__name__).splitlines()[0]
            if variant is not None and variant in str(error):
                continue  # these files are what is missing; the plain ones may be there
            if ref.folder and (Path(ref.folder) / "unet" / "config.json").is_file():
                raise ModelError(f"models.{role}: the files of {source!r} cannot be loaded: {cause}") from error
            break
        except (SafetensorError, RuntimeError, KeyError, TypeError) as error:
            if is_out_of_memory(error):
                raise ModelError(
                    f"models.{role}: not enough memory on {device} for this model; try dtype: bfloat16 or device: cpu"
                ) from error
            raise ModelError(f"models.{role}: the files of {source!r} cannot be loaded: {error}") from error
    if ref.folder:
        advice = f"check models.{role}.folder and models.{role}.variant"
    elif offline:
        advice = (
            f"offline: true allows no download; set offline: false, or models.{role}.folder to a copy of the "
            "repository, or use bundle: pocket, which needs no download"
        )
    else:
        advice = (
            f"check the network, models.{role}.id and models.{role}.revision; a mirror is set with the environment "
            f"variable HF_ENDPOINT, a local copy with models.{role}.folder; bundle: pocket needs no download"
        )
    raise ModelNotFoundError(f"models.{role}: {source!r} cannot be had ({cause}); {advice}")


def _load(
    role: str,
    source: str,
    revision: str | None,
    variant: str | None,
    *,
    device: torch.device,
    dtype: torch.dtype,
    offline: bool,
) -> DiffusionModel:
    hub: dict[str, Any] = {"local_files_only": offline}
    if revision is not None:
        hub["revision"] = revision
    weights = {**hub, "variant": variant} if variant is not None else hub
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
    unet.to(memory_format=torch.channels_last)
    vae.to(memory_format=torch.channels_last)
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


def fingerprint(ref: ModelRef) -> str:
    """What identifies a model's weights: the commit of a hub snapshot, or a hash over a folder's weight files.

    Read after loading; a hub model that is not in the cache gives its wished revision.
    """
    if ref.folder:
        return "sha256:" + "+".join(sha256_of(file)[:12] for file in ref.weight_files())
    snapshot = ref.hub_snapshot()
    return f"commit:{snapshot.name}" if snapshot else f"revision:{ref.revision}"
