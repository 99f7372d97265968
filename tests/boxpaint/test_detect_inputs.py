"""What the commands for detectors say of their pictures."""

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from boxpaint.detect_inputs import Inputs, show_inputs
from detection.calibration.scale import BoxScale
from detection.datasets.types import DetectionSet, Sample
from detection.runs.sources import Source


def told(inputs: Inputs) -> str:
    stream = io.StringIO()
    show_inputs(inputs, Console(file=stream, width=200))
    return stream.getvalue()


def test_what_could_not_be_measured_or_learnt_is_a_warning() -> None:
    sample = Sample.of(Path("a.png"), (9, 9), [[0, 0, 4, 4]], [1])
    painted = DetectionSet(categories=("red", "blue"), samples=(sample,))
    scales = {
        "red": BoxScale(factor=1.25, real_boxes=3, painted_boxes=4),
        "blue": BoxScale(factor=1, real_boxes=0, painted_boxes=0),
    }
    source = Source(role="synthetic", path=Path("painted"), splits=("train",), data=painted, scales=scales)
    words = told(Inputs(real=None, synthetic=source, validation=None))
    assert "boxes of red: times 1.250, measured on 3 real and 4 painted ones" in words
    assert "warning: nothing of blue could be measured; its painted boxes stay tight" in words
    assert "warning: there is no blue to learn from" in words
    both = Inputs(
        real=replace(source, scales={}, data=replace(painted, categories=("red",))), synthetic=None, validation=None
    )
    assert "warning" not in told(both)
