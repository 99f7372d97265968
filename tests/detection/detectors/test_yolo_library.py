"""Importing ultralytics changes nothing in the process, asks nobody, and leaves nothing behind."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from generator.foundation.errors import ModelError

pytestmark = pytest.mark.slow


def test_without_ultralytics_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.split(".")[0] == "ultralytics":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    monkeypatch.delitem(sys.modules, "detection.detectors.yolo_library")
    with pytest.raises(ModelError, match=r"pip install 'boxpaint\[yolo\]'"):
        importlib.import_module("detection.detectors.yolo_library")


_LOOK = """
import os, socket, sys, warnings
import cv2, numpy, torch, torchvision
from PIL import Image
import generator.foundation.errors

def refuse(*_):
    sys.exit("it asks the network")

def state():
    return {
        "environment": dict(os.environ), "threads": (torch.get_num_threads(), cv2.getNumThreads()),
        "functions": (torch.save, torch.load, Image.open, cv2.imread), "warnings": list(warnings.filters),
        "printing": (numpy.get_printoptions(), str(torch.rand(3, 300, generator=torch.Generator().manual_seed(0)))),
        "draws": torch.get_rng_state().tolist(), "exact": torch.are_deterministic_algorithms_enabled(),
    }

socket.getaddrinfo = socket.socket.connect = refuse
before = state()
import detection.detectors.yolo_library
after = state()
assert "ultralytics" in sys.modules
sys.exit(", ".join(name for name in before if before[name] != after[name]) or None)
"""


def test_its_import_changes_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "YOLO_", "XDG_"))}
    path = str(Path(__file__).parents[3])
    ran = subprocess.run(
        [sys.executable, "-c", _LOOK],
        cwd=home,
        env={**variables, "HOME": str(home), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert not list(home.iterdir())
