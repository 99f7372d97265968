"""The loss of a fine-tuning, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from detection.captioner.settings import EpochLoss
from generator.foundation.storage import atomic_writer

_STYLE: Any = {"text.parse_math": False, "font.size": 9}


def draw_losses(path: Path, losses: Sequence[EpochLoss], best_epoch: int) -> None:
    """Draw the loss of both sides over the epochs, with the best one marked, as a PNG file; raises StorageError."""
    epochs = [loss.epoch for loss in losses]
    best = next(loss for loss in losses if loss.epoch == best_epoch)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
        axes = figure.subplots()
        axes.plot(epochs, [loss.train for loss in losses], marker=".", label="training")
        axes.plot(epochs, [loss.val for loss in losses], marker=".", label="validation")
        axes.plot([best.epoch], [best.val], "o", ms=11, mfc="none", color="black", label=f"best: epoch {best.epoch}")
        axes.set_xlabel("epoch")
        axes.set_ylabel("cross-entropy a token, nats")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
        with atomic_writer(path) as stream:
            # Without a version in it, equal runs give equal bytes.
            figure.savefig(stream, format="png", metadata={"Software": None})
