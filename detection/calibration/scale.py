"""The scale between painted labels and people's boxes, from a few real boxes of each category."""

from __future__ import annotations

import math

import numpy as np

from detection.calibration.boxes import BoxScale
from detection.calibration.ruler import Ruler
from detection.calibration.windows import cut_patches
from detection.datasets.types import DetectionSet

MAX_OBJECTS = 300
"""Taken of each category and set, evenly spread; more moves a median by less than a pixel."""
_PRIOR_BOXES = 1.0
"""Few real boxes say little: as if so many more had shown that the label is right as it is."""


def measure_scales(real: DetectionSet, painted: DetectionSet, *, seed: int = 0) -> dict[str, BoxScale]:
    """Measure for each category how much larger people draw the box around the same object than the painted label is.

    The median over real objects of their box against what a ruler learned from the painted labels says, drawn towards
    1 where there are few; 1 where there is nothing to measure.
    """
    numbers = range(1, len(painted.categories) + 1)
    of_painted = [cut_patches(painted, number, most=MAX_OBJECTS) for number in numbers]
    of_real = [cut_patches(real, number, most=MAX_OBJECTS) for number in numbers]
    ruler = Ruler.fit(of_painted, seed=seed) if any(of_painted) and any(of_real) else None
    scales = {}
    for name, painted_patches, real_patches in zip(painted.categories, of_painted, of_real, strict=True):
        factor = 1.0
        if ruler is not None and painted_patches and real_patches:
            found = float(np.median(ruler.log_ratios(real_patches)))
            factor = math.exp(found * len(real_patches) / (len(real_patches) + _PRIOR_BOXES))
        scales[name] = BoxScale(factor=factor, real_boxes=len(real_patches), painted_boxes=len(painted_patches))
    return scales
