"""The folder of a saved detector: model.json (what it is) beside its weights. Shared by all detectors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from detection.detectors.settings import ModelOptions
from generator.foundation.errors import ModelError, ModelNotFoundError
from generator.foundation.storage import make_folder, translate_os_errors, write_json

SCHEMA_VERSION = 1
KIND = "boxpaint detector"
CARD = "model.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a saved detector is: `name` is one of registry.DETECTORS."""

    name: str
    categories: tuple[str, ...]
    options: ModelOptions


def write_card(folder: Path, card: ModelCard) -> None:
    """Write model.json; call it after the weights are written, so that it means a whole model. Raises StorageError."""
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "name": card.name,
        "categories": list(card.categories),
        "options": card.options.model_dump(mode="json"),
    }
    write_json(make_folder(folder) / CARD, content)


def read_card(folder: Path) -> ModelCard:
    """Read model.json. Raises ModelNotFoundError when there is none, ModelError when it is not one of this version."""
    path = folder / CARD
    if not path.is_file():
        raise ModelNotFoundError(f"{folder}: no saved detector is there (no {CARD}); train one, or check the path")
    try:
        with translate_os_errors(path):
            content = json.loads(path.read_text(encoding="utf-8"))
        if content["kind"] != KIND:
            raise ValueError(f"its kind is {content['kind']!r}, not {KIND!r}")
        if content["schema_version"] != SCHEMA_VERSION:
            advice = "it was saved by another version of boxpaint"
            raise ValueError(f"its schema_version is {content['schema_version']}, not {SCHEMA_VERSION}; {advice}")
        categories = tuple(str(name) for name in content["categories"])
        if not categories:
            raise ValueError("it names no categories")
        return ModelCard(
            name=str(content["name"]), categories=categories, options=ModelOptions.model_validate(content["options"])
        )
    except (ValueError, LookupError, TypeError, ValidationError) as error:
        reason = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error).replace("\n", " ")
        raise ModelError(f"{path} cannot be used: {reason}") from None
