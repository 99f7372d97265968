"""Curves of an experiment: score over number of real images for each arm, and over number of painted ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from detection.experiment.config import PAINTED_ARMS, Arm
from detection.experiment.run import Outcome
from detection.experiment.value_curve import ValueCurve
from detection.experiment.verdict import ARM_NAMES, arm_name
from generator.foundation.storage import atomic_writer

_STYLE: Any = {"text.parse_math": False, "font.size": 9}
# Okabe and Ito 2008: told apart by colour-blind eyes as well.
_COLOURS: dict[Arm, str] = {
    "real": "#000000",
    "copy_paste": "#E69F00",
    "synthetic": "#009E73",
    "calibrated": "#56B4E9",
    "refined": "#0072B2",
    "refined_copy_paste": "#D55E00",
    "mixed": "#CC79A7",
}
_PANEL_INCHES = (4.2, 3.6)


def draw_card(path: Path, outcome: Outcome) -> None:
    """Draw all curves, a panel for all categories and one for each, as a PNG file. Raises StorageError."""
    names = ["all classes", *outcome.materials.config.categories]
    rows = 1 if outcome.curve is None else 2
    with mpl.rc_context(_STYLE):
        size = (_PANEL_INCHES[0] * len(names), _PANEL_INCHES[1] * rows)
        figure = Figure(figsize=size, dpi=130, layout="constrained")
        panels = figure.subplots(rows, len(names), squeeze=False)
        for number, name in enumerate(names):
            _plot_arms(panels[0][number], outcome, number)
            panels[0][number].set_title(name)
            if outcome.curve is not None:
                _plot_curve(panels[1][number], outcome.curve, number)
        panels[0][0].legend(fontsize=8)
        for row in panels:
            row[0].set_ylabel("AP 0.50:0.95, points")
        with atomic_writer(path) as stream:
            # Without a version in it, equal runs give equal bytes.
            figure.savefig(stream, format="png", metadata={"Software": None})


def _plot_arms(axes: Axes, outcome: Outcome, panel: int) -> None:
    numbers = sorted({cell.number for cell in outcome.cells if cell.number})
    # Evenly spread: 3, 5, 10 and 292 on one line would leave no room for the small ones, where the gain is.
    place = {number: position for position, number in enumerate(numbers)}
    for arm in outcome.materials.config.arms:
        cells = sorted((cell for cell in outcome.cells if cell.arm == arm), key=lambda cell: cell.number)
        means, spreads = _curve_of(cells, panel)
        if arm in PAINTED_ARMS:
            name = arm_name(arm, cells[0].measured)
            axes.axhline(means[0], color=_COLOURS[arm], linestyle="--", label=name)
            axes.axhspan(means[0] - spreads[0], means[0] + spreads[0], color=_COLOURS[arm], alpha=0.08, linewidth=0)
            continue
        x = np.array([place[cell.number] for cell in cells])
        axes.errorbar(x, means, yerr=spreads, marker=".", capsize=3, color=_COLOURS[arm], label=ARM_NAMES[arm])
    axes.set_xticks(list(place.values()), [str(number) for number in numbers])
    axes.set_xlabel("real images")
    axes.grid(alpha=0.3)


def _plot_curve(axes: Axes, curve: ValueCurve, panel: int) -> None:
    means, spreads = _curve_of(curve.points, panel)
    x = [cell.painted for cell in curve.points]
    axes.errorbar(x, means, yerr=spreads, marker=".", capsize=3, color=_COLOURS["refined"])
    axes.set_xlabel(f"painted images, next to {curve.points[0].number} real ones")
    axes.grid(alpha=0.3)


def _curve_of(cells: Any, panel: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each cell in points; panel 0 is all categories, the others one each."""
    scores = [100 * (cell.ap if panel == 0 else cell.ap_of_category[:, panel - 1]) for cell in cells]
    spreads = [values.std(ddof=1) if len(values) > 1 else 0.0 for values in scores]
    return np.array([values.mean() for values in scores]), np.array(spreads)
