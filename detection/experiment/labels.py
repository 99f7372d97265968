"""The boxes that painted objects are trained with: as painted, as asked for, or as people would draw them."""

from __future__ import annotations

from detection.calibration.scale import BoxScale, measure_scales, requested_boxes, rescale
from detection.datasets.types import DetectionSet
from detection.experiment.config import BoxMode


def prepare_synthetic(
    painted: DetectionSet, boxes: BoxMode, real: DetectionSet | None
) -> tuple[DetectionSet, dict[str, BoxScale]]:
    """Give painted pictures the boxes to train with; returns by how much they were scaled, too.

    `real` are the real pictures that the same training may see, the only ones that anything may be measured by. To
    calibrate without any, the boxes that were asked for are taken.
    """
    if boxes == "tight":
        return painted, {}
    if boxes == "requested" or real is None:
        return requested_boxes(painted), {}
    scales = measure_scales(real, painted)
    return rescale(painted, scales), scales
