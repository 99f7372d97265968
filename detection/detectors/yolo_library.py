"""The parts of ultralytics that are used here, imported so that the rest of the process does not notice.

Its import asks the network whether it is there, writes a settings file into the home folder, and changes torch.save,
PIL.Image.open, OpenCV's threads, variables of the environment, warnings and how arrays are printed. All of that is kept
out or put back; where something else has imported it before, its choices stay. What was found is listed in
docs/decisions/0006-detectors-and-yolo.md. Importing this module raises ModelError when ultralytics is missing.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

import cv2
import numpy as np
import torch
from PIL import Image

from generator.foundation.errors import ModelError

_WHILE_IMPORTED = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
_CONFIG_FOLDER = "YOLO_CONFIG_DIR"
_VARIABLES_IT_SETS = (
    "OMP_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "TF_CPP_MIN_LOG_LEVEL",
    "TORCH_CPP_LOG_LEVEL",
    "KINETO_LOG_LEVEL",
)


@contextlib.contextmanager
def _unnoticed() -> Iterator[None]:
    """Keep the process and the home folder as they are while ultralytics is imported."""
    if "ultralytics" in sys.modules:
        yield
        return
    variables = {name: os.environ.get(name) for name in (*_WHILE_IMPORTED, _CONFIG_FOLDER, *_VARIABLES_IT_SETS)}
    threads, save, open_picture = cv2.getNumThreads(), torch.save, Image.open
    read, write, show = cv2.imread, cv2.imwrite, cv2.imshow  # replaced on Windows
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), np.printoptions():
        os.environ.update(_WHILE_IMPORTED)
        os.environ[_CONFIG_FOLDER] = folder
        try:
            yield
        finally:
            for name, value in variables.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
            cv2.setNumThreads(threads)
            torch.save, Image.open = save, open_picture
            cv2.imread, cv2.imwrite, cv2.imshow = read, write, show
            torch.set_printoptions(profile="default")


try:
    with _unnoticed():
        import ultralytics.nn.modules as layers
        from ultralytics.nn.modules import Detect, v10Detect
        from ultralytics.nn.tasks import DetectionModel, guess_model_scale, torch_safe_load
        from ultralytics.utils import DEFAULT_CFG, ROOT
        from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES
        from ultralytics.utils.nms import non_max_suppression
except ImportError as error:
    message = f"YOLO needs ultralytics, which is an extra ({error}): pip install 'boxpaint[yolo]'"
    raise ModelError(message) from None

__all__ = [
    "DEFAULT_CFG",
    "GITHUB_ASSETS_NAMES",
    "ROOT",
    "Detect",
    "DetectionModel",
    "guess_model_scale",
    "layers",
    "non_max_suppression",
    "torch_safe_load",
    "v10Detect",
]
