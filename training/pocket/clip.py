"""The pocket's CLIP: crops of cells against what can be said of them.

What it learns by, and what it looks at: detection/painter/verifier.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

from detection.painter.verifier import PLACE, clip_learner, draw_look, held_out_looks
from generator.bundles import ModelRef
from generator.models.vision_language import Clip
from training.pocket.grammar import STAINED, clip_tokenizer
from training.pocket.session import Session, identify, learn
from training.pocket.smears import LOOKS, MAX_MEASURED, subject_of

CLASS_NAMES = {
    "white blood cell": "a white blood cell",
    "platelet": "a platelet",
    "red blood cell": "a red blood cell",
    PLACE: "blood smear background",
}


@dataclass(frozen=True, kw_only=True)
class ClipRecipe:
    """Sizes and schedule."""

    side_px: int = 64
    patch_px: int = 8
    width: int = 192
    layers: int = 4
    heads: int = 3
    text_width: int = 128
    text_layers: int = 3
    text_heads: int = 4
    projection: int = 128
    vocabulary: int = 600
    positions: int = 32
    batch_size: int = 128
    learning_rate: float = 1e-3


def made_from(session: Session, _out: Path, recipe: ClipRecipe) -> dict[str, str]:
    """Name what the training is made from."""
    return identify("clip", session, recipe)


def train(session: Session, out: Path, recipe: ClipRecipe) -> None:
    """Train on the photos and save to `out`."""
    subject = subject_of(session.seen_photos, recipe.side_px)
    tokenizer = clip_tokenizer(recipe.vocabulary, recipe.positions, session.seed)
    processor = CLIPImageProcessor(
        size={"shortest_edge": recipe.side_px}, crop_size={"height": recipe.side_px, "width": recipe.side_px}
    )
    torch.manual_seed(session.seed)
    model: Any = CLIPModel(_config(recipe, tokenizer))
    model.to(session.device)
    learner = clip_learner(
        model,
        processor,
        tokenizer,
        lambda rng: [draw_look(subject, recipe.side_px, rng, LOOKS) for _ in range(recipe.batch_size)],
        session.device,
        learning_rate=recipe.learning_rate,
    )
    origin = made_from(session, out, recipe)
    learn("clip", [learner], session, out.parent, batch_size=recipe.batch_size, made_from=origin)
    model.half().save_pretrained(out)
    CLIPProcessor(image_processor=processor, tokenizer=tokenizer).save_pretrained(out)


def evaluate(session: Session, folder: Path) -> dict[str, float]:
    """Accuracy of the class names on crops of unseen photos: four names, and objects against the rest."""
    clip = Clip("clip", ModelRef(folder=str(folder)), device=session.device, offline=True)
    side = int(clip.model.config.vision_config.image_size)
    looks = held_out_looks(subject_of(session.unseen_photos, side), side, session.rng(3), LOOKS, most=MAX_MEASURED)
    texts = clip.embed_texts(list(CLASS_NAMES.values()))
    kinds = np.array(list(CLASS_NAMES))
    chosen = kinds[(clip.embed_pictures([look.pixels for look in looks]) @ texts.T).argmax(axis=1)]
    true = np.array([look.kind for look in looks])
    coarse = [np.where(np.isin(named, STAINED), named, "") for named in (chosen, true)]
    return {
        "CLIP accuracy, four names": float((chosen == true).mean()),
        "CLIP accuracy, objects against the rest": float((coarse[0] == coarse[1]).mean()),
        **{f"CLIP accuracy, {kind}": float((chosen == true)[true == kind].mean()) for kind in CLASS_NAMES},
        "CLIP crops": float(len(looks)),
    }


def _config(recipe: ClipRecipe, tokenizer: Any) -> CLIPConfig:
    return CLIPConfig(
        projection_dim=recipe.projection,
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": recipe.text_width,
            "intermediate_size": 4 * recipe.text_width,
            "num_hidden_layers": recipe.text_layers,
            "num_attention_heads": recipe.text_heads,
            "max_position_embeddings": recipe.positions,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "hidden_size": recipe.width,
            "intermediate_size": 4 * recipe.width,
            "num_hidden_layers": recipe.layers,
            "num_attention_heads": recipe.heads,
            "image_size": recipe.side_px,
            "patch_size": recipe.patch_px,
        },
    )
