from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from detection.calibration.boxes import BoxScale
from detection.calibration.ruler import Ruler
from detection.calibration.scale import measure_scales
from detection.datasets.types import DetectionSet, Sample

NAMES = ("disc", "spot")

MakeSet = Callable[..., DetectionSet]


@pytest.fixture
def make_set(tmp_path: Path) -> MakeSet:
    """Discs and spots of many sizes, in boxes `loose` times as wide and high as themselves."""

    def make(name: str, *, loose: float, count: int, seed: int) -> DetectionSet:
        folder = tmp_path / name
        folder.mkdir()
        rng = np.random.default_rng(seed)
        samples = []
        for number in range(count):
            picture = rng.normal(190, 6, (96, 160, 3)).clip(0, 255).astype(np.uint8)
            boxes = []
            for x, colour, low, high in ((45, (90, 40, 150), 10, 17), (120, (150, 60, 60), 5, 9)):
                radius = int(rng.integers(low, high))
                centre = (x + int(rng.integers(-6, 7)), 48 + int(rng.integers(-6, 7)))
                picture = cv2.circle(picture, centre, radius, colour, -1)
                half = (radius + 0.5) * loose
                middle = np.array(centre) + 0.5
                boxes.append([*(middle - half), *(middle + half)])
            path = folder / f"{number}.png"
            Image.fromarray(picture).save(path)
            samples.append(Sample.of(path, (160, 96), boxes, [1, 2]))
        return DetectionSet(categories=NAMES, samples=tuple(samples))

    return make


def test_looser_real_boxes_are_measured_and_few_move_the_scale_less(
    make_set: MakeSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ruler, "fit", staticmethod(functools.partial(Ruler.fit, steps=100)))  # enough for discs
    painted = make_set("painted", loose=1.0, count=30, seed=1)
    real = make_set("real", loose=1.4, count=12, seed=2)
    many = measure_scales(real, painted)
    for name in NAMES:
        assert (many[name].real_boxes, many[name].painted_boxes) == (12, 30)
        # 1.4 to the power of 12/13, as if one more box had shown 1
        assert many[name].factor == pytest.approx(1.36, abs=0.1)
    one = measure_scales(real.choose([0]), painted)
    assert one["disc"].real_boxes == 1
    assert 1.0 < one["disc"].factor < 1.28


def test_nothing_real_leaves_the_labels(make_set: MakeSet) -> None:
    painted = make_set("painted", loose=1.0, count=1, seed=1)
    empty = DetectionSet(categories=NAMES, samples=())
    assert measure_scales(empty, painted)["disc"] == BoxScale(factor=1.0, real_boxes=0, painted_boxes=1)
