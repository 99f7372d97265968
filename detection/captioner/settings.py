"""What a fine-tuning is asked for, and what it tells while it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from generator.foundation.errors import BoxpaintError
from generator.foundation.seeds import MAX_SEED


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionerSettings:
    """How to fine-tune. Raises BoxpaintError for a value that cannot be used.

    Weight decay, and the length and learning rate for the released BLIP, are those of its authors' own fine-tuning:
    https://github.com/salesforce/BLIP/blob/main/configs/caption_coco.yaml
    """

    epochs: int = 10
    batch_size: int = 16
    learning_rate: float | None = None
    """Highest rate of the schedule; None chooses by the size of the model."""
    weight_decay: float = 0.05
    val_share: float = 0.1
    """Share of the pictures (not of the captions) that is held out, at least one of each side."""
    patience: int = 2
    """Epochs without a lower validation loss before it stops."""
    max_tokens: int = 40
    """Longer captions are cut."""
    seed: int = 0

    def __post_init__(self) -> None:
        rules = {
            "epochs": (self.epochs >= 1, "1 or more"),
            "batch_size": (self.batch_size >= 1, "1 or more"),
            "learning_rate": (
                self.learning_rate is None or (math.isfinite(self.learning_rate) and self.learning_rate > 0),
                "above 0, such as 1e-5",
            ),
            "weight_decay": (0 <= self.weight_decay < 1, "at least 0 and below 1"),
            "val_share": (0 < self.val_share < 1, "between 0 and 1, such as 0.1"),
            "patience": (self.patience >= 1, "1 or more"),
            "max_tokens": (self.max_tokens >= 3, "3 or more: a start, a word and an end"),
            "seed": (0 <= self.seed <= MAX_SEED, f"from 0 to {MAX_SEED}"),
        }
        wrong = [f"{name}: found {getattr(self, name)!r}; {right}" for name, (good, right) in rules.items() if not good]
        if wrong:
            raise BoxpaintError("\n".join(wrong))


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
