"""The folder of a trained classifier: model.json (what it is), model.safetensors, and model.onnx (https://onnx.ai)."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError

from detection.classifier.models import MODELS, Classifier
from generator.foundation.errors import ModelError, ModelNotFoundError
from generator.foundation.storage import make_folder, translate_os_errors, write_bytes, write_json

SCHEMA_VERSION = 1
KIND = "boxpaint classifier"
CARD, WEIGHTS = "model.json", "model.safetensors"
TOLERANCE = 1e-4
_INPUT, _OUTPUT = "pixels", "logits"
# Sizes of batches on which both are compared; neither is the one it is traced with.
_CHECKED = (1, 3)


class ModelCard(BaseModel):
    """What a saved classifier is, and what its crops must look like."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    """A name of detection.classifier.models.MODELS."""
    classes: tuple[str, ...]
    margin: float
    """What a crop shows around its box, as a share of the box's longer side."""
    crop_px: int
    """Pixels of a crop's side; values are RGB in [0, 1], channels first."""


def save_classifier(model: Classifier, folder: Path, *, margin: float) -> None:
    """Write weights, then the card, so that it means a whole model. Raises StorageError."""
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    write_bytes(make_folder(folder) / WEIGHTS, safetensors.torch.save(weights))
    card = ModelCard(model=model.name, classes=model.classes, margin=margin, crop_px=model.spec.crop_px)
    write_json(folder / CARD, {"schema_version": SCHEMA_VERSION, "kind": KIND, **card.model_dump(mode="json")})


def load_classifier(folder: Path) -> tuple[Classifier, ModelCard]:
    """Read a saved classifier, ready to predict on the CPU. Raises ModelNotFoundError, ModelError, StorageError."""
    path = folder / CARD
    if not path.is_file():
        raise ModelNotFoundError(f"{folder}: no classifier is there (no {CARD}); train one, or check the path")
    try:
        with translate_os_errors(path):
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if (content.pop("kind", None), content.pop("schema_version", None)) != (KIND, SCHEMA_VERSION):
            raise ValueError(f"it is not of a {KIND} of version {SCHEMA_VERSION}")
        card = ModelCard.model_validate(content)
        if card.model not in MODELS:
            raise ValueError(f"there is no model {card.model!r}; known: {', '.join(MODELS)}")
        model = Classifier(card.model, card.classes)
        with translate_os_errors(folder / WEIGHTS):
            model.load_state_dict(safetensors.torch.load((folder / WEIGHTS).read_bytes()))
    except (ValueError, AttributeError, ValidationError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{folder}: this classifier cannot be used: {reason}") from None
    return model.eval(), card


def export_onnx(model: Classifier, path: Path) -> float:
    """Write model.onnx: pixels (batch, 3, S, S) float32 RGB in [0, 1] -> logits (batch, K); any batch.

    Returns the largest difference from torch on noise. Raises ModelError when it is not below TOLERANCE, and nothing
    is written then.
    """
    model = model.to("cpu").eval()
    side = model.spec.crop_px
    example = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    # The exporter tells of its own versions and of every pass.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            input_names=[_INPUT],
            output_names=[_OUTPUT],
            dynamic_shapes={_INPUT: {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    if program is None:
        raise ModelError("torch exported nothing to ONNX")
    data = program.model_proto.SerializeToString()
    difference = _difference(model, data)
    if not difference < TOLERANCE:
        raise ModelError(f"the ONNX model differs from torch by {difference:.2g}, which is not below {TOLERANCE:g}")
    write_bytes(path, data)
    return difference


def _difference(model: Classifier, data: bytes) -> float:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    side, generator = model.spec.crop_px, torch.Generator().manual_seed(1)
    differences = []
    for count in _CHECKED:
        pixels = torch.rand(count, 3, side, side, generator=generator)
        with torch.no_grad():
            expected = model(pixels).numpy()
        (found,) = session.run([_OUTPUT], {_INPUT: pixels.numpy()})
        differences.append(float(np.abs(found - expected).max()))
    return max(differences)
