"""What a comparison of classifiers is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from generator.foundation.seeds import MAX_SEED

Arm = Literal["original", "augmented"]
ORIGINAL: Arm = "original"
AUGMENTED: Arm = "augmented"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training: the arm, and the number of its seed, from 0."""

    arm: Arm
    number: int
    start: None = None

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.arm}-{self.number}"


class ClassifierSettings(BaseModel):
    """How to train and compare; the same for both arms. Counted in steps, so that more crops get no more updates."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str = "resnet50"
    """A name of detection.classifier.models.MODELS."""
    weights: str = "none"
    """none, imagenet (from this machine's torch hub cache), or the path of a state dict (.pth or .safetensors)."""
    margin: Annotated[float, Field(ge=0, le=2)] = 0.15
    """What a crop shows around its box, as a share of the box's longer side."""
    background: bool = True
    """One more class: random boxes, of the sizes that objects have, whose crops show no object."""
    boxes: Literal["tight", "requested"] = "requested"
    """Boxes of painted objects: tight around what was painted, or what was asked for (where a set says it)."""
    per_class: Annotated[int, Field(ge=0)] | None = None
    """At most so many real training crops of a class, another choice for each seed; None takes all."""
    limits: dict[str, Annotated[int, Field(ge=0)]] = {}
    """The same for single classes: class -> crops; it goes before `per_class`."""
    real_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of real crops in a batch of the augmented arm, class by class, where a class has both; None gives n real
    crops n / (n + 4) of it: the fifth to one, half to four, nearly all to hundreds."""
    augment: Literal["standard", "none"] = "standard"
    upright: bool = False
    """Objects have an up and a down: no upside-down flips and no turns beyond 15 degrees."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    seeds: Annotated[int, Field(ge=1, le=1000)] = 3
    steps: Annotated[int, Field(ge=1, le=10_000_000)] = 600
    batch_size: Annotated[int, Field(ge=2, le=4096)] = 64
    learning_rate: Annotated[float, Field(gt=0, le=10)] | None = None
    """Highest rate, reached after the warm-up, then down by a half cosine; None takes the model's own."""
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0.05
    warmup_steps: Annotated[int, Field(ge=0)] = 30
    validate_every: Annotated[int, Field(ge=1)] = 100
    """Steps between scores on the validation crops, where there are some."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Validations without a better macro F1 before it stops, and the best weights are kept; None trains all steps,
    keeps the last weights, and uses no label of the validation crops."""
    checkpoint_every: Annotated[int, Field(ge=1)] = 200
    hold_out: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the real pictures for each side that is not given: test, and validation where patience asks for it."""
    onnx: bool = True
    """Export the best model of each arm, too."""
    bootstrap: Annotated[int, Field(ge=100, le=1_000_000)] = 2000
    """Resamples of the test pictures behind an interval."""
