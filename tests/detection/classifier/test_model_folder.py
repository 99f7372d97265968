from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from detection.classifier import model_folder
from detection.classifier.model_folder import export_onnx, load_classifier, save_classifier
from detection.classifier.models import Classifier, build_classifier
from generator.foundation.errors import ModelError, ModelNotFoundError

CLASSES = ("cell", "platelet", "background")


@pytest.fixture()
def model() -> Classifier:
    """A network whose norms have seen something."""
    made = build_classifier("small", CLASSES, "none", seed=3)
    with torch.no_grad():
        for _ in range(3):
            made.train()(torch.rand(8, 3, 64, 64))
    return made.eval()


def test_a_classifier_comes_back_from_its_folder(model: Classifier, tmp_path: Path) -> None:
    save_classifier(model, tmp_path / "model", margin=0.2)
    again, card = load_classifier(tmp_path / "model")
    pixels = torch.rand(2, 3, 64, 64)
    assert torch.equal(model(pixels), again(pixels))
    assert (card.classes, card.margin, card.crop_px) == (CLASSES, 0.2, 64)
    with pytest.raises(ModelNotFoundError, match=r"no model\.json"):
        load_classifier(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("model.json", b"{}", "not of a boxpaint classifier"),
        ("model.json", b"[1", "cannot be used"),
        ("model.safetensors", b"torn", "cannot be used"),
    ],
)
def test_a_damaged_folder_is_said(model: Classifier, tmp_path: Path, name: str, data: bytes, words: str) -> None:
    save_classifier(model, tmp_path, margin=0.2)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ModelError, match=words):
        load_classifier(tmp_path)


@pytest.mark.slow
def test_onnx_answers_as_torch_does_for_any_batch_or_is_not_kept(
    model: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    difference = export_onnx(model, tmp_path / "model.onnx")
    assert difference < 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    pixels = torch.rand(5, 3, 64, 64)
    (found,) = session.run(["logits"], {"pixels": pixels.numpy()})
    with torch.no_grad():
        assert np.abs(found - model(pixels).numpy()).max() < 1e-4
    monkeypatch.setattr(model_folder, "TOLERANCE", 0.0)
    with pytest.raises(ModelError, match="differs from torch by"):
        export_onnx(model, tmp_path / "other.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
