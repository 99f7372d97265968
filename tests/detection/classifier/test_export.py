from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from detection.classifier import export
from detection.classifier.models import build_classifier
from generator.foundation.errors import ModelError

pytestmark = pytest.mark.slow


@pytest.fixture()
def model():
    """A network whose norms have seen something."""
    made = build_classifier("small", ("a", "b", "c"), "none", seed=3)
    with torch.no_grad():
        for _ in range(3):
            made.train()(torch.rand(8, 3, 64, 64))
    return made


def test_onnx_answers_as_torch_does_for_any_batch(model, tmp_path: Path) -> None:
    difference = export.export_onnx(model, tmp_path / "model.onnx")
    assert difference < 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    pixels = torch.rand(5, 3, 64, 64)
    (found,) = session.run(["logits"], {"pixels": pixels.numpy()})
    with torch.no_grad():
        assert np.abs(found - model(pixels).numpy()).max() < 1e-4
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_model_that_differs_is_not_kept(model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "TOLERANCE", 0.0)
    with pytest.raises(ModelError, match="differs from torch by"):
        export.export_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
