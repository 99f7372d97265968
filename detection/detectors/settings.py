"""How to train a detector or segmenter: plain numbers, checked, the same for every model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class FitSettings(BaseModel):
    """One training. Counted in steps, not epochs, so that arms with more pictures get no more updates."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
    augment: Literal["standard", "none"] = "standard"
    """standard: flips, shift and scale, brightness, colour, blur; the same for every arm of an experiment."""
    validate_every: Annotated[int, Field(ge=1)] = 200
    """Steps between scores on the validation pictures, where there are some."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Validations without a better AP before it stops; None trains all steps."""
    checkpoint_every: Annotated[int, Field(ge=1)] = 200
    """Steps between checkpoints, where there is a folder for them."""
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Processes that decode and augment pictures; the pictures are the same with any number."""
