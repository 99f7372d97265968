"""Stable Diffusion 2.1 and its inpainting twin at real size with random weights: as slow as the real ones."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from generator.bundles import load_card

UNET = {
    "sample_size": 96,
    "block_out_channels": (320, 640, 1280, 1280),
    "attention_head_dim": (5, 10, 20, 20),
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "sample_size": 768,
}
TEXT = {
    "vocab_size": 49408,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
    "projection_dim": 512,
    "hidden_act": "gelu",
}
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}


def save_models(folder: Path, *, device: torch.device) -> dict[str, Path]:
    """Save `background` (768 px, v-prediction) and `inpaint` (512 px, 9 channels) in half precision, unless they are
    there; returns their folders. 5 GB.
    """
    folders = {}
    for role, channels, prediction, side in (
        ("background", 4, "v_prediction", 96),
        ("inpaint", 9, "epsilon", 64),
    ):
        folders[role] = target = folder / role
        if (target / "unet" / "config.json").is_file() and (target / "complete").is_file():
            continue
        torch.manual_seed(0)
        with device:
            parts = {
                "unet": UNet2DConditionModel(**{**UNET, "in_channels": channels, "sample_size": side}),
                "vae": AutoencoderKL(**VAE),
                "text_encoder": CLIPTextModel(CLIPTextConfig(**TEXT)),
            }
        for name, part in parts.items():
            part.half().save_pretrained(target / name)
        # Words of the pocket: any will do, and none is downloaded.
        tokenizer = CLIPTokenizer.from_pretrained(Path(load_card("pocket").models["inpaint"]["folder"]) / "tokenizer")
        tokenizer.model_max_length = 77
        tokenizer.save_pretrained(target / "tokenizer")
        DDIMScheduler(**SCHEDULE, prediction_type=prediction, set_alpha_to_one=False, steps_offset=1).save_pretrained(
            target / "scheduler"
        )
        (target / "complete").touch()
    return folders
