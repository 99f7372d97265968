"""Plots of the report as SVG, so that the page stands alone and stays sharp."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from generator.report.statistics import Statistics

# Fixed, so that the same data set gives the same page.
_STYLE: Any = {"svg.hashsalt": "boxpaint", "svg.fonttype": "none", "text.parse_math": False, "font.size": 9}
_DARK = "#1b1b1f"
MAX_VECTOR_POINTS = 2000


def box_plots(statistics: Statistics, canvas_wh: tuple[int, int], colours: Mapping[str, str]) -> str:
    """Draw counts, sizes and positions of the labels side by side; returns one SVG element."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(12, 3.6), layout="constrained", facecolor=_DARK)
        counts, sizes, places = figure.subplots(1, 3)
        _plot_counts(counts, statistics, colours)
        _plot_sizes(sizes, statistics, colours)
        _plot_places(places, statistics, colours, canvas_wh)
        for axes in (counts, sizes, places):
            _darken(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _plot_counts(axes: Axes, statistics: Statistics, colours: Mapping[str, str]) -> None:
    names = [category.name for category in statistics.categories]
    train = [category.train for category in statistics.categories]
    axes.barh(names, train, color=[colours[name] for name in names])
    axes.barh(names, [c.val for c in statistics.categories], left=train, color="#888888", label="val")
    axes.invert_yaxis()
    axes.set_title("Labels per class (grey: validation)")


def _plot_sizes(axes: Axes, statistics: Statistics, colours: Mapping[str, str]) -> None:
    for category in statistics.categories:
        if category.painted_wh:
            widths, heights = zip(*category.painted_wh, strict=True)
            _scatter(axes, widths, heights, colours[category.name])
    axes.set_title("Size of the boxes")
    axes.set_xlabel("width, px")
    axes.set_ylabel("height, px")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)


def _plot_places(axes: Axes, statistics: Statistics, colours: Mapping[str, str], canvas_wh: tuple[int, int]) -> None:
    for category in statistics.categories:
        if category.centres:
            x, y = zip(*category.centres, strict=True)
            _scatter(axes, x, y, colours[category.name])
    axes.set_xlim(0, canvas_wh[0])
    axes.set_ylim(canvas_wh[1], 0)
    axes.set_aspect("equal")
    axes.set_title("Centres of the boxes")


def _scatter(axes: Axes, x: Sequence[float], y: Sequence[float], colour: str) -> None:
    # Past some thousand points a bitmap inside the SVG is smaller, and no eye sees the difference.
    axes.scatter(x, y, s=12, alpha=0.7, color=colour, rasterized=len(x) > MAX_VECTOR_POINTS)


def _darken(axes: Axes) -> None:
    axes.set_facecolor("#26262b")
    axes.tick_params(colors="#c8c8cc")
    for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
        text.set_color("#e4e4e8")
    for spine in axes.spines.values():
        spine.set_color("#4a4a50")
