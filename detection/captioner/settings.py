"""What a fine-tuning is asked for, and what it tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from generator.foundation.seeds import MAX_SEED


class CaptionerSettings(BaseModel):
    """How to fine-tune.

    Weight decay, and the length and learning rate for the released BLIP, are those of its authors' own fine-tuning:
    https://github.com/salesforce/BLIP/blob/main/configs/caption_coco.yaml
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: Annotated[int, Field(ge=1)] = 10
    batch_size: Annotated[int, Field(ge=1)] = 16
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Highest rate of the schedule; None chooses by the size of the model."""
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0.05
    val_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the pictures (not of the captions) that is held out, at least one of each side."""
    patience: Annotated[int, Field(ge=1)] = 2
    """Epochs without a lower validation loss before it stops."""
    max_tokens: Annotated[int, Field(ge=3)] = 40
    """Longer captions are cut; a start, a word and an end are three."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochLoss:
    """Mean cross-entropy a token, in nats, over the captions of each side; `epoch` counts from 1."""

    epoch: int
    train: float
    val: float


class Listener:
    """What a fine-tuning tells; override what is of interest. An error raised here stops it, and it can go on later."""

    def on_start(self, epochs: int, finished: int) -> None:
        """At most `epochs` will be trained, `finished` of them were trained before."""

    def on_stage(self, text: str) -> None:
        """Something other than training begins."""

    def on_step(self, step: int, steps: int) -> None:
        """A batch of this epoch was trained: number `step` of `steps`, from 1."""

    def on_epoch(self, loss: EpochLoss, *, is_best: bool) -> None:
        """An epoch is finished and kept on disk."""
