"""The boxes that painted objects are trained with: as painted, as asked for, or as people would draw them."""

from __future__ import annotations

from detection.calibration.boxes import BoxMode, BoxScale, requested_boxes, rescale
from detection.calibration.scale import measure_scales
from detection.datasets.types import DetectionSet


def with_boxes(
    painted: DetectionSet, boxes: BoxMode, measured: DetectionSet | None
) -> tuple[DetectionSet, dict[str, BoxScale]]:
    """Give painted pictures, labelled tight, the boxes to train with; returns by how much they were scaled, too.

    `measured` are the real pictures that the scale may be measured on; without any, calibrated boxes stay tight.
    """
    if boxes == "requested":
        return requested_boxes(painted), {}
    if boxes == "tight" or measured is None:
        return painted, {}
    scales = measure_scales(measured, painted)
    return rescale(painted, scales), scales
