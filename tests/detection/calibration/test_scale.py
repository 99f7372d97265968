from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from detection.calibration.scale import BoxScale, measure_scales, requested_boxes, rescale
from detection.datasets.types import DetectionSet, Sample

NAMES = ("disc", "spot")


def _set(folder: Path, *, loose: float, count: int, seed: int) -> DetectionSet:
    """Discs of radius 14 and spots of radius 6, each in a box `loose` times as wide and high as itself."""
    folder.mkdir()
    samples = []
    rng = np.random.default_rng(seed)
    for number in range(count):
        picture = rng.normal(190, 6, (96, 128, 3)).clip(0, 255).astype(np.uint8)
        picture = cv2.circle(picture, (40, 48), 14, (90, 40, 150), -1)
        picture = cv2.circle(picture, (95, 48), 6, (120, 60, 130), -1)
        path = folder / f"{number}.png"
        Image.fromarray(picture).save(path)
        boxes = [
            [
                x + 0.5 - (r + 0.5) * loose,
                48.5 - (r + 0.5) * loose,
                x + 0.5 + (r + 0.5) * loose,
                48.5 + (r + 0.5) * loose,
            ]
            for x, r in ((40, 14), (95, 6))
        ]
        samples.append(Sample.of(path, (128, 96), boxes, [1, 2]))
    return DetectionSet(categories=NAMES, samples=tuple(samples))


def test_looser_real_boxes_are_measured(tmp_path: Path) -> None:
    painted = _set(tmp_path / "painted", loose=1.0, count=6, seed=1)
    scales = measure_scales(_set(tmp_path / "real", loose=1.5, count=20, seed=2), painted)
    for name in NAMES:
        assert scales[name].real_boxes == 20
        assert scales[name].painted_boxes == 6
        # 1.5 to the power of 20/21, as if one more box had shown 1
        assert scales[name].factor == pytest.approx(1.47, abs=0.12)


def test_few_boxes_move_the_scale_less(tmp_path: Path) -> None:
    painted = _set(tmp_path / "painted", loose=1.0, count=4, seed=1)
    one = measure_scales(_set(tmp_path / "one", loose=1.5, count=1, seed=2), painted)["disc"]
    assert one.factor == pytest.approx(1.5**0.5, abs=0.08)


def test_nothing_real_leaves_the_labels(tmp_path: Path) -> None:
    painted = _set(tmp_path / "painted", loose=1.0, count=1, seed=1)
    empty = DetectionSet(categories=NAMES, samples=())
    assert measure_scales(empty, painted)["disc"] == BoxScale(factor=1.0, real_boxes=0, painted_boxes=1)


def test_labels_grow_about_their_centre_and_stay_inside(tmp_path: Path) -> None:
    sample = Sample.of(tmp_path / "a.png", (100, 80), [[10, 20, 30, 40], [0, 0, 20, 10]], [1, 2])
    data = DetectionSet(categories=NAMES, samples=(sample,))
    scales = {
        "disc": BoxScale(factor=1.5, real_boxes=1, painted_boxes=1),
        "spot": BoxScale(factor=1.2, real_boxes=1, painted_boxes=1),
    }
    np.testing.assert_allclose(rescale(data, scales).samples[0].boxes_xyxy, [[5, 15, 35, 45], [0, 0, 22, 11]])


def test_requested_boxes_replace_those_that_are_known(tmp_path: Path) -> None:
    asked = np.array([[8, 18, 33, 44], [np.nan] * 4], np.float32)
    sample = Sample.of(tmp_path / "a.png", (100, 80), [[10, 20, 30, 40], [0, 0, 20, 10]], [1, 2], None, asked)
    data = requested_boxes(DetectionSet(categories=NAMES, samples=(sample,)))
    np.testing.assert_allclose(data.samples[0].boxes_xyxy, [[8, 18, 33, 44], [0, 0, 20, 10]])
