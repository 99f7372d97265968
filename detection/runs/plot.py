"""The course of a training, as a table and drawn."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from detection.detectors.types import FitResult

_STYLE: Any = {"text.parse_math": False, "font.size": 9}
# Steps that the drawn loss is averaged over: single batches hide the course behind their noise.
_WINDOWS = 40


def losses_csv(result: FitResult) -> bytes:
    """One row a step: its loss, and AP on the validation pictures where they were scored after it."""
    scored = dict(result.validations)
    rows = [
        f"{step},{loss:.6g},{scored[step]:.6g}" if step in scored else f"{step},{loss:.6g},"
        for step, loss in enumerate(result.losses, start=1)
    ]
    return "\n".join(["step,loss,validation_ap", *rows, ""]).encode()


def draw_losses(result: FitResult) -> bytes:
    """Draw the loss over the steps, its running mean, and AP on the validation pictures, as a PNG file."""
    losses = np.array(result.losses)
    steps = np.arange(1, len(losses) + 1)
    window = max(1, len(losses) // _WINDOWS)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
        axes = figure.subplots()
        axes.plot(steps, losses, color="C0", alpha=0.25, lw=0.8)
        mean = np.convolve(losses, np.ones(window) / window, mode="valid")
        label = f"loss, mean of {window} steps" if window > 1 else "loss"
        axes.plot(steps[window - 1 :], mean, color="C0", label=label)
        axes.set_xlabel("step")
        axes.set_ylabel("training loss")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        lines = axes.get_lines()[1:]
        if result.validations:
            right = axes.twinx()
            places, scores = zip(*result.validations, strict=True)
            right.plot(places, scores, marker=".", color="C1", label="validation AP")
            best = dict(result.validations)[result.best_step]
            right.plot([result.best_step], [best], "o", ms=10, mfc="none", color="black", label="kept weights")
            right.set_ylabel("AP 0.50:0.95 on validation pictures")
            right.set_ylim(0, 1)
            lines += right.get_lines()
        axes.legend(handles=lines)
        buffer = io.BytesIO()
        # Without a version in it, equal runs give equal bytes.
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
