"""A YOLO that trains in seconds, as a description, a detector and a checkpoint of ultralytics."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
import yaml

from detection.detectors import yolo_library
from detection.detectors.registry import make_detector
from detection.detectors.settings import ModelOptions
from detection.detectors.yolo import YoloDetector
from tests.detection.discs import COLOURS

CPU = torch.device("cpu")
CATEGORIES = tuple(COLOURS)
# Strides 8 and 16, 40 thousand weights
TINY: dict[str, Any] = {
    "nc": 80,
    "scales": {"n": [1.0, 0.125, 256]},
    "backbone": [
        [-1, 1, "Conv", [64, 3, 2]],
        [-1, 1, "Conv", [128, 3, 2]],
        [-1, 1, "Conv", [256, 3, 2]],
        [-1, 1, "C3k2", [256, False, 0.25]],
        [-1, 1, "Conv", [256, 3, 2]],
    ],
    "head": [[[3, 4], 1, "Detect", ["nc"]]],
}


def write_tiny(path: Path, **changes: Any) -> str:
    path.write_text(yaml.safe_dump({**TINY, **changes}))
    return str(path)


def make(variant: str | None, *, categories: tuple[str, ...] = CATEGORIES, **options: Any) -> YoloDetector:
    chosen = ModelOptions(input_wh=(72, 48), variant=variant, **options)
    detector = make_detector("yolo", categories, chosen, seed=0, device=CPU)
    assert isinstance(detector, YoloDetector)
    return detector


def head_of(detector: YoloDetector) -> Any:
    return detector.model.network.model[-1]


def write_pt(path: Path, names: tuple[str, ...], **changes: Any) -> Any:
    """Write a checkpoint as ultralytics does: a pickled network of half precision."""
    network = yolo_library.DetectionModel({**copy.deepcopy(TINY), "scale": "n", "nc": len(names)}, verbose=False)
    network.names = dict(enumerate(names))
    torch.save({"epoch": -1, "model": copy.deepcopy(network).half(), "ema": None, "train_args": {}, **changes}, path)
    return network
