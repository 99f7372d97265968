"""How a large painter, such as Stable Diffusion, learns a few objects: a LoRA beside its attention, the rest frozen.

Hu et al. 2021, arXiv 2106.09685, by peft; on a UNet's attention as DefectFill has it (arXiv 2503.13985). So that it
does not forget what else there is, some steps are of pictures that it painted itself before (Ruiz et al. 2023,
DreamBooth, arXiv 2208.12242). The file is in the form of diffusers: `models.inpaint.adapters` takes it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionInpaintPipeline
from diffusers.training_utils import cast_training_params
from diffusers.utils.state_dict_utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

from detection.painter.learning import Learner
from detection.painter.samples import Bank, Encoded, Sample
from detection.painter.unet import Denoiser, UnetRecipe
from generator.bundles import ModelRef
from generator.config import PaintingConfig
from generator.foundation.errors import ModelError
from generator.foundation.seeds import derive_rng, derive_seed
from generator.painting.crop import LATENT_PX
from generator.painting.diffusion import Masking, decode, denoise, encode, starting_noise
from generator.painting.models import DiffusionModel
from generator.painting.stable_diffusion import to_pixels

UNET_LAYERS = ("to_q", "to_k", "to_v", "to_out.0")
TEXT_LAYERS = ("q_proj", "k_proj", "v_proj", "out_proj")
# What pictures that a model is to remember show: nothing that is learned.
PRIOR_PROMPTS = (
    "a photo",
    "a close-up photo",
    "a photo of a room",
    "a photo of a street",
    "a photo of a landscape",
    "a photo of an animal",
    "a photo of a surface",
    "a photo taken through a microscope",
)
_WORD = re.compile(r"[^\W\d_]+")
_PRIOR_BOX_SHARES = (0.2, 0.6)


@dataclass(frozen=True, kw_only=True)
class LoraRecipe(UnetRecipe):
    """What a LoRA is trained by: `alpha` over `rank` scales what it adds; `prior_share` of the steps are of pictures
    that the model painted itself.
    """

    rank: int = 16
    alpha: int = 16
    text_encoder: bool = False
    prior_share: float = 0.2
    gradient_checkpointing: bool = True
    batch_size: int = 4
    learning_rate: float = 1e-4
    ema_decay: float = 0.99


@dataclass(frozen=True, kw_only=True, eq=False)
class FrozenWords(Denoiser):
    """A denoiser whose text encoder does not learn: each caption is embedded once, alone, and `known` from then on."""

    known: dict[str, torch.Tensor] = field(default_factory=dict, repr=False)

    def embed(self, captions: Sequence[str]) -> torch.Tensor:
        """Captions -> (B, tokens, width)."""
        for caption in captions:
            if caption not in self.known:
                # Also where it is asked for a score: what is made there may not be learned from.
                with torch.inference_mode(False), torch.no_grad():
                    self.known[caption] = super().embed([caption])
        return torch.cat([self.known[caption] for caption in captions])


def add_lora(model: DiffusionModel, recipe: LoraRecipe, seed: int) -> Denoiser:
    """Add a LoRA that changes nothing yet to a model that was loaded `for_training`, and return what is trained.

    Its weights are float32, whatever those of the model are. Raises ModelError for a model that predicts what cannot be
    learned from.
    """
    scheduler: Any = model.new_scheduler()
    prediction_type = str(scheduler.config.prediction_type)
    if prediction_type not in ("epsilon", "v_prediction"):
        raise ModelError(f"models.{model.role} predicts {prediction_type!r}: a LoRA can be trained on noise and v only")
    parts = {"unet": (model.unet, UNET_LAYERS)}
    if recipe.text_encoder:
        parts["text_encoder"] = model.text_encoder, TEXT_LAYERS
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(seed)
        for part, layers in parts.values():
            part.add_adapter(LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, target_modules=list(layers)))
            cast_training_params(part, dtype=torch.float32)
    if recipe.gradient_checkpointing:
        model.unet.enable_gradient_checkpointing()
    return (Denoiser if recipe.text_encoder else FrozenWords)(
        unet=model.unet,
        text_encoder=model.text_encoder,
        tokenizer=model.tokenizer,
        levels=scheduler.alphas_cumprod.to(model.device),
        prediction_type=prediction_type,
    )


def lora_learner(denoiser: Denoiser, samples: Bank, prior: Sequence[Encoded], recipe: LoraRecipe) -> Learner:
    """Learner of a LoRA from samples and, where there are any, from pictures that the model painted itself."""

    def loss(rng: np.random.Generator, progress: float) -> torch.Tensor:
        first, last = recipe.samples
        is_prior = rng.random() < recipe.prior_share and bool(prior)
        known = len(prior) if is_prior else int(first + progress * (last - first))
        numbers = rng.integers(known, size=recipe.batch_size).tolist()
        return denoiser.loss([prior[k] for k in numbers] if is_prior else samples.rows(numbers), recipe, rng)

    modules = {"unet": denoiser.unet}
    if recipe.text_encoder:
        modules["text_encoder"] = denoiser.text_encoder
    return Learner(modules=modules, loss=loss, learning_rate=recipe.learning_rate, ema_decay=recipe.ema_decay)


def paint_prior(model: DiffusionModel, count: int, categories: Sequence[str], seed: int) -> list[Sample]:
    """Let a model paint pictures of its native size that it is to remember, from prompts that name no class.

    For an inpainting model every other one is to be repainted in a box only.
    """
    foreign = {word for name in categories for word in _WORD.findall(name.lower())}
    prompts = [prompt for prompt in PRIOR_PROMPTS if not foreign & {*_WORD.findall(prompt)}]
    side, is_inpainting = model.native_px, model.in_channels == 9
    masking = None
    if is_inpainting:
        grey = encode(model, torch.zeros(1, 3, side, side))
        masking = Masking(mask=torch.ones_like(grey[:, :1]), latents=grey)
    samples = []
    for number in range(count):
        prompt = prompts[number % len(prompts)]
        noise = starting_noise([derive_seed(seed, number)], (side, side), model)
        words, silence = model.embed_prompt(prompt), model.embed_prompt("")
        latents = denoise(model, noise, words, silence, masking, PaintingConfig(), lambda _: noise)  # noqa: B023 (at once)
        pixels = np.clip(np.rint(np.nan_to_num(to_pixels(decode(model, latents))[0])), 0, 255).astype(np.uint8)
        mask = np.ones((side, side), bool)
        if is_inpainting and number % 2:
            mask = _random_box(side, derive_rng(seed, number))
        samples.append(Sample(pixels=pixels, mask=mask, caption=prompt))
    return samples


def _random_box(side: int, rng: np.random.Generator) -> np.ndarray:
    cells = side // LATENT_PX
    width, height = (max(1, round(cells * share)) for share in rng.uniform(*_PRIOR_BOX_SHARES, size=2))
    x, y = rng.integers(0, cells - width, endpoint=True), rng.integers(0, cells - height, endpoint=True)
    small = np.zeros((cells, cells), np.uint8)
    small[y : y + height, x : x + width] = 1
    return np.kron(small, np.ones((LATENT_PX, LATENT_PX), np.uint8)).astype(bool)


def save_lora(model: DiffusionModel, folder: Path) -> None:
    """Write the LoRA of a model as `pytorch_lora_weights.safetensors` into a folder."""
    layers: dict[str, Any] = {}
    for part in ("unet", "text_encoder"):
        module = getattr(model, part)
        if not getattr(module, "peft_config", None):
            continue
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="peft")  # it looks for a vocabulary that was changed
            state = get_peft_model_state_dict(module)
        layers[f"{part}_lora_layers"] = convert_state_dict_to_diffusers(state)
        # Without a path of this machine.
        about = module.peft_config["default"].to_dict() | {"base_model_name_or_path": None}
        layers[f"{part}_lora_adapter_metadata"] = about
    StableDiffusionInpaintPipeline.save_lora_weights(folder, **layers)


def with_lora(ref: ModelRef | None, folder: str | None) -> dict[str, Any] | None:
    """A model's entry in a bundle's card, with one more adapter, in a folder beside the card, where there is one."""
    if ref is None:
        return None
    entry = ref.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return {**entry, "adapters": [*entry.get("adapters", ()), {"folder": folder}]} if folder else entry
