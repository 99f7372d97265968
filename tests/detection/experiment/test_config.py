from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import yaml

from detection.experiment.config import ARMS, Arm, ExperimentConfig
from detection.experiment.training import BATCHES
from generator.foundation.errors import ConfigError
from generator.foundation.typed_yaml import read_yaml
from tests.detection.experiment.conftest import settings, write_experiment

EXPERIMENTS = Path(__file__).parents[3] / "configs" / "experiments"


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_experiment_loads_and_opens_with_its_command(path: Path) -> None:
    config = ExperimentConfig.load(path)
    for named in (config.synthetic.background, config.synthetic.classes, config.synthetic.config):
        assert named is None or named.is_file()
    command = f"# boxpaint experiment configs/experiments/{path.name} --out runs/{path.stem}\n"
    assert path.read_text().startswith(command)


def test_paths_count_from_the_file_and_the_command_line_goes_first(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, synthetic={"background": "b.csv", "classes": "c.csv"}, workers=3)
    config = ExperimentConfig.load(path)
    assert config.real.data == tmp_path / "real"
    assert (config.synthetic.background, config.synthetic.data) == (tmp_path / "b.csv", None)
    assert config.workers == 3
    other = ExperimentConfig.load(path, real=Path("elsewhere"), synthetic=Path("there"), workers=1)
    assert (other.real.data, other.synthetic.data, other.workers) == (Path("elsewhere"), Path("there"), 1)


def test_every_arm_is_described_and_has_batches() -> None:
    assert get_args(Arm) == tuple(ARMS)
    assert BATCHES.keys() == {*ARMS, "pretrain"}


@pytest.mark.parametrize(
    ("changes", "column", "words"),
    [
        ({"arm": ["real"]}, "arm", "did you mean 'arms'?"),
        ({"real": {"data": "x", "renames": {}}}, "real.renames", "did you mean 'rename'?"),
        ({"fit": {"step": 3}}, "fit.step", "did you mean 'steps'?"),
        ({"detector": {"name": "x", "input": [1, 1]}}, "detector.input", "did you mean 'input_wh'?"),
        ({"real_images": [{"number": 3}, {"nmber": 5}]}, "real_images.1.nmber", "did you mean 'number'?"),
        ({"real_images": [{"number": 0}]}, "real_images.0.number", "greater than or equal to 1"),
        ({"real_images": [{"number": 3}, {"number": 3}]}, "real_images", "twice"),
        ({"arms": ["real", "synthesis"]}, "arms.1", "Input should be 'real'"),
        ({"arms": ["refined"]}, None, "add real"),
        ({"arms": ["real", "mixed"]}, None, "claim: 'refined' is not among the arms"),
        ({"arms": ["real", "calibrated"]}, None, "synthetic.boxes is 'tight'"),
        ({"value_curve": {"numbers": [0, 5], "flat_below": float("inf")}}, "value_curve.flat_below", "finite number"),
        ({"refine": {"steps": 10}}, None, "fewer than those are needed"),
        ({"real_images": [{"number": 3, "refine": {"steps": 10}}]}, None, "fewer than those are needed"),
        ({"real": {"data": "x", "train": ["a"], "test": "a"}}, "real", "both trained and tested on"),
        ({"synthetic": {"background": "b.csv"}}, "synthetic", "go together"),
        ({"copy_paste": {"scale": [2, 1]}}, "copy_paste.scale", "must not be above"),
        ({"value_curve": {"numbers": [0, 50, 50]}}, "value_curve.numbers", "must rise"),
        ({"categories": ["red", "red"]}, "categories", "twice"),
    ],
)
def test_a_fault_is_named_at_its_line(tmp_path: Path, changes: dict, column: str | None, words: str) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(settings(**changes)))
    with pytest.raises(ConfigError) as caught:
        ExperimentConfig.load(path)
    fault = caught.value.faults[0]
    assert (fault.file, fault.column) == (str(path), column)
    assert words in fault.expected
    if column is not None:
        lines = read_yaml(path)[1]
        parts = tuple(int(part) if part.isdigit() else part for part in column.split("."))
        assert fault.line == lines[parts]
