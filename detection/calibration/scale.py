"""The scale between painted labels and people's boxes, from a few real boxes of each category."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from detection.calibration.boxes import BoxScale
from detection.calibration.ruler import Measured, Ruler
from detection.calibration.windows import Patch, cut_patches
from detection.datasets.types import DetectionDataset

MAX_OBJECTS = 300
"""Taken of each category and set, evenly spread; more moves a median by less than a pixel."""
_PRIOR_BOXES, _PRIOR_SCALE = 1.0, 1.1
"""Few real boxes say little: as if so many more had shown that people leave a little room. On blood smears, where 536
boxes give 1.12 and 1.28, the medians of three are off by 4.8 and 8.3 % so, and by 5.6 and 9.7 % with a prior of 1."""
MIN_AGREEMENT, MAX_SPREAD = 0.86, 0.2
"""A ruler knows only what looks like the objects it learned from. Least agreement of its windows on one object (IoU),
and greatest spread of the ratios of objects (robust standard deviation of the logarithm), medians; below and above it
does not know what it sees. Learned from 31 painted white cells and platelets, with two seeds: real white cells of the
same stain agree by .91 and .92, with spreads of .07 and .06, platelets by .89 and .91, with .14 and .15; white cells of
another stain by .80 and .83, with .26 and .21, and ratios of 1.7 and 1.6 where by hand it is 1.16; its red cells, which
were never painted, by .28."""
_SPREAD_FROM = 5
"""Fewer boxes have no spread."""

OnProgress = Callable[[str, int, int], None]
"""Told (what is being done, done, in all)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """The scale of one category, and what it was read from: patches of real objects with what the ruler says of them,
    None where there was nothing to learn from or to measure, and patches of painted ones with their tight boxes."""

    scale: BoxScale
    real: list[Patch]
    painted: list[Patch]
    measured: Measured | None


def measure_scales(
    real: DetectionDataset, painted: DetectionDataset, *, seed: int = 0, on_progress: OnProgress = lambda *_: None
) -> dict[str, Reading]:
    """Measure for each category how much larger people draw the box around the same object than the painted label is.

    The median over real objects of their box against what a ruler learned from the painted labels says, drawn towards
    a usual scale where there are few; the usual scale alone, with a doubt, where the ruler does not know what it sees;
    1 where there is nothing to measure.
    """
    numbers = range(1, len(painted.categories) + 1)
    of_painted = [cut_patches(painted, number, most=MAX_OBJECTS) for number in numbers]
    of_real = []
    for number in numbers:
        on_progress("cutting out real objects", number - 1, len(numbers))
        of_real.append(cut_patches(real, number, most=MAX_OBJECTS))
    ruler = None
    if any(of_painted) and any(of_real):
        ruler = Ruler.fit(of_painted, seed=seed, on_step=lambda *done: on_progress("training a ruler", *done))
    readings = {}
    done, total = 0, sum(map(len, of_real))

    def count() -> None:
        nonlocal done
        done += 1
        on_progress("measuring real objects", done, total)

    for name, painted_patches, real_patches in zip(painted.categories, of_painted, of_real, strict=True):
        measured = None
        if ruler is not None and painted_patches and real_patches:
            measured = ruler.measure(real_patches, count)
        factor, doubt = judge(measured) if measured is not None else (1.0, "")
        scale = BoxScale(factor=factor, real_boxes=len(real_patches), painted_boxes=len(painted_patches), doubt=doubt)
        readings[name] = Reading(scale=scale, real=real_patches, painted=painted_patches, measured=measured)
    return readings


def judge(measured: Measured) -> tuple[float, str]:
    """The scale, and why it is not what was measured."""
    count = len(measured.log_ratios)
    low, middle, high = np.quantile(measured.log_ratios, [0.25, 0.5, 0.75]).tolist()
    agreement, spread = float(np.median(measured.agreement)), (high - low) / 1.349
    if agreement < MIN_AGREEMENT:
        return _PRIOR_SCALE, (
            f"real ones look unlike the painted ones: shifted views of one object give other boxes (they agree by "
            f"{agreement:.2f}, {MIN_AGREEMENT} is needed)"
        )
    if count >= _SPREAD_FROM and spread > MAX_SPREAD:
        return _PRIOR_SCALE, (
            f"real ones look unlike the painted ones: their boxes over the estimated ones scatter by {spread:.0%} "
            f"({MAX_SPREAD:.0%} at most)"
        )
    return math.exp((middle * count + math.log(_PRIOR_SCALE) * _PRIOR_BOXES) / (count + _PRIOR_BOXES)), ""
