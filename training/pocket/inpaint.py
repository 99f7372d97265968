"""The pocket's painter: an inpainting UNet of nine channels and the text encoder that it listens to.

Rombach et al. 2022, arXiv 2112.10752, at 17 M parameters, on a schedule that ends in pure noise (Lin et al. 2023, arXiv
2305.08891). What they learn by: detection/painter/unet.py; what from: detection/painter/samples.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from detection.painter.figures import PaintedSample, draw_samples, paint_into, region_of
from detection.painter.samples import Bank, Sample, SampleRecipe, encode_samples
from detection.painter.unet import Denoiser, UnetRecipe, held_out_loss, save_pipeline, unet_learner
from generator.bundles import ModelRef
from generator.config import Config
from generator.foundation.errors import BoxpaintError
from generator.foundation.seeds import derive_rng, derive_seed
from generator.foundation.storage import atomic_writer
from generator.foundation.training import to_channels_last
from generator.painting.crop import LATENT_PX
from generator.painting.models import load_model
from generator.painting.painter import BackgroundJob
from generator.painting.stable_diffusion import StableDiffusionPainter
from training.pocket.grammar import clip_tokenizer
from training.pocket.session import Session, identify, learn
from training.pocket.smears import subject_of

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
KINDS = {"white blood cell": 0.45, "platelet": 0.35, "red blood cell": 0.2}
HELD_OUT_SAMPLES = 192
SCENES = (
    "a blood smear with many red blood cells, no white blood cells",
    "a stained blood smear with some red blood cells only",
    "a micrograph of blood with a few red blood cells only",
)
OBJECTS = {
    "white blood cell": "a large purple white blood cell",
    "platelet": "a small purple platelet",
    "red blood cell": "a red blood cell",
}
SCENES_PER_PROMPT = 2
BOX_SHARE = 0.4


@dataclass(frozen=True, kw_only=True)
class InpaintRecipe:
    """Sizes and schedule.

    Differences from v0: clear scenes are looked for (v0 met them by chance), boxes are padded by 2 to 14 % instead of
    3 to 30 %, because objects came out smaller than their boxes, and the first step of painting has a weight.
    """

    channels: tuple[int, ...] = (96, 160, 224)
    head_width: int = 8
    norm_groups: int = 32
    text_width: int = 192
    text_hidden: int = 512
    text_layers: int = 3
    text_heads: int = 6
    vocabulary: int = 700
    positions: int = 32
    samples: SampleRecipe = field(
        default_factory=lambda: SampleRecipe(
            scene_share=0.3,
            place_share=0.2,
            clear_share=0.6,
            scene_scales=(300 / 256, 480 / 256),
            box_shares=(0.2, 0.72),
            paddings=(0.02, 0.14),
            gains=(1, 1),
            offsets=(0, 0),
            turns=True,
            flips=True,
        )
    )
    learning: UnetRecipe = field(
        default_factory=lambda: UnetRecipe(
            batch_size=384, learning_rate=7e-4, ema_decay=0.9995, samples=(4_000, 64_000)
        )
    )


def made_from(session: Session, out: Path, recipe: InpaintRecipe) -> dict[str, str]:
    """Name what the training is made from, the VAE in `out` included. Raises BoxpaintError when there is none."""
    weights = out / "vae" / WEIGHTS_FILE
    if not weights.is_file():
        raise BoxpaintError(
            f"{out / 'vae'}: there is no VAE to paint with; train it first: python -m training.pocket vae"
        )
    return identify("inpaint", session, recipe, files={"vae": weights})


def train(session: Session, out: Path, recipe: InpaintRecipe) -> None:
    """Train on the photos; `out` holds `vae/` and becomes a whole pipeline's folder.

    Raises BoxpaintError when there is no VAE.
    """
    origin, device = made_from(session, out, recipe), session.device
    vae: Any = AutoencoderKL.from_pretrained(out / "vae", dtype=torch.float32).to(device).eval()
    subject = subject_of(
        session.seen_photos, int(vae.config.sample_size), kinds=KINDS, recipe=recipe.samples, place_share=0.0
    )
    tokenizer = clip_tokenizer(recipe.vocabulary, recipe.positions, session.seed)
    torch.manual_seed(session.seed)
    unet: Any = UNet2DConditionModel(**_unet_config(recipe, vae))
    to_channels_last(unet, device)
    text_encoder: Any = CLIPTextModel(_text_config(recipe, tokenizer))
    text_encoder.to(device)
    scheduler: Any = DPMSolverMultistepScheduler(**SCHEDULE)
    denoiser = Denoiser(
        unet=unet, text_encoder=text_encoder, tokenizer=tokenizer, levels=scheduler.alphas_cumprod.to(device)
    )
    bank = Bank(subject.draw, vae, derive_seed(session.seed, 9), device)
    learner = unet_learner(denoiser, bank, None, recipe.learning)
    learn("inpaint", [learner], session, out.parent, batch_size=recipe.learning.batch_size, made_from=origin)
    save_pipeline(denoiser, vae, scheduler, out)


def evaluate(session: Session, folder: Path, *, samples: int = HELD_OUT_SAMPLES) -> dict[str, float]:
    """Held-out loss (detection/painter/unet.py) on samples of unseen photos, drawn as the recipe draws them."""
    device = session.device
    model = load_model("inpaint", ModelRef(folder=str(folder)), device=device, dtype=torch.float32, offline=True)
    recipe = InpaintRecipe().samples
    subject = subject_of(session.unseen_photos, model.native_px, kinds=KINDS, recipe=recipe, place_share=0.0)
    seed = derive_seed(session.seed, 8)
    drawn = (subject.draw(derive_rng(seed, number)) for number in range(samples))
    rows = [row for sample in drawn for row in encode_samples([sample], model.vae, device)]
    scheduler: Any = model.new_scheduler()
    denoiser = Denoiser(
        unet=model.unet,
        text_encoder=model.text_encoder,
        tokenizer=model.tokenizer,
        levels=scheduler.alphas_cumprod.to(device),
    )
    return {"diffusion loss, unseen photos": held_out_loss(denoiser, rows, session.seed)}


def _unet_config(recipe: InpaintRecipe, vae: Any) -> dict[str, Any]:
    depth, channels = len(recipe.channels), int(vae.config.latent_channels)
    return {
        "sample_size": int(vae.config.sample_size) // LATENT_PX,
        "in_channels": 2 * channels + 1,
        "out_channels": channels,
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
    """Paint six scenes and into the middle of each a white cell, a platelet and a red cell; save a sheet as PNG.

    For each kind there is a row of the scenes, one of what was painted into them, and one of unseen real cells.
    """
    config = Config.model_validate({"device": str(session.device), "models": {"inpaint": {"folder": str(folder)}}})
    painter = StableDiffusionPainter(config)
    side = painter.native_px
    prompts = [prompt for prompt in SCENES for _ in range(SCENES_PER_PROMPT)]
    jobs = [
        BackgroundJob(
            prompt=prompt,
            negative_prompt=config.painting.background_negative_prompt,
            seed=derive_seed(session.seed, number),
            size_wh=(side, side),
        )
        for number, prompt in enumerate(prompts)
    ]
    mask = np.zeros((side, side), bool)
    low = round(side * (1 - BOX_SHARE) / 2 / LATENT_PX) * LATENT_PX
    mask[low : side - low, low : side - low] = True
    scenes = painter.paint_backgrounds(jobs)
    places = [
        (kind, Sample(pixels=scene.pixels, mask=mask, caption=prompt))
        for kind, prompt in OBJECTS.items()
        for scene in scenes
    ]
    painted = [
        PaintedSample(category=kind, place=place.pixels, before=None, after=after, region=region_of(place))
        for (kind, place), after in zip(places, paint_into(places, config, session.seed), strict=True)
    ]
    sheet = draw_samples(painted, subject_of(session.unseen_photos, side, kinds=KINDS), len(jobs))
    with atomic_writer(path) as stream:
        sheet.save(stream, "PNG")
