"""With what a run paints and looks: run.json keeps it, and a run that goes on is held against it."""

from __future__ import annotations

import platform
from importlib.metadata import version

import cv2
import torch

from generator.config import Config
from generator.foundation.device import choose_device, choose_dtype
from generator.painting.batch_size import choose_batch_size
from generator.weights import fingerprint


def describe_models(config: Config, *, threads: int) -> dict[str, str]:
    """Say what decides the last bit of a picture: device, number format, weights. No model is loaded.

    Raises ModelError for a device that this machine lacks.
    """
    device = choose_device(config.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    described = {
        "device": f"{device} ({name})",
        "threads": str(threads),
        "batch_size": str(choose_batch_size(config, device) or "as memory allows"),
        "compile": config.compile,
        "torch": torch.__version__,
        "diffusers": version("diffusers"),  # to import it takes seconds, and only a worker needs it
        "opencv": cv2.__version__,
    }
    for role in ("inpaint", "background", "vae"):
        if (ref := getattr(config.models, role)) is not None:
            dtype = str(choose_dtype(ref.dtype or config.dtype, device)).removeprefix("torch.")
            described[role] = f"{fingerprint(ref)}, {dtype}"
    if config.labels.verify and config.models.clip is not None:
        for role in ("clip", "detector"):
            if (ref := getattr(config.models, role)) is not None:
                described[role] = fingerprint(ref)
    return described
