"""How a painter is trained, typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from generator.bundles import EMPTY_SCENE
from generator.foundation.history import Listener as TrainingListener

SCRATCH = "scratch"
"""In place of a bundle: the pocket's architecture without what it learned."""
Steps = Annotated[int, Field(ge=1, le=10_000_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of `parts` parts of a training, from 1: "vae", "unet", "clip", or, of a large painter, those with a LoRA.

    `before` and `share` are shares of the work of all parts: what comes before it, and what it is itself.
    `seconds_left` are those until the clock ends the last part; None without such a limit.
    """

    name: str
    title: str
    number: int
    parts: int
    before: float
    share: float
    seconds_left: float | None


class Listener(TrainingListener):
    """What the training of a painter tells; override what is of interest."""

    def on_part(self, part: Part, /) -> None:
        """A part begins; steps and scores are its own from here on."""

    def on_stage(self, text: str, /) -> None:
        """What is no training begins."""


class LoraSettings(BaseModel):
    """Settings of a LoRA, for painters that are too large to be trained as a whole."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    alpha: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Over the rank it scales what the LoRA adds; None: as the rank."""
    text_encoder: bool = False
    """Train the text encoder, too: words may then mean something else."""
    prior_images: Annotated[int, Field(ge=0, le=10_000)] = 32
    """Pictures that each model paints itself before, of nothing that is learned, so that it does not forget."""
    gradient_checkpointing: bool = True
    """Compute activations twice rather than keep them: a third slower, in much less memory."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 4
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-4


class PainterSettings(BaseModel):
    """Settings of a training; the defaults suit a few photos and two cores (benchmarks/painter.py)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    steps: Steps = 1000
    """Of the UNet and its text encoder."""
    vae_steps: Steps = 300
    clip_steps: Steps = 200
    """Of the verifier."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """Clock limit for all parts together: each ends with its share, or its steps, whichever comes first."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 16
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-4
    side: Annotated[int, Field(ge=64, le=2048)] | None = None
    """Side in pixels of the square crops that the painter sees; None: what suits the objects, 256 at most."""
    turns: bool = False
    """Quarter turns are as likely as what the photos show: microscopes have no up, streets have."""
    flips: bool = False
    """Mirror images are as likely as what the photos show."""
    scene: str = EMPTY_SCENE
    """Prompt of a scene without objects."""
    val_share: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Photos held out for the figures and for the choice of the best weights; 0: none, the last weights are kept."""
    validate_every: Steps = 100
    patience: Annotated[int, Field(ge=1)] | None = 6
    """Held-out scores without a better one before the training ends."""
    lora: LoraSettings | None = None
    """Of large painters; None: its defaults. `batch_size` and `learning_rate` there take the place of those here."""
    samples: Annotated[int, Field(ge=1, le=1000)] = 12
    """Objects of each class that are painted at the end, to be looked at and measured."""

    @field_validator("side")
    @classmethod
    def _is_a_multiple(cls, side: int | None) -> int | None:
        if side is not None and side % 32:
            raise ValueError(f"a multiple of 32 is needed: {max(64, 32 * round(side / 32))}")
        return side

    @field_validator("scene")
    @classmethod
    def _says_something(cls, scene: str) -> str:
        if not any(map(str.isalpha, scene)):
            raise ValueError("the prompt of an empty scene is needed, in words")
        return scene
