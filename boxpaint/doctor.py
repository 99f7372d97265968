"""What can this machine do, and what is missing? Each line is a fact, found now."""

from __future__ import annotations

import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from generator.bundles import BUNDLES, BundleCard, ModelRef, load_card
from generator.version import __version__

PACKAGES = ("torch", "diffusers", "transformers", "opencv-python-headless", "numpy", "pandas", "pillow", "pycocotools")
EXTRAS = {"yolo": "ultralytics", "ray": "ray", "app": "streamlit"}
_GIB = 2**30


def examine() -> list[tuple[str, str]]:
    """Return (topic, finding) pairs."""
    rows = [
        ("boxpaint", __version__),
        ("python", f"{platform.python_version()} at {sys.executable}"),
        ("machine", f"{platform.system()} {platform.machine()}, {psutil.cpu_count(logical=False) or '?'} cores"),
        ("memory", _memory()),
        ("disk here", f"{shutil.disk_usage(Path.cwd()).free / _GIB:.0f} GiB free"),
        *[(name, _installed(name)) for name in PACKAGES],
        ("devices", _devices()),
    ]
    for extra, package in EXTRAS.items():
        found = _installed(package)
        rows.append(
            (f"extra {extra}", found if found != "missing" else f"not installed; pip install 'boxpaint[{extra}]'")
        )
    for name in BUNDLES:
        card = load_card(name)
        rows.append((f"bundle {name}", f"{card.title}; paints {card.paints}; licence: {card.licence}"))
        for role, model in card.models.items():
            if model is not None:
                rows.append((f"  {role}", _model(ModelRef.model_validate(model), card)))
    return rows


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _memory() -> str:
    memory = psutil.virtual_memory()
    return f"{memory.available / _GIB:.1f} of {memory.total / _GIB:.1f} GiB free"


def _devices() -> str:
    import torch

    found = []
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        found.append(f"cuda:{number} {properties.name}, {properties.total_memory / _GIB:.0f} GiB")
    if torch.backends.mps.is_available():
        found.append("mps")
    found.append(f"cpu, {torch.get_num_threads()} threads")
    return "; ".join(found)


def _model(ref: ModelRef, card: BundleCard) -> str:
    if ref.folder:
        size = sum(path.stat().st_size for path in ref.weight_files()) / 2**20
        return f"ready, {size:.0f} MiB in {ref.folder}" if size else f"missing: no weights in {ref.folder}"
    snapshot = ref.hub_snapshot()
    if snapshot is not None:
        return f"ready, {ref.id} in the hub's cache ({snapshot})"
    return (
        f"not here yet; downloaded at the first run ({card.source}), or: hf download {ref.id}; "
        f"or set the folder of a copy in the config (models.*.folder)"
    )
