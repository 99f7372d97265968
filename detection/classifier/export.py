"""A classifier as ONNX, for use without torch: https://onnx.ai. Checked against torch before it is kept."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from detection.classifier.models import Classifier
from generator.foundation.errors import ModelError
from generator.foundation.storage import write_bytes

TOLERANCE = 1e-4
_INPUT, _OUTPUT = "pixels", "logits"
# Sizes of batches on which both are compared; neither is the one it is traced with.
_CHECKED = (1, 3)


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
