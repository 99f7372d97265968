"""The pocket's painter: an inpainting UNet of nine channels and the text encoder that it listens to.

Rombach et al. 2022, arXiv 2112.10752, at 17 M parameters. It predicts v (Salimans & Ho 2022, arXiv 2202.00512) on a
schedule that ends in pure noise (Lin et al. 2023, arXiv 2305.08891), weighted by the clipped signal-to-noise ratio
(Hang et al. 2023, arXiv 2303.09556). With everything masked it paints whole scenes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    StableDiffusionInpaintPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel

from generator.bundles import ModelRef
from generator.config import Config
from generator.foundation.device import autocast
from generator.foundation.errors import BoxpaintError
from generator.foundation.seeds import derive_seed
from generator.foundation.storage import atomic_writer
from generator.foundation.training import read_checkpoint
from generator.painting.models import load_model
from generator.painting.painter import BackgroundJob, InpaintJob
from generator.painting.stable_diffusion import StableDiffusionPainter
from training.pocket.grammar import clip_tokenizer
from training.pocket.loop import Learner, Session, checkpoint_file, fit, identify
from training.pocket.samples import Bank, SampleRecipe, fill_bank, load_bank, save_bank, stream_samples
from training.pocket.smears import measure_limits, read_smears, with_attributes

BANK_FILE = "inpaint.bank.safetensors"
WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"
SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "steps_offset": 1,
}
HELD_OUT_SAMPLES = 192
EVALUATION_BATCH = 16
SCENES = (
    "a blood smear with many red blood cells, no white blood cells",
    "a stained blood smear with some red blood cells only",
    "a micrograph of blood with a few red blood cells only",
)
OBJECTS = ("a large purple white blood cell", "a small purple platelet", "a red blood cell")
ROWS_PER_SCENE = 2
BOX_SHARE = 0.4
EDGE = 0


@dataclass(frozen=True, kw_only=True)
class InpaintRecipe:
    """Sizes and schedule. `bank_share` is the most of the budget that encoding samples may take."""

    channels: tuple[int, ...] = (96, 160, 224)
    head_width: int = 8
    norm_groups: int = 32
    text_width: int = 192
    text_hidden: int = 512
    text_layers: int = 3
    text_heads: int = 6
    vocabulary: int = 700
    positions: int = 32
    samples: SampleRecipe = field(default_factory=SampleRecipe)
    bank_size: int = 64_000
    bank_share: float = 0.25
    batch_size: int = 384
    learning_rate: float = 7e-4
    ema_decay: float = 0.9995
    empty_prompt_share: float = 0.1
    snr_limit: float = 5.0
    # At pure noise the clipped weight is 0: v0 never learned the first step of painting, which sets the colours of a
    # scene, and its scenes had a cast each of their own. 0 is v0's weighting.
    least_weight: float = 0.1
    weight_inside: float = 2.0


def made_from(session: Session, out: Path, recipe: InpaintRecipe) -> dict[str, str]:
    """Name what the training is made from, the VAE in `out` included. Raises BoxpaintError when there is none."""
    weights = out / "vae" / WEIGHTS_FILE
    if not weights.is_file():
        raise BoxpaintError(
            f"{out / 'vae'}: there is no VAE to paint with; train it first: python -m training.pocket vae"
        )
    return identify("inpaint", session, recipe, files={"vae": weights})


def train(session: Session, out: Path, recipe: InpaintRecipe) -> None:
    """Train on the training and validation photos; `out` holds `vae/` and becomes a whole pipeline's folder.

    Raises BoxpaintError when there is no VAE.
    """
    origin = made_from(session, out, recipe)
    # Before the bank of the other training is written over
    read_checkpoint(checkpoint_file(out.parent, "inpaint"), origin, torch.device("cpu"))
    vae = AutoencoderKL.from_pretrained(out / "vae", dtype=torch.float32).to(session.device).eval()
    bank = _bank(session, out, vae, recipe, origin)
    tokenizer = clip_tokenizer(recipe.vocabulary, recipe.positions, session.seed)
    torch.manual_seed(session.seed)
    unet: Any = UNet2DConditionModel(**_unet_config(recipe, bank.latents))
    unet.to(session.device, memory_format=torch.channels_last)
    text_encoder: Any = CLIPTextModel(_text_config(recipe, tokenizer))
    text_encoder.to(session.device)
    scheduler: Any = DPMSolverMultistepScheduler(**SCHEDULE)
    levels = scheduler.alphas_cumprod.to(session.device)
    prompts = _tokens(tokenizer, bank.captions).to(session.device)
    no_prompt = _tokens(tokenizer, [""]).to(session.device)

    def loss(rng: np.random.Generator, _progress: float) -> torch.Tensor:
        rows = torch.from_numpy(rng.integers(len(bank), size=recipe.batch_size)).to(session.device)
        silent = torch.from_numpy(rng.random(recipe.batch_size) < recipe.empty_prompt_share).to(session.device)
        ids = torch.where(silent[:, None], no_prompt, prompts[rows])
        steps = torch.from_numpy(rng.integers(len(levels), size=recipe.batch_size)).to(session.device)
        noise = torch.randn(len(rows), *bank.latents.shape[1:], device=session.device)
        with autocast(session.device):
            error = _errors(unet, text_encoder(ids)[0], bank, rows, noise, steps, levels)
        inside = 1 + (recipe.weight_inside - 1) * bank.masks[rows].float()
        return (weights_of(levels[steps], recipe) * (error * inside).mean(dim=(1, 2, 3))).mean()

    learner = Learner(
        modules={"unet": unet, "text_encoder": text_encoder},
        loss=loss,
        learning_rate=recipe.learning_rate,
        ema_decay=recipe.ema_decay,
    )
    left = replace(session, minutes=session.minutes - bank.seconds / 60)
    fit("inpaint", [learner], left, out.parent, batch_size=recipe.batch_size, made_from=origin)
    pipeline: Any = StableDiffusionInpaintPipeline(
        vae=vae.half(),
        text_encoder=text_encoder.half(),
        tokenizer=tokenizer,
        unet=unet.half(),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(out)


def evaluate(session: Session, folder: Path, *, samples: int = HELD_OUT_SAMPLES) -> dict[str, float]:
    """Mean squared error of v inside the masks of samples of unseen photos, not weighted, prompts as captioned.

    Samples and noise depend on the seed alone, noise levels are spread evenly; a UNet that predicts 0 has about 1.
    """
    device = session.device
    model = load_model("inpaint", ModelRef(folder=str(folder)), device=device, dtype=torch.float32, offline=True)
    seen = read_smears(session.data, ("train", "val"))
    unseen = with_attributes(read_smears(session.data, ("test",)), measure_limits(seen))
    drawn = stream_samples(unseen, model.native_px, SampleRecipe(), derive_seed(session.seed, 8))
    bank = fill_bank(drawn, model.vae, device, size=samples, seconds=np.inf, say=lambda _: None)
    scheduler: Any = model.new_scheduler()
    levels = scheduler.alphas_cumprod.to(device)
    noise = torch.randn(bank.latents.shape, generator=torch.Generator("cpu").manual_seed(session.seed)).to(device)
    total = 0.0
    for rows in torch.arange(samples, device=device).split(EVALUATION_BATCH):
        steps = rows * len(levels) // samples
        with torch.inference_mode():
            texts = torch.cat([model.embed_prompt(bank.captions[row]) for row in rows.tolist()])
            error = _errors(model.unet, texts, bank, rows, noise[rows], steps, levels)
        inside = bank.masks[rows].float()
        total += float(((error * inside).sum(dim=(1, 2, 3)) / inside.sum(dim=(1, 2, 3)) / error.shape[1]).sum())
    return {"diffusion loss, unseen photos": total / samples}


def _errors(
    unet: Any,
    texts: torch.Tensor,
    bank: Bank,
    rows: torch.Tensor,
    noise: torch.Tensor,
    steps: torch.Tensor,
    levels: torch.Tensor,
) -> torch.Tensor:
    """Squared errors of v (B, 4, h, w) for rows of a bank; `levels` are the cumulative alphas of the schedule."""
    clean = bank.latents[rows].float()
    signal, spread = (part.sqrt()[:, None, None, None] for part in (levels[steps], 1 - levels[steps]))
    seen = torch.cat([signal * clean + spread * noise, bank.masks[rows].float(), bank.masked[rows].float()], dim=1)
    predicted = unet(seen.contiguous(memory_format=torch.channels_last), steps, texts, return_dict=False)[0].float()
    errors: torch.Tensor = (predicted - (signal * noise - spread * clean)) ** 2
    return errors


def weights_of(levels: torch.Tensor, recipe: InpaintRecipe) -> torch.Tensor:
    """Weights of noise levels for v: min(snr, limit) / (snr + 1), and `least_weight` at least."""
    snr = levels / (1 - levels)
    return (snr.clamp(max=recipe.snr_limit) / (snr + 1)).clamp(min=recipe.least_weight)


def _bank(session: Session, out: Path, vae: Any, recipe: InpaintRecipe, origin: Mapping[str, str]) -> Bank:
    """The bank of an earlier start with the same VAE, photos, recipe of samples and seed, or a new one."""
    path = out.parent / BANK_FILE
    decisive = {name: origin[name] for name in ("vae", "data", "seed", "recipe.samples", "recipe.bank_size")}
    bank = load_bank(path, decisive, session.device)
    if bank is None:
        smears = read_smears(session.data, ("train", "val"))
        smears = with_attributes(smears, measure_limits(smears))
        drawn = stream_samples(smears, int(vae.config.sample_size), recipe.samples, derive_seed(session.seed, 9))
        seconds = 60 * session.minutes * recipe.bank_share
        bank = fill_bank(drawn, vae, session.device, size=recipe.bank_size, seconds=seconds, say=session.say)
        save_bank(bank, path, decisive)
    session.say(f"inpaint: a bank of {len(bank)} samples, encoded in {bank.seconds / 60:.1f} min")
    return bank


def _tokens(tokenizer: Any, texts: Sequence[str]) -> torch.Tensor:
    """Token ids (N, positions), padded to the end as boxpaint does."""
    length = tokenizer.model_max_length
    ids: torch.Tensor = tokenizer(
        list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    ).input_ids
    return ids


def _unet_config(recipe: InpaintRecipe, latents: torch.Tensor) -> dict[str, Any]:
    depth = len(recipe.channels)
    return {
        "sample_size": latents.shape[-1],
        "in_channels": 2 * latents.shape[1] + 1,
        "out_channels": latents.shape[1],
        "block_out_channels": recipe.channels,
        # The first block sees every latent: attention there would cost more than all the rest.
        "down_block_types": ("DownBlock2D", *("CrossAttnDownBlock2D",) * (depth - 1)),
        "up_block_types": (*("CrossAttnUpBlock2D",) * (depth - 1), "UpBlock2D"),
        "layers_per_block": 1,
        "attention_head_dim": recipe.head_width,
        "norm_num_groups": recipe.norm_groups,
        "cross_attention_dim": recipe.text_width,
    }


def _text_config(recipe: InpaintRecipe, tokenizer: Any) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.text_width,
        intermediate_size=recipe.text_hidden,
        projection_dim=recipe.text_width,
        num_hidden_layers=recipe.text_layers,
        num_attention_heads=recipe.text_heads,
        max_position_embeddings=recipe.positions,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def save_samples(session: Session, folder: Path, path: Path) -> None:
    """Paint six scenes and into the middle of each a white cell, a platelet and a red cell; save them as one PNG.

    Each row is a scene, then the same scene with each object and the repainted box outlined in black.
    """
    painter = StableDiffusionPainter(
        Config.model_validate({"device": str(session.device), "models": {"inpaint": {"folder": str(folder)}}})
    )
    side = painter.native_px
    size_wh = (side, side)
    prompts = [prompt for prompt in SCENES for _ in range(ROWS_PER_SCENE)]
    scenes = painter.paint_backgrounds(
        [
            BackgroundJob(
                prompt=prompt,
                negative_prompt=painter.config.painting.background_negative_prompt,
                seed=derive_seed(session.seed, row),
                size_wh=size_wh,
            )
            for row, prompt in enumerate(prompts)
        ]
    )
    mask = np.zeros((side, side), bool)
    low = round(side * (1 - BOX_SHARE) / 2 / 8) * 8
    mask[low : side - low, low : side - low] = True
    jobs = [
        InpaintJob(
            prompt=prompt,
            negative_prompt="",
            seed=derive_seed(session.seed, row, column),
            size_wh=size_wh,
            image=scene.pixels,
            mask=mask,
        )
        for row, scene in enumerate(scenes)
        for column, prompt in enumerate(OBJECTS)
    ]
    objects = painter.inpaint(jobs)
    rows = []
    for row, scene in enumerate(scenes):
        painted = objects[row * len(OBJECTS) : (row + 1) * len(OBJECTS)]
        cells = [np.where(mask[..., None], item.pixels, scene.pixels) for item in painted]
        rows.append(np.hstack([scene.pixels, *(_outlined(cell, low) for cell in cells)]))
    with atomic_writer(path) as stream:
        Image.fromarray(np.vstack(rows)).save(stream, "PNG")


def _outlined(picture: np.ndarray, low: int) -> np.ndarray:
    """Draw the edge of the middle square one pixel wide, outside of it."""
    high = len(picture) - low
    outlined: np.ndarray = picture.copy()
    outlined[[low - 1, high], low - 1 : high + 1] = EDGE
    outlined[low - 1 : high + 1, [low - 1, high]] = EDGE
    return outlined
