"""What cards and reports are made of: tables as text, plots as bytes, and on what something was measured.

Equal numbers give equal bytes.
"""

from __future__ import annotations

import csv
import io
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from generator.foundation.storage import write_text
from generator.foundation.version import __version__

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Rows = Sequence[Sequence[str]]
"""A table, heads first."""
PLOT_STYLE: Any = {"text.parse_math": False, "font.size": 9}
"""For matplotlib's rc_context: a category called a$b is no formula."""
ABSENT = "–"
_PACKAGES = ("torch", "torchvision", "numpy", "opencv-python-headless", "albumentations", "pycocotools", "ultralytics")
_GIB = 2**30


def write_csv(path: Path, rows: Iterable[Iterable[object]]) -> None:
    """Write rows as CSV (UTF-8), whole or not at all. Raises StorageError."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())


def markdown(rows: Rows) -> str:
    """A table in Markdown."""
    heads, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *body))


def to_png(figure: Figure) -> bytes:
    """Encode a figure, without matplotlib's version in it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


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
