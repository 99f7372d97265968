"""The report of a comparison: report.html, which stands alone, report.md and its pictures."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from detection.classifier.comparison import ArmResult, Comparison, Outcome, show_gain
from detection.classifier.grad_cam import draw_cases
from detection.classifier.models import Classifier
from detection.classifier.scores import AVERAGES
from detection.classifier.settings import Arm
from detection.pages import ABSENT, PLOT_STYLE, to_png
from generator.foundation.storage import write_bytes, write_text
from generator.foundation.version import __version__
from generator.report import page_environment

_DPI = 130
COLOURS = {"original": "#E69F00", "augmented": "#0072B2"}  # Okabe and Ito 2008
_SMOOTHED_STEPS = 25


def write_report(
    out: Path,
    comparison: Comparison,
    content: Mapping[str, Any],
    chosen: Mapping[Arm, tuple[Outcome, Classifier]],
) -> None:
    """Write the pictures and both pages. `content` is what scores.json holds; `chosen` are the models whose cases are
    shown. Raises StorageError."""
    pictures = {"confusion.png": _draw_confusions(comparison), "curves.png": _draw_curves(comparison)}
    if comparison.gains is not None:
        pictures["gains.png"] = _draw_gains(comparison)
    cases = {}
    for arm, (outcome, model) in chosen.items():
        title = f"{arm}, seed {outcome.job.number}: right at the left, wrong at the right; what spoke for the answer"
        margin, test = comparison.settings.margin, comparison.data.test
        cases[f"grad_cam_{arm}.png"] = draw_cases(model, test, outcome.probabilities, margin=margin, title=title)
    pictures |= cases
    for name, data in pictures.items():
        write_bytes(out / name, data)
    context: dict[str, Any] = {
        "comparison": comparison,
        "content": content,
        "settings": comparison.settings,
        "rows": _rows(comparison),
        "class_rows": _class_rows(comparison),
        "averages": AVERAGES,
        "seed_rows": _seed_rows(comparison),
        "cases": list(cases),
        "images": {name: base64.b64encode(data).decode() for name, data in pictures.items()},
        "version": __version__,
    }
    environment = page_environment("detection.classifier")
    for name in ("report.html", "report.md"):
        write_text(out / name, environment.get_template(f"{name}.j2").render(**context))


def _rows(comparison: Comparison) -> list[list[str]]:
    """Score, its mean and spread in each arm, and the gain where it has an interval."""
    gains = comparison.gains
    averages = [(kind, k) for kind in ("macro", "weighted") for k in range(len(AVERAGES))]
    known = {("accuracy", None): gains.accuracy, ("macro", AVERAGES.index("f1")): gains.macro_f1} if gains else {}
    return [
        [
            kind if k is None else f"{kind} {AVERAGES[k]}",
            *(_mean_of(arm, kind, k) for arm in comparison.arms),
            show_gain(known.get((kind, k))),
        ]
        for kind, k in (("accuracy", None), *averages)
    ]


def _class_rows(comparison: Comparison) -> list[list[str]]:
    """Class, its crops to train and to test on, scores in each arm, and gains of recall and F1."""
    gains, tested = comparison.gains, comparison.data.test.counts()
    rows = []
    for label, name in enumerate(comparison.data.classes):
        scores = [_mean_of(arm, score, label) for score in AVERAGES for arm in comparison.arms]
        gained = [gains.recall[label], gains.f1[label]] if gains else [None, None]
        counts = [str(comparison.real_counts[name]), str(tested[name])]
        rows.append([name, *counts, *scores, *map(show_gain, gained)])
    return rows


def _seed_rows(comparison: Comparison) -> list[list[str]]:
    """Seed, macro F1 of each arm, crops that only one arm got right, and McNemar's p."""
    rows = []
    for number in range(comparison.settings.seeds):
        f1 = [f"{arm.values('macro_f1')[number]:.3f}" if arm.outcomes else ABSENT for arm in comparison.arms]
        test = comparison.tests[number] if comparison.tests else None
        tested = [str(test.only_original), str(test.only_augmented), f"{test.p_value:.2g}"] if test else [ABSENT] * 3
        rows.append([str(number), *f1, *tested])
    return rows


def _mean_of(arm: ArmResult, name: str, label: int | None = None) -> str:
    """Mean and spread over the seeds, such as "0.812 ± 0.031"."""
    mean, spread = arm.mean(name, label), arm.spread(name, label)
    if math.isnan(mean):
        return ABSENT
    return f"{mean:.3f}" if math.isnan(spread) else f"{mean:.3f} ± {spread:.3f}"


def _draw_confusions(comparison: Comparison) -> bytes:
    """Draw the confusion matrices of the trained arms side by side: mean counts, coloured by share of the row."""
    arms, classes = comparison.trained, comparison.data.classes
    with mpl.rc_context(PLOT_STYLE):
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


def _draw_curves(comparison: Comparison) -> bytes:
    """Draw the training loss of every model, and the validation scores where there are some."""
    with mpl.rc_context(PLOT_STYLE):
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


def _draw_gains(comparison: Comparison) -> bytes:
    """Draw the gain in F1 of each class, with its interval, over the real training crops that it had."""
    if comparison.gains is None:
        raise ValueError("there is no gain without both arms")
    counts = comparison.real_counts
    with mpl.rc_context(PLOT_STYLE):
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


def _smoothed(losses: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    width = min(_SMOOTHED_STEPS, len(losses))
    means = np.convolve(losses, np.full(width, 1 / width), mode="valid")
    return np.arange(width, len(losses) + 1), means
