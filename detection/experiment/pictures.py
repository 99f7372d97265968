"""Pictures of an experiment for people: its curves, what was pasted, and where painted images help least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from detection.datasets.read import open_rgb
from detection.datasets.types import DetectionDataset, Detections
from detection.evaluation.bootstrap import ResampledAp
from detection.experiment.config import KINDS, Arm, ExperimentConfig, Painter, Scenes
from detection.experiment.results import Cell
from detection.experiment.verdict import ValueCurve, arm_name
from detection.inference.drawing import pixel_box
from detection.inference.report import draw_mistakes, evaluate_found
from detection.pages import PLOT_STYLE, to_png
from generator.dataset.pictures import category_colours, draw_boxes, spread, tile
from generator.foundation.storage import atomic_writer, write_bytes

_PANEL_INCHES = (4.2, 3.6)
_QUALITY = 88
_CELL_PX = 420
# A kind has its colour; who painted, and into what, is told by line and marker.
_LINES: dict[Painter, str] = {"zero-shot": "-", "tuned": "-."}
_MARKERS: dict[Scenes, str] = {"painted": ".", "photos": "s"}


def draw_card(path: Path, config: ExperimentConfig, cells: Sequence[Cell], curve: ValueCurve | None) -> None:
    """Draw all curves, a panel for all categories and one for each, as a PNG file. Raises StorageError."""
    names = ["all classes", *config.categories]
    rows = 1 if curve is None else 2
    with mpl.rc_context(PLOT_STYLE):
        size = (_PANEL_INCHES[0] * len(names), _PANEL_INCHES[1] * rows)
        figure = Figure(figsize=size, dpi=130, layout="constrained")
        panels = figure.subplots(rows, len(names), squeeze=False)
        for number, name in enumerate(names):
            _plot_arms(panels[0][number], config.arms, cells, number)
            panels[0][number].set_title(name)
            if curve is not None:
                _plot_curve(panels[1][number], curve, number)
        if any(arm.is_own for arm in config.arms):  # so many would hide the curves
            handles, labels = panels[0][0].get_legend_handles_labels()
            figure.legend(handles, labels, fontsize=8, loc="outside lower center", ncols=3)
        else:
            panels[0][0].legend(fontsize=8)
        for row in panels:
            row[0].set_ylabel("AP 0.50:0.95, points")
        write_bytes(path, to_png(figure))


def _plot_arms(axes: Axes, arms: Sequence[Arm], cells: Sequence[Cell], panel: int) -> None:
    numbers = sorted({cell.number for cell in cells if cell.number})
    # Evenly spread: 3, 5, 10 and 292 on one line would leave no room for the small ones, where the gain is.
    place = {number: position for position, number in enumerate(numbers)}
    for arm in arms:
        own = sorted((cell for cell in cells if cell.arm == arm), key=lambda cell: cell.number)
        means, spreads = _curve_of(own, panel)
        look: Any = {"color": arm.traits.colour, "label": arm_name(arm, own[0].measured)}
        if not own[0].number:
            axes.axhline(means[0], linestyle="--", **look)
            low, high = means[0] - spreads[0], means[0] + spreads[0]
            axes.axhspan(low, high, color=arm.traits.colour, alpha=0.08, linewidth=0)
        else:
            x = np.array([place[cell.number] for cell in own])
            style: Any = {"linestyle": _LINES[arm.painter], "marker": _MARKERS[arm.scenes]}
            axes.errorbar(x, means, yerr=spreads, capsize=3, **style, **look)
    axes.set_xticks(list(place.values()), [str(number) for number in numbers])
    axes.set_xlabel("real images")
    axes.grid(alpha=0.3)


def _plot_curve(axes: Axes, curve: ValueCurve, panel: int) -> None:
    means, spreads = _curve_of(curve.points, panel)
    x = [cell.painted for cell in curve.points]
    axes.errorbar(x, means, yerr=spreads, marker=".", capsize=3, color=KINDS["refined"].colour)
    axes.set_xlabel(f"painted images, next to {curve.points[0].number} real ones")
    axes.grid(alpha=0.3)


def _curve_of(cells: Sequence[Cell], panel: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each cell in points; panel 0 is all categories, the others one each."""
    scores = [100 * (cell.ap if panel == 0 else cell.ap_of_category[:, panel - 1]) for cell in cells]
    spreads = [values.std(ddof=1) if len(values) > 1 else 0.0 for values in scores]
    return np.array([values.mean() for values in scores]), np.array(spreads)


def write_sheet(path: Path, data: DetectionDataset, *, most: int, columns: int, cell_width: int) -> None:
    """Write a JPEG of some pictures of a data set with their labels, spread over all of it. Raises StorageError."""
    colours = category_colours(data.categories)
    pictures = []
    for position in spread(len(data), most):
        sample = data.samples[position]
        names = [data.categories[int(label) - 1] for label in sample.labels]
        boxes = list(zip(names, map(pixel_box, sample.boxes_xyxy), strict=True))
        pictures.append(draw_boxes(open_rgb(sample.path), boxes, colours))
    _write_jpeg(path, tile(pictures, columns=min(columns, len(pictures)), cell_width=cell_width))


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A test picture: AP on it alone, mean over subsets, of the arm with painted pictures and of the one without."""

    picture: int
    name: str
    ap: float
    baseline_ap: float


def worst_pictures(
    data: DetectionDataset, arm: Sequence[Sequence[Detections]], baseline: Sequence[Sequence[Detections]], *, most: int
) -> list[Failure]:
    """Find where an arm loses most against another one, then where it is worst at all; `most` pictures of each.

    `arm` and `baseline`: for each subset, what was found in each picture.
    """
    ap, baseline_ap = _of_pictures(data, arm), _of_pictures(data, baseline)
    known = np.flatnonzero(~np.isnan(ap))
    by_loss = known[np.argsort((ap - baseline_ap)[known], kind="stable")]
    lost = [number for number in by_loss if ap[number] < baseline_ap[number]][:most]
    low = [number for number in known[np.argsort(ap[known], kind="stable")] if number not in lost][:most]
    return [
        Failure(
            picture=int(number),
            name=data.samples[number].path.name,
            ap=float(ap[number]),
            baseline_ap=float(baseline_ap[number]),
        )
        for number in [*lost, *low]
    ]


def draw_failures(
    path: Path,
    data: DetectionDataset,
    failures: Sequence[Failure],
    arm: Sequence[Detections],
    baseline: Sequence[Detections],
) -> None:
    """Write a JPEG with a row for each failure: the arm on the left, the other on the right. Raises StorageError."""
    columns = [_mistakes_drawn(data, found, failures) for found in (arm, baseline)]
    pictures = [picture for row in zip(*columns, strict=True) for picture in row]
    _write_jpeg(path, tile(pictures, columns=2, cell_width=_CELL_PX))


def _mistakes_drawn(
    data: DetectionDataset, found: Sequence[Detections], failures: Sequence[Failure]
) -> list[Image.Image]:
    of_picture = {item.picture: item for item in evaluate_found(data, found).mistakes}
    drawn = []
    for number in (failure.picture for failure in failures):
        sample = data.samples[number]
        drawn.append(draw_mistakes(open_rgb(sample.path), sample, found[number], of_picture[number], data.categories))
    return drawn


def _of_pictures(data: DetectionDataset, found: Sequence[Sequence[Detections]]) -> np.ndarray:
    """AP on each picture alone (N,), mean over subsets; NaN where there is nothing to find."""
    alone = np.arange(len(data))[:, None]
    return np.stack([ResampledAp(data, each).ap_of(alone) for each in found]).mean(axis=0)


def _write_jpeg(path: Path, picture: Image.Image) -> None:
    with atomic_writer(path) as stream:
        picture.save(stream, "JPEG", quality=_QUALITY)
