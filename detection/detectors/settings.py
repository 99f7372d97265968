"""Which detector, and how to train it: plain numbers, checked, the same for every model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

SMALL_DETECTIONS = 50
"""Boxes that the small detectors give for a picture at most."""


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
    optimiser: Literal["adamw", "sgd"] = "adamw"
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
