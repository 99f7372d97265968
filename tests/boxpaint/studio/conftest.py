"""A working folder with a scenario, a data set and a detector, small and in the layout of real ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from boxpaint.studio.workspace import Workspace
from generator.config import Config
from generator.spec import load_spec
from tests.conftest import write_csv_files
from tests.generator.records import draw_run

SCENES = 3
# Scene and number of the object that is not in its picture.
DROPPED_OBJECT = (1, 0)


def lay_out(folder: Path, settings: Mapping[str, object]) -> Path:
    write_csv_files(folder)
    (folder / "config.yaml").write_text(yaml.safe_dump(dict(settings)))
    return folder


def save_detector_run(folder: Path) -> Path:
    """A finished run of a detector that was never trained: it finds something everywhere."""
    import torch

    from detection.detectors.registry import make_detector
    from generator.foundation.run_folder import DETECTOR_RUN

    detector = make_detector("retinanet_small", ["white blood cell", "platelet"], seed=0, device=torch.device("cpu"))
    detector.save(folder / "model")
    DETECTOR_RUN.begin(folder, {})
    (folder / "losses.csv").write_text("step,loss,ap\n1,2.5,\n2,1.5,0.1\n")
    return folder


@pytest.fixture()
def workspace(tmp_path: Path, quick_config: dict[str, object]) -> Workspace:
    folder = tmp_path / "work"
    folder.mkdir()
    return Workspace(lay_out(folder, quick_config))


@pytest.fixture(scope="package")
def painted(tmp_path_factory: pytest.TempPathFactory, quick_config: dict[str, object]) -> Path:
    """A run folder, to be copied by who changes it: a white cell and a platelet or two in each scene, one dropped."""
    folder = lay_out(tmp_path_factory.mktemp("painted"), quick_config)
    config = Config.load(folder / "config.yaml")
    spec = load_spec(folder / "background.csv", folder / "classes.csv", canvas_wh=config.canvas_wh)
    return draw_run(folder / "dataset", spec, config, scenes=SCENES, dropped={DROPPED_OBJECT})
