"""The pictures of the report, as PNG bytes: the same comparison gives the same bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from detection.classifier.comparison import Comparison

_STYLE: Any = {"text.parse_math": False, "font.size": 9}
_DPI = 130
COLOURS = {"original": "#E69F00", "augmented": "#0072B2"}  # Okabe and Ito 2008
_SMOOTHED_STEPS = 25


def draw_confusions(comparison: Comparison) -> bytes:
    """Draw the confusion matrices of the trained arms side by side: mean counts, coloured by share of the row."""
    arms, classes = comparison.trained, comparison.data.classes
    with mpl.rc_context(_STYLE):
        side = max(3.2, 0.75 * len(classes) + 1.6)
        figure = Figure(figsize=(side * len(arms), side), dpi=_DPI, layout="constrained")
        for axes, arm in zip(figure.subplots(1, len(arms), squeeze=False)[0], arms, strict=True):
            counts = arm.confusion()
            shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
            axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
            for row, column in np.ndindex(counts.shape):
                colour = "white" if shares[row, column] > 0.55 else "black"
                axes.text(column, row, f"{counts[row, column]:.4g}", ha="center", va="center", color=colour)
            axes.set_title(f"{arm.arm}: macro F1 {arm.mean('macro_f1'):.3f}")
            axes.set_xticks(range(len(classes)), classes, rotation=30, ha="right")
            axes.set_yticks(range(len(classes)), classes)
            axes.set_xlabel(f"predicted (mean of {len(arm.outcomes)} seeds)")
            axes.set_ylabel("truth")
        return to_png(figure)


def draw_curves(comparison: Comparison) -> bytes:
    """Draw the training loss of every model, and the validation scores where there are some."""
    with mpl.rc_context(_STYLE):
        validated = any(outcome.validations for arm in comparison.trained for outcome in arm.outcomes)
        figure = Figure(figsize=(9.6 if validated else 5.6, 3.6), dpi=_DPI, layout="constrained")
        panels = figure.subplots(1, 2 if validated else 1, squeeze=False)[0]
        for arm in comparison.trained:
            for number, outcome in enumerate(arm.outcomes):
                look: Any = {"color": COLOURS[arm.arm], "alpha": 0.8, "label": arm.arm if number == 0 else None}
                steps, losses = _smoothed(outcome.losses)
                panels[0].plot(steps, losses, lw=1, **look)
                if validated:
                    panels[1].plot(*zip(*outcome.validations, strict=True), marker=".", lw=1, **look)
        titles = (f"training loss, mean of {_SMOOTHED_STEPS} steps", "macro F1 of the real validation crops")
        for axes, title in zip(panels, titles, strict=False):
            axes.set_title(title)
            axes.set_xlabel("step")
            axes.grid(alpha=0.3)
            axes.legend()
        return to_png(figure)


def draw_gains(comparison: Comparison) -> bytes:
    """Draw the gain in F1 of each class, with its interval, over the real training crops that it had."""
    if comparison.gains is None:
        raise ValueError("there is no gain without both arms")
    counts = comparison.real_counts
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.4, 3.8), dpi=_DPI, layout="constrained")
        axes = figure.subplots()
        known = [
            (counts[name], gain, name)
            for name, gain in zip(comparison.data.classes, comparison.gains.f1, strict=True)
            if np.isfinite(gain.value)
        ]
        # Classes of one size lie beside each other, not on each other.
        shifts = np.linspace(-0.04, 0.04, len(known)) if len(known) > 1 else np.zeros(1)
        for shift, (count, gain, name) in zip(shifts, known, strict=True):
            # One seed has no interval.
            errors = np.nan_to_num([[gain.value - gain.low], [gain.high - gain.value]])
            x = np.log10(count + 1) + shift
            axes.errorbar(x, gain.value, errors, fmt="o", capsize=3, label=f"{name} ({count})")
        axes.axhline(0, color="black", lw=0.8)
        sizes = sorted({count for count, _, _ in known})
        axes.set_xticks(np.log10(np.array(sizes) + 1), [str(size) for size in sizes])
        axes.margins(x=0.2)
        axes.set_xlabel("real training crops of the class")
        axes.set_ylabel("gain in F1, 95 % interval")
        axes.grid(alpha=0.3)
        axes.legend()
        return to_png(figure)


def to_png(figure: Figure) -> bytes:
    """Encode a figure; without a version in it, equal runs give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _smoothed(losses: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    width = min(_SMOOTHED_STEPS, len(losses))
    means = np.convolve(losses, np.full(width, 1 / width), mode="valid")
    return np.arange(width, len(losses) + 1), means
