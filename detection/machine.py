"""On what something was measured or trained, for its card."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from generator.foundation.version import __version__

_PACKAGES = ("torch", "torchvision", "numpy", "opencv-python-headless", "albumentations", "pycocotools", "ultralytics")
_GIB = 2**30


def describe_machine() -> dict[str, str]:
    """Topic -> finding: processor, memory, system, versions."""
    versions = [f"{name} {found}" for name in _PACKAGES if (found := _version(name))]
    cores = f"{psutil.cpu_count(logical=False) or '?'} cores, {psutil.cpu_count() or '?'} threads"
    return {
        "processor": f"{_processor()}, {cores}",
        "memory": f"{psutil.virtual_memory().total / _GIB:.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": ", ".join([f"boxpaint {__version__}", f"Python {platform.python_version()}", *versions]),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
