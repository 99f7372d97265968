"""The folder of a trained classifier: model.json (what it is) and model.safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors.torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError

from detection.classifier.models import MODELS, Classifier
from generator.foundation.errors import ModelError, ModelNotFoundError
from generator.foundation.storage import make_folder, translate_os_errors, write_bytes, write_json

SCHEMA_VERSION = 1
KIND = "boxpaint classifier"
CARD, WEIGHTS = "model.json", "model.safetensors"


class ModelCard(BaseModel):
    """What a saved classifier is, and what its crops must look like."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    """A name of detection.classifier.models.MODELS."""
    classes: tuple[str, ...]
    margin: float
    """What a crop shows around its box, as a share of the box's longer side."""
    crop_px: int
    """Pixels of a crop's side; values are RGB in [0, 1], channels first."""


def save_classifier(model: Classifier, folder: Path, *, margin: float) -> None:
    """Write weights, then the card, so that it means a whole model. Raises StorageError."""
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    write_bytes(make_folder(folder) / WEIGHTS, safetensors.torch.save(weights))
    card = ModelCard(model=model.name, classes=model.classes, margin=margin, crop_px=model.spec.crop_px)
    write_json(folder / CARD, {"schema_version": SCHEMA_VERSION, "kind": KIND, **card.model_dump(mode="json")})


def load_classifier(folder: Path) -> tuple[Classifier, ModelCard]:
    """Read a saved classifier, ready to predict on the CPU. Raises ModelNotFoundError, ModelError, StorageError."""
    path = folder / CARD
    if not path.is_file():
        raise ModelNotFoundError(f"{folder}: no classifier is there (no {CARD}); train one, or check the path")
    try:
        with translate_os_errors(path):
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if (content.pop("kind", None), content.pop("schema_version", None)) != (KIND, SCHEMA_VERSION):
            raise ValueError(f"it is not of a {KIND} of version {SCHEMA_VERSION}")
        card = ModelCard.model_validate(content)
        if card.model not in MODELS:
            raise ValueError(f"there is no model {card.model!r}; known: {', '.join(MODELS)}")
        model = Classifier(card.model, card.classes)
        with translate_os_errors(folder / WEIGHTS):
            model.load_state_dict(safetensors.torch.load((folder / WEIGHTS).read_bytes()))
    except (ValueError, AttributeError, ValidationError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{folder}: this classifier cannot be used: {reason}") from None
    return model.eval(), card
