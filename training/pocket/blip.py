"""The pocket's BLIP: a crop of a blood smear -> its class, size and tone in words.

Li et al. 2022, arXiv 2201.12086: a vision transformer and a text decoder that attends to it; here the captioning part
only, at 4 M parameters.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

from detection.captioner.trainer import caption_inputs
from detection.painter.learning import Learner
from detection.painter.verifier import PLACE, Look, draw_look, held_out_looks
from generator.foundation.device import autocast
from generator.foundation.seeds import derive_rng
from training.pocket.grammar import OBJECT_KINDS, SIZES, TONES, domain_line, name_cell, read_captions
from training.pocket.session import Session, identify, learn
from training.pocket.smears import LOOKS, MAX_MEASURED, subject_of

START = "[DEC]"
KINDS = (*OBJECT_KINDS, PLACE)
# The same crops as CLIP's, but no scenes.
BLIP_LOOKS = replace(LOOKS, place_share=LOOKS.place_share / (1 - LOOKS.scene_share), scene_share=0.0)
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
    """Train on the photos and save to `out`."""
    subject = subject_of(session.seen_photos, recipe.side_px)
    tokenizer = _tokenizer(read_captions(session.captions), recipe, session.seed)
    processor = BlipImageProcessor(size={"height": recipe.side_px, "width": recipe.side_px})
    torch.manual_seed(session.seed)
    model: Any = BlipForConditionalGeneration(_config(recipe, tokenizer))
    model.to(session.device)
    text_config = model.config.text_config

    def loss(rng: np.random.Generator, _progress: float) -> torch.Tensor:
        looks = [draw_look(subject, recipe.side_px, rng, BLIP_LOOKS) for _ in range(recipe.batch_size)]
        pixels = processor([look.pixels for look in looks], return_tensors="pt")["pixel_values"]
        inputs = caption_inputs(tokenizer, text_config, [caption_of(look) for look in looks], max_tokens=MAX_TOKENS)
        with autocast(session.device):
            output = model(
                pixel_values=pixels.to(session.device), **{name: t.to(session.device) for name, t in inputs.items()}
            )
        return output.loss.float()

    learner = Learner(modules={"blip": model}, loss=loss, learning_rate=recipe.learning_rate, weight_decay=0.05)
    origin = made_from(session, out, recipe)
    learn("blip", [learner], session, out.parent, batch_size=recipe.batch_size, made_from=origin)
    model.half().save_pretrained(out)
    BlipProcessor(image_processor=processor, tokenizer=tokenizer).save_pretrained(out)


def caption_of(look: Look) -> str:
    """Caption that the model is taught for a crop: class, size and tone."""
    if look.kind == PLACE:
        return "red blood cells in a blood smear"
    return name_cell(look.kind, size=_word(look.attributes, SIZES), tone=_word(look.attributes, TONES))


def evaluate(session: Session, folder: Path) -> dict[str, float]:
    """Share of captions of crops of unseen photos that name the right class, size and tone."""
    model: Any = BlipForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    model.to(session.device).eval()
    processor = BlipProcessor.from_pretrained(folder)
    side = int(model.config.vision_config.image_size)
    looks = held_out_looks(subject_of(session.unseen_photos, side), side, session.rng(3), LOOKS, most=MAX_MEASURED)
    said: list[str] = []
    for start in range(0, len(looks), EVALUATION_BATCH):
        # Copies: the processor wants arrays that it may write to.
        pictures = [np.array(look.pixels) for look in looks[start : start + EVALUATION_BATCH]]
        pixels = processor.image_processor(pictures, return_tensors="pt")["pixel_values"].to(session.device)
        tokens = model.generate(pixel_values=pixels, max_new_tokens=MAX_TOKENS, num_beams=1, do_sample=False)
        said += processor.batch_decode(tokens, skip_special_tokens=True)
    kind = np.array([_kind_in(text) == look.kind for text, look in zip(said, looks, strict=True)])
    cells = [(text.split(), look.attributes) for text, look in zip(said, looks, strict=True) if look.kind != PLACE]
    size, tone = (
        np.mean([_word(words, known) == _word(true, known) for words, true in cells]) for known in (SIZES, TONES)
    )
    of_kind = {f"BLIP class words, {name}": float(kind[[look.kind == name for look in looks]].mean()) for name in KINDS}
    return {
        "BLIP exact class words": float(kind.mean()),
        **of_kind,
        "BLIP size word of three": float(size),
        "BLIP tone word of three": float(tone),
        "BLIP crops": float(len(looks)),
    }


def _kind_in(text: str) -> str:
    if text.endswith("red blood cells in a blood smear"):
        return PLACE
    return next((kind for kind in OBJECT_KINDS if text.endswith(f" {kind}")), "")


def _word(words: Collection[str], known: Sequence[str]) -> str:
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
