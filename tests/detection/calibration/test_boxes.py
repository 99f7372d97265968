from __future__ import annotations

from pathlib import Path

import numpy as np

from detection.calibration.boxes import BoxScale, requested_boxes, rescale
from detection.datasets.types import DetectionDataset, Sample

NAMES = ("disc", "spot")


def test_labels_grow_about_their_centre_and_stay_inside(tmp_path: Path) -> None:
    sample = Sample.of(tmp_path / "a.png", (100, 80), [[10, 20, 30, 40], [0, 0, 20, 10]], [1, 2])
    data = DetectionDataset(categories=NAMES, samples=(sample,))
    scales = {
        "disc": BoxScale(factor=1.5, real_boxes=1, painted_boxes=1),
        "spot": BoxScale(factor=1.2, real_boxes=1, painted_boxes=1),
    }
    np.testing.assert_allclose(rescale(data, scales).samples[0].boxes_xyxy, [[5, 15, 35, 45], [0, 0, 22, 11]])


def test_requested_boxes_replace_those_that_are_known(tmp_path: Path) -> None:
    asked = np.array([[8, 18, 33, 44], [np.nan] * 4], np.float32)
    sample = Sample.of(tmp_path / "a.png", (100, 80), [[10, 20, 30, 40], [0, 0, 20, 10]], [1, 2], None, asked)
    data = requested_boxes(DetectionDataset(categories=NAMES, samples=(sample,)))
    np.testing.assert_allclose(data.samples[0].boxes_xyxy, [[8, 18, 33, 44], [0, 0, 20, 10]])
