from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from detection.calibration.scale import BoxScaleEstimator, Measured, judge, measure_scales, write_overlay
from detection.datasets.types import DetectionDataset, Sample

pytestmark = pytest.mark.slow

NAMES = ("disc", "spot")

MakeSet = Callable[..., DetectionDataset]


@pytest.fixture
def make_set(tmp_path: Path) -> MakeSet:
    """Discs and spots of many sizes, in boxes `loose` times as wide and high as themselves."""

    def make(name: str, *, loose: float, count: int, seed: int) -> DetectionDataset:
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
        return DetectionDataset(categories=NAMES, samples=tuple(samples))

    return make


def test_looser_real_boxes_are_measured_and_few_move_the_scale_less(
    make_set: MakeSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        BoxScaleEstimator, "fit", staticmethod(functools.partial(BoxScaleEstimator.fit, steps=100))
    )  # enough for discs
    painted = make_set("painted", loose=1.0, count=30, seed=1)
    real = make_set("real", loose=1.4, count=12, seed=2)
    steps: list[tuple[str, int, int]] = []
    many = measure_scales(real, painted, on_progress=lambda *step: steps.append(step))
    for name in NAMES:
        scale = many[name].scale
        assert (scale.real_boxes, scale.painted_boxes, scale.doubt) == (12, 30, "")
        # 1.4 to the power of 12/13, as if one more box had shown 1
        assert scale.factor == pytest.approx(1.36, abs=0.1)
    assert steps[-1] == ("measuring real objects", 24, 24)
    write_overlay(tmp_path / "overlay.jpg", many)
    assert Image.open(tmp_path / "overlay.jpg").width > 1200
    one = measure_scales(real.choose([0]), painted)["disc"].scale
    assert one.real_boxes == 1
    assert 1.0 < one.factor < 1.28


def test_an_estimator_that_does_not_know_what_it_sees_is_not_trusted(
    make_set: MakeSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not trained, it gives every window the same box, wherever the object lies in it.
    monkeypatch.setattr(BoxScaleEstimator, "fit", staticmethod(functools.partial(BoxScaleEstimator.fit, steps=0)))
    real = make_set("real", loose=1.4, count=6, seed=2)
    found = measure_scales(real, make_set("painted", loose=1.0, count=2, seed=1))
    for name in NAMES:
        assert found[name].scale.factor == 1.1
        assert "shifted views of one object give other boxes" in found[name].scale.doubt


@pytest.mark.parametrize(
    ("ratios", "factor", "words"),
    [
        ([1.3] * 9, 1.3**0.9 * 1.1**0.1, ""),
        ([1.0, 1.0, 1.0, 1.5, 1.5, 1.5], 1.1, "scatter by 30%"),
        ([1.0, 1.5], 1.5 ** (1 / 3) * 1.1 ** (1 / 3), ""),  # two have no spread
    ],
)
def test_boxes_over_estimated_ones_that_scatter_are_not_trusted(ratios: list[float], factor: float, words: str) -> None:
    count = len(ratios)
    logarithms, tight = np.log(np.array(ratios)), np.zeros((count, 4))
    found = judge(Measured(log_ratios=logarithms, tight_xyxy=tight, agreement=np.full(count, 0.9)))
    assert found[0] == pytest.approx(factor)
    assert words in found[1] and bool(words) == bool(found[1])
