"""What the commands for detectors say of their pictures."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boxpaint.cli.train import Inputs, show_inputs
from detection.calibration.scale import BoxScale
from detection.datasets.sources import Source
from detection.datasets.types import DetectionDataset, Sample
from generator.config import OutputConfig
from generator.dataset.provenance import encode_image, xmp_packet


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[[Inputs], str]:
    """What is said of the pictures of a training."""

    def show(inputs: Inputs) -> str:
        show_inputs(inputs)
        return capsys.readouterr().out

    return show


def test_what_could_not_be_measured_or_learnt_is_a_warning(told: Callable[[Inputs], str]) -> None:
    sample = Sample.of(Path("a.png"), (9, 9), [[0, 0, 4, 4]], [1])
    painted = DetectionDataset(categories=("red", "blue"), samples=(sample,))
    scales = {
        "red": BoxScale(factor=1.25, real_boxes=3, painted_boxes=4),
        "blue": BoxScale(factor=1, real_boxes=0, painted_boxes=0),
    }
    source = Source(role="synthetic", path=Path("painted"), splits=("train",), data=painted, scales=scales)
    words = told(Inputs(real=None, synthetic=source, validation=None))
    assert "boxes of red: times 1.250, measured on 3 real and 4 painted ones" in words
    assert "warning: nothing of blue could be measured; its painted boxes stay tight" in words
    assert "warning: there is no blue to learn from" in words
    unsure = replace(source, scales={"red": replace(scales["red"], doubt="it looks unlike them")})
    assert "warning: that is the usual scale: it looks unlike them" in told(
        Inputs(real=None, synthetic=unsure, validation=None)
    )
    both = Inputs(
        real=replace(source, scales={}, data=replace(painted, categories=("red",))), synthetic=None, validation=None
    )
    assert "warning" not in told(both)


def test_pictures_that_do_not_label_a_class_and_painted_ones_among_real_ones_are_a_warning(
    tmp_path: Path, told: Callable[[Inputs], str]
) -> None:
    paths = [tmp_path / "real.png", tmp_path / "painted.png"]
    picture = np.zeros((9, 9, 3), np.uint8)
    Image.fromarray(picture).save(paths[0])
    paths[1].write_bytes(encode_image(picture, OutputConfig(), xmp=xmp_packet(tool="boxpaint", description="")))
    samples = [Sample.of(path, (9, 9), [[0, 0, 4, 4]], [1]) for path in paths]
    data = DetectionDataset(
        categories=("red",), samples=(samples[0], replace(samples[1], not_exhaustive=frozenset({1})))
    )
    source = Source(role="real", path=tmp_path, splits=("train",), data=data)
    words = told(Inputs(real=source, synthetic=None, validation=source))
    assert "warning: 1 of these pictures do not label red" in words
    assert "warning: 1 of them are painted" in words
    assert "painted" not in told(Inputs(real=source, synthetic=None, validation=replace(source, data=data.choose([0]))))
