"""Which detector, and how to train it: plain numbers, checked, the same for every model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from generator.foundation.errors import ModelError, ModelNotFoundError
from generator.foundation.storage import make_folder, translate_os_errors, write_json

SMALL_DETECTIONS = 50
"""Boxes that the small detectors give for a picture at most."""
SCHEMA_VERSION = 1
KIND = "boxpaint detector"
CARD = "model.json"


class ModelOptions(BaseModel):
    """What is chosen when a detector is made; it is saved with the weights."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    input_wh: tuple[Annotated[int, Field(ge=32, le=4096)], Annotated[int, Field(ge=32, le=4096)]] | None = None
    """Width and height in pixels that pictures are resized to; None takes the detector's own, see registry.py."""
    variant: str | None = None
    """Which member of a family, for detectors that have several (yolo: yolo11n, ...); None takes the smallest."""
    pretrained: str = "none"
    """none; imagenet (weights of the backbone) or coco (of all), from the cache of torch hub; or the path of a
    checkpoint: a folder that a detector was saved to, or a file of torchvision weights (.pth, .pt, .safetensors)."""
    download: bool = False
    """Fetch imagenet or coco weights when they are not in the cache; nothing is fetched without it."""

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint of the user's that it starts from, where it does."""
        return None if self.pretrained in ("none", "imagenet", "coco") else Path(self.pretrained)


class FitSettings(BaseModel):
    """One training. Counted in steps, not epochs, so that arms with more pictures get no more updates."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    steps: Annotated[int, Field(ge=1, le=10_000_000)] = 2000
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 8
    optimizer: Literal["adamw", "sgd"] = Field(
        default="adamw", validation_alias=AliasChoices("optimizer", "optimiser"), serialization_alias="optimiser"
    )
    """The old name, optimiser, is read for one more release, and stays in records, so that runs of before go on."""
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 1e-3
    """Highest rate: reached after the warm-up, then down to nothing by a half cosine."""
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0.02
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    max_gradient_norm: Annotated[float, Field(gt=0)] = 5.0
    freeze_backbone: bool = False
    """Train only what comes after the feature extractor; its normalisation keeps its statistics, too."""
    start_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the weights that it began with in those that are kept; the rest are those it came to. A model that is
    trained further on few pictures forgets less so (Wortsman et al. 2022, arXiv 2109.01903)."""
    augment: Literal["standard", "none"] = "standard"
    """standard: flips, shift and scale, brightness, colour, blur; the same for every arm of an experiment."""
    vertical_flip: bool = False
    """Turn pictures upside down, too: right for what has no up, such as a smear, wrong for streets."""
    validate_every: Annotated[int, Field(ge=1)] = 200
    """Steps between scores on the validation pictures, where there are some."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Validations without a better AP before it stops; None trains all steps."""
    checkpoint_every: Annotated[int, Field(ge=1)] = 200
    """Steps between checkpoints, where there is a folder for them."""
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Processes that decode and augment pictures; the pictures are the same with any number."""


class ModelCard(BaseModel):
    """What a saved detector is: `name` is one of registry.DETECTORS."""

    model_config = ConfigDict(frozen=True)

    name: str
    categories: tuple[str, ...]
    options: ModelOptions


def write_card(folder: Path, card: ModelCard) -> None:
    """Write model.json; call it after the weights are written, so that it means a whole model. Raises StorageError."""
    head = {"schema_version": SCHEMA_VERSION, "kind": KIND}
    write_json(make_folder(folder) / CARD, {**head, **card.model_dump(mode="json")})


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
        card = ModelCard.model_validate(content)
        if not card.categories:
            raise ValueError("it names no categories")
        return card
    except (ValueError, LookupError, TypeError) as error:
        reason = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error).replace("\n", " ")
        raise ModelError(f"{path} cannot be used: {reason}") from None
