"""The pocket's BLIP: a crop of a blood smear -> its class, size and tone in words.

Li et al. 2022, arXiv 2201.12086: a vision transformer and a text decoder that attends to it; here the captioning part
only, at 4 M parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

from detection.captioner.trainer import caption_inputs
from generator.foundation.device import autocast
from generator.foundation.seeds import derive_rng
from training.pocket.grammar import OBJECT_KINDS, domain_line, name_cell, read_captions
from training.pocket.loop import Learner, Session, fit, identify
from training.pocket.smears import (
    BACKGROUND,
    CELL_KINDS,
    Crop,
    held_out_crops,
    measure_limits,
    read_smears,
    training_crop,
    with_attributes,
)

START = "[DEC]"
KINDS = (*CELL_KINDS, BACKGROUND)
MAX_TOKENS = 32
EVALUATION_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class BlipRecipe:
    """Sizes and schedule. The vocabulary is for fine-tuning on other captions; the pocket itself needs few words."""

    side_px: int = 64
    patch_px: int = 8
    width: int = 192
    layers: int = 4
    heads: int = 3
    text_layers: int = 2
    text_heads: int = 3
    vocabulary: int = 2000
    batch_size: int = 96
    learning_rate: float = 1e-3


def made_from(session: Session, _out: Path, recipe: BlipRecipe) -> dict[str, str]:
    """Name what the training is made from."""
    return identify("blip", session, recipe, captions=True)


def train(session: Session, out: Path, recipe: BlipRecipe) -> None:
    """Train on the training and validation photos and save to `out`."""
    smears = read_smears(session.data, ("train", "val"))
    smears = with_attributes(smears, measure_limits(smears))
    tokenizer = _tokenizer(read_captions(session.captions), recipe, session.seed)
    processor = BlipImageProcessor(size={"height": recipe.side_px, "width": recipe.side_px})
    torch.manual_seed(session.seed)
    model: Any = BlipForConditionalGeneration(_config(recipe, tokenizer))
    model.to(session.device)
    text_config = model.config.text_config

    def loss(rng: np.random.Generator, _progress: float) -> torch.Tensor:
        crops = [training_crop(smears, recipe.side_px, rng, kinds=KINDS) for _ in range(recipe.batch_size)]
        pixels = processor([crop.pixels for crop in crops], return_tensors="pt")["pixel_values"]
        inputs = caption_inputs(tokenizer, text_config, [caption_of(crop) for crop in crops], max_tokens=MAX_TOKENS)
        with autocast(session.device):
            output = model(
                pixel_values=pixels.to(session.device), **{name: t.to(session.device) for name, t in inputs.items()}
            )
        return output.loss.float()

    learner = Learner(modules={"blip": model}, loss=loss, learning_rate=recipe.learning_rate, weight_decay=0.05)
    fit("blip", [learner], session, out.parent, batch_size=recipe.batch_size, made_from=made_from(session, out, recipe))
    model.half().save_pretrained(out)
    BlipProcessor(image_processor=processor, tokenizer=tokenizer).save_pretrained(out)


def caption_of(crop: Crop) -> str:
    """Caption that the model is taught for a crop: class, size and tone."""
    if crop.kind == BACKGROUND:
        return "red blood cells in a blood smear"
    return name_cell(crop.kind, size=crop.size, tone=crop.tone)


def evaluate(session: Session, folder: Path) -> dict[str, float]:
    """Share of captions of crops of unseen photos that name the right class, size and tone."""
    seen = read_smears(session.data, ("train", "val"))
    smears = with_attributes(read_smears(session.data, ("test",)), measure_limits(seen))
    model: Any = BlipForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    model.to(session.device).eval()
    processor = BlipProcessor.from_pretrained(folder)
    crops = held_out_crops(smears, int(model.config.vision_config.image_size), session.rng(3))
    said: list[str] = []
    for start in range(0, len(crops), EVALUATION_BATCH):
        pictures = [crop.pixels for crop in crops[start : start + EVALUATION_BATCH]]
        pixels = processor.image_processor(pictures, return_tensors="pt")["pixel_values"].to(session.device)
        tokens = model.generate(pixel_values=pixels, max_new_tokens=MAX_TOKENS, num_beams=1, do_sample=False)
        said += processor.batch_decode(tokens, skip_special_tokens=True)
    kind = np.array([_kind_in(text) == crop.kind for text, crop in zip(said, crops, strict=True)])
    cells = [(text.split(), crop) for text, crop in zip(said, crops, strict=True) if crop.kind != BACKGROUND]
    size = np.mean([_word(words, ("small", "large")) == crop.size for words, crop in cells])
    tone = np.mean([_word(words, ("dark", "pale")) == crop.tone for words, crop in cells])
    of_kind = {f"BLIP class words, {name}": float(kind[[crop.kind == name for crop in crops]].mean()) for name in KINDS}
    return {
        "BLIP exact class words": float(kind.mean()),
        **of_kind,
        "BLIP size word of three": float(size),
        "BLIP tone word of three": float(tone),
        "BLIP crops": float(len(crops)),
    }


def _kind_in(text: str) -> str:
    if text.endswith("red blood cells in a blood smear"):
        return BACKGROUND
    return next((kind for kind in OBJECT_KINDS if text.endswith(f" {kind}")), "")


def _word(words: list[str], known: tuple[str, ...]) -> str:
    return next((word for word in known if word in words), "")


def _tokenizer(lines: list[str], recipe: BlipRecipe, seed: int) -> Any:
    rng = derive_rng(seed, 5)
    domain = [domain_line(rng, kind) for kind in (*OBJECT_KINDS, "scene") for _ in range(500)]
    tokenizer = BertTokenizer().train_new_from_iterator([*lines, *domain], recipe.vocabulary, show_progress=False)
    tokenizer.add_special_tokens({"bos_token": START})
    tokenizer.model_max_length = 64
    return tokenizer


def _config(recipe: BlipRecipe, tokenizer: Any) -> BlipConfig:
    return BlipConfig(
        projection_dim=recipe.width,
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": recipe.width,
            "encoder_hidden_size": recipe.width,
            "intermediate_size": 4 * recipe.width,
            "projection_dim": recipe.width,
            "num_hidden_layers": recipe.text_layers,
            "num_attention_heads": recipe.text_heads,
            "max_position_embeddings": 64,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.sep_token_id,
            "sep_token_id": tokenizer.sep_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "label_smoothing": 0.0,
        },
        vision_config={
            "hidden_size": recipe.width,
            "intermediate_size": 4 * recipe.width,
            "projection_dim": recipe.width,
            "num_hidden_layers": recipe.layers,
            "num_attention_heads": recipe.heads,
            "image_size": recipe.side_px,
            "patch_size": recipe.patch_px,
        },
        image_text_hidden_size=recipe.width,
    )
