"""What can this machine do, and what is missing? Each line is a fact, found now."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from generator.bundles import BUNDLES, AnyRef, BundleCard, load_card
from generator.config import ModelsConfig
from generator.foundation.version import __version__
from generator.models.weights import local_fault, with_adapters

PACKAGES = ("torch", "diffusers", "transformers", "opencv-python-headless", "numpy", "pandas", "pillow", "pycocotools")
EXTRAS = {"yolo": "ultralytics", "ray": "ray", "app": "streamlit"}
_GIB = 2**30


def examine(bundles: Iterable[str] = BUNDLES) -> list[tuple[str, str]]:
    """Return (topic, finding) pairs. Raises ConfigError for a bundle, a name or a folder, whose card cannot be read."""
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
    verdicts = []
    for name in bundles:
        card = load_card(name)
        rows.append((f"bundle {name}", f"{card.title}; paints {card.paints}; licence: {card.licence}"))
        refs = models_of(name)
        rows += [(f"  {role}", _model(ref)) for role, ref in refs.items()]
        verdicts.append((f"can use {name}?", _verdict(name, refs, card)))
    return rows + verdicts


def models_of(bundle: str) -> dict[str, AnyRef]:
    """Models that a bundle's card names, by role, each followed by its adapters. Raises ConfigError."""
    card = load_card(bundle)
    models = ModelsConfig.model_validate(card.models)
    return with_adapters({role: ref for role in card.models if (ref := getattr(models, role)) is not None})


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
    found.append("cpu")
    return "; ".join(found)


def _model(ref: AnyRef) -> str:
    fault = local_fault(ref)
    if fault:
        return f"{ref.folder or ref.id} {fault}"
    if fault is None:
        return f"missing: {ref.folder}" if ref.folder else f"not here yet: {ref.id}"
    if ref.folder:
        size = sum(path.stat().st_size for path in ref.weight_files()) / 2**20
        return f"ready, {size:.0f} MiB in {ref.folder}"
    return f"ready, {ref.id} in the hub's cache ({ref.hub_snapshot()})"


def _verdict(name: str, refs: Mapping[str, AnyRef], card: BundleCard) -> str:
    missing = [ref for ref in refs.values() if local_fault(ref) != ""]
    if not missing:
        return "yes, without a network"
    count = f"no, {len(missing)} of {len(refs)} models are not here"
    if any(ref.folder for ref in missing):
        return f"{count}: {'install boxpaint again' if name in BUNDLES else 'check the folders in its bundle.yaml'}"
    return f"{count}; get them with: boxpaint doctor --get {name} ({card.source})"
