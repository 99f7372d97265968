"""The pocket's CLIP: crops of cells against what can be said of them.

Radford et al. 2021, arXiv 2103.00020, with one change: in a batch of few kinds of cells many texts are true of one
crop, so its target is spread over all texts that are (Khosla et al. 2020, arXiv 2004.11362), not only over its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

from generator.foundation.device import autocast
from training.pocket.grammar import (
    PLACES,
    PREFIXES,
    amount_of,
    clip_tokenizer,
    empty_caption,
    name_cell,
    scene_caption,
)
from training.pocket.loop import Learner, Session, fit, identify
from training.pocket.smears import (
    BACKGROUND,
    SCENE,
    Crop,
    held_out_crops,
    measure_limits,
    read_smears,
    training_crop,
    with_attributes,
)

CLASS_NAMES = {
    "white blood cell": "a white blood cell",
    "platelet": "a platelet",
    "red blood cell": "a red blood cell",
    BACKGROUND: "blood smear background",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """A text, and of which crops it is true: of those that show what it says and do not deny it."""

    text: str
    kind: str
    size: str = ""
    tone: str = ""
    purple: bool = False
    amount: str = ""
    others: tuple[str, ...] = ()

    def is_true_of(self, crop: Crop) -> bool:
        """Say whether nothing in the text is wrong for a crop."""
        if self.kind != crop.kind:
            return False
        if self.kind == SCENE:
            return self.amount == amount_of(crop.num_red) and self.others == crop.others
        attributes = self.size in ("", crop.size) and self.tone in ("", crop.tone)
        return attributes and (crop.purple or not self.purple)


def made_from(session: Session, _out: Path, recipe: ClipRecipe) -> dict[str, str]:
    """Name what the training is made from."""
    return identify("clip", session, recipe)


def train(session: Session, out: Path, recipe: ClipRecipe) -> None:
    """Train on the training and validation photos and save to `out`."""
    smears = read_smears(session.data, ("train", "val"))
    smears = with_attributes(smears, measure_limits(smears))
    tokenizer = clip_tokenizer(recipe.vocabulary, recipe.positions, session.seed)
    processor = CLIPImageProcessor(
        size={"shortest_edge": recipe.side_px}, crop_size={"height": recipe.side_px, "width": recipe.side_px}
    )
    torch.manual_seed(session.seed)
    model: Any = CLIPModel(_config(recipe, tokenizer))
    model.to(session.device)

    def loss(rng: np.random.Generator, _progress: float) -> torch.Tensor:
        crops = [training_crop(smears, recipe.side_px, rng) for _ in range(recipe.batch_size)]
        sayings = [_saying(crop, rng) for crop in crops]
        inputs = _inputs(processor, tokenizer, [crop.pixels for crop in crops], [item.text for item in sayings])
        true = torch.tensor([[item.is_true_of(crop) for item in sayings] for crop in crops], device=session.device)
        with autocast(session.device):
            logits = model(
                **{name: value.to(session.device) for name, value in inputs.items()}
            ).logits_per_image.float()
        return (_spread_loss(logits, true) + _spread_loss(logits.T, true.T)) / 2

    learner = Learner(modules={"clip": model}, loss=loss, learning_rate=recipe.learning_rate, weight_decay=0.05)
    fit("clip", [learner], session, out.parent, batch_size=recipe.batch_size, made_from=made_from(session, out, recipe))
    model.half().save_pretrained(out)
    CLIPProcessor(image_processor=processor, tokenizer=tokenizer).save_pretrained(out)


def evaluate(session: Session, folder: Path) -> dict[str, float]:
    """Accuracy of the class names on crops of unseen photos: four names, and objects against the rest."""
    model: Any = CLIPModel.from_pretrained(folder, dtype=torch.float32)
    model.to(session.device).eval()
    processor = CLIPProcessor.from_pretrained(folder)
    side = int(model.config.vision_config.image_size)
    crops = held_out_crops(read_smears(session.data, ("test",)), side, session.rng(3))
    pixels = processor.image_processor([crop.pixels for crop in crops], return_tensors="pt")["pixel_values"]
    tokens = processor.tokenizer(list(CLASS_NAMES.values()), padding=True, return_tensors="pt")
    with torch.inference_mode():
        found = model(pixel_values=pixels.to(session.device), **tokens.to(session.device))
    chosen = found.logits_per_image.argmax(1).tolist()
    kinds = list(CLASS_NAMES)
    right = np.array([kinds[index] == crop.kind for index, crop in zip(chosen, crops, strict=True)])
    objects = ("white blood cell", "platelet")
    coarse = np.array(
        [
            (kinds[index] if kinds[index] in objects else "") == (crop.kind if crop.kind in objects else "")
            for index, crop in zip(chosen, crops, strict=True)
        ]
    )
    scores = {
        f"CLIP accuracy, {kind}": float(right[[crop.kind == kind for crop in crops]].mean()) for kind in CLASS_NAMES
    }
    return {
        "CLIP accuracy, four names": float(right.mean()),
        "CLIP accuracy, objects against the rest": float(coarse.mean()),
        **scores,
        "CLIP crops": float(len(crops)),
    }


def _spread_loss(logits: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    target = true.float() / true.sum(1, keepdim=True)
    return torch.nn.functional.cross_entropy(logits, target)


def _saying(crop: Crop, rng: np.random.Generator) -> Saying:
    """Something true of a crop, with some of its attributes."""
    if crop.kind == BACKGROUND:
        return Saying(text=empty_caption(rng), kind=BACKGROUND)
    if crop.kind == SCENE:
        text = scene_caption(crop.num_red, crop.others, rng)
        return Saying(text=text, kind=SCENE, amount=amount_of(crop.num_red), others=crop.others)
    size = crop.size if rng.random() < 0.5 else ""
    tone = crop.tone if rng.random() < 0.5 else ""
    purple = bool(crop.purple and rng.random() < 0.5)
    text = name_cell(crop.kind, size=size, tone=tone, purple=purple, single=bool(rng.random() < 0.15))
    text = f"{rng.choice(PREFIXES)} {text}" if rng.random() < 0.25 else text
    text = f"{text} {rng.choice(PLACES)}" if rng.random() < 0.25 else text
    return Saying(text=text, kind=crop.kind, size=size, tone=tone, purple=purple)


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


def _inputs(processor: Any, tokenizer: Any, pictures: Sequence[np.ndarray], texts: Sequence[str]) -> dict[str, Any]:
    tokens = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
    pixels = processor(list(pictures), return_tensors="pt")["pixel_values"]
    return {"pixel_values": pixels, "input_ids": tokens.input_ids, "attention_mask": tokens.attention_mask}
