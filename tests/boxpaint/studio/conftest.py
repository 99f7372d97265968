"""A working folder with a scenario, a painted data set and a trained detector, small and real."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from boxpaint.studio.workspace import Workspace
from generator.config import Config
from generator.run import generate
from generator.spec import load_spec
from tests.conftest import ANYTHING_GOES, BACKGROUND_CSV, CLASSES_CSV

SCENES = 3
# As quick_config, which a fixture of a whole session cannot ask for.
SETTINGS: Mapping[str, object] = {
    "chunk": 2,
    "canvas": {"width": 96, "height": 64},
    "painting": {"steps": 2},
    "labels": {**ANYTHING_GOES, "max_attempts": 2, "min_area": 0.02, "max_edge_contact": 0.9},
    "prompts": {"enrich": "none"},
}


def lay_out(folder: Path) -> Path:
    (folder / "background.csv").write_text(BACKGROUND_CSV)
    (folder / "classes.csv").write_text(CLASSES_CSV)
    (folder / "config.yaml").write_text(yaml.safe_dump(dict(SETTINGS)))
    return folder


def save_detector_run(folder: Path) -> Path:
    """A finished run of a detector that was never trained: it finds something everywhere."""
    import torch

    from detection.detectors.registry import make_detector
    from detection.runs.folder import KIND

    detector = make_detector("retinanet_small", ["white blood cell", "platelet"], seed=0, device=torch.device("cpu"))
    detector.save(folder / "model")
    (folder / "run.json").write_text(json.dumps({"kind": KIND, "schema_version": 1}))
    (folder / "losses.csv").write_text("step,loss,ap\n1,2.5,\n2,1.5,0.1\n")
    return folder


@pytest.fixture()
def workspace(tmp_path: Path) -> Workspace:
    folder = tmp_path / "work"
    folder.mkdir()
    return Workspace(lay_out(folder))


@pytest.fixture(scope="package")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder, to be copied by who changes it."""
    folder = lay_out(tmp_path_factory.mktemp("painted"))
    config = Config.load(folder / "config.yaml")
    spec = load_spec(folder / "background.csv", folder / "classes.csv", canvas_wh=config.canvas_wh)
    return generate(spec, config, folder / "dataset", limit=SCENES, allow_leak=True).folder
