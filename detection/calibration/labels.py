"""The boxes that painted objects are trained with: as labelled, painted, asked for, or as people would draw them."""

from __future__ import annotations

from detection.calibration.boxes import BoxMode, BoxScale, requested_boxes, rescale, tight_boxes
from detection.calibration.scale import measure_scales
from detection.datasets.types import DetectionDataset


def with_boxes(
    painted: DetectionDataset, boxes: BoxMode, measured: DetectionDataset | None
) -> tuple[DetectionDataset, dict[str, BoxScale]]:
    """Give painted pictures the boxes to train with; returns by how much tight ones were scaled, too.

    `measured` are the real pictures that the scale may be measured on; without any, calibrated boxes stay tight.
    """
    if boxes == "labelled":
        return painted, {}
    if boxes == "requested":
        return requested_boxes(painted), {}
    tight = tight_boxes(painted)
    if boxes == "tight" or measured is None:
        return tight, {}
    scales = {name: reading.scale for name, reading in measure_scales(measured, tight).items()}
    return rescale(tight, scales), scales
