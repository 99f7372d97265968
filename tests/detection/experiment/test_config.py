from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from detection.experiment.config import KINDS, Arm, ExperimentConfig, Kind
from detection.experiment.training import BATCHES
from detection.painter.settings import PainterSettings
from generator.foundation.errors import ConfigError
from generator.foundation.typed_yaml import read_yaml
from tests.detection.experiment.conftest import IN_PHOTOS, OWN, TUNED, settings, write_experiment

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


@pytest.mark.parametrize(
    ("written", "name", "title"),
    [
        ("refined_copy_paste", "refined_copy_paste", "painted, then refined on real with copy-paste"),
        ({"kind": "real"}, "real", "real only"),
        ({"kind": "synthetic", "painter": "tuned"}, "synthetic+tuned", "tuned only"),
        ({"kind": "mixed", "scenes": "photos"}, "mixed+photos", "painted in photos and real mixed"),
        ({**TUNED, "scenes": "photos"}, "refined+tuned+photos", "tuned in photos, then refined on real"),
    ],
)
def test_an_arm_is_a_name_or_a_mapping(written: Any, name: str, title: str) -> None:
    arm = Arm.model_validate(written)
    assert (arm.name, arm.title) == (name, title)
    assert Arm.model_validate(arm.model_dump(mode="json")) == arm
    # What says nothing new stays a word, as experiment.json has it of experiments from before.
    assert (arm.model_dump(mode="json") == arm.kind) == (arm.name == arm.kind)


def test_how_painters_are_made_counts_from_the_file_and_is_declared(tmp_path: Path) -> None:
    (tmp_path / "my" / "bundle").mkdir(parents=True)
    synthetic = {**OWN, "tuned": {"steps": 7, "config": "how.yaml", "start": "my/bundle"}, "photos": {"crop": 0.5}}
    config = ExperimentConfig.load(write_experiment(tmp_path, synthetic=synthetic))
    tuned = config.synthetic.tuned
    assert tuned is not None
    assert (tuned.start, tuned.config) == (str(tmp_path / "my" / "bundle"), tmp_path / "how.yaml")
    assert tuned.settings == PainterSettings(steps=7)
    declared = config.model_dump(mode="json", by_alias=True)["synthetic"]
    assert (declared["tuned"]["steps"], declared["photos"]["crop"]) == (7, 0.5)


def test_every_arm_is_described_and_has_batches() -> None:
    assert get_args(Kind) == tuple(KINDS)
    assert BATCHES.keys() == {*KINDS, "pretrain"}


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
        ({"arms": ["real", {"kind": "refined", "paint": "tuned"}]}, "arms.1.paint", "did you mean 'painter'?"),
        ({"arms": ["real", {"kind": "refined", "painter": "good"}]}, "arms.1.painter", "'zero-shot' or 'tuned'"),
        ({"arms": [{"kind": "real", "painter": "tuned"}]}, "arms.0", "sees no painted pictures"),
        ({"arms": [{"kind": "calibrated", "scenes": "photos"}]}, "arms.0", "kind synthetic measures its boxes already"),
        ({"arms": ["refined", {"kind": "refined"}]}, "arms", "twice"),
        (
            {"arms": ["real", TUNED], "claim": "refined", "synthetic": OWN},
            None,
            "claim: 'refined' is not among the arms that the card can speak of: refined+tuned",
        ),
        ({"arms": [IN_PHOTOS], "claim": IN_PHOTOS, "synthetic": OWN}, None, "add real"),
        ({"arms": ["real", TUNED], "claim": TUNED}, None, "synthetic.num_images: say how many"),
        (
            {"arms": ["real", TUNED], "claim": TUNED, "synthetic": {"num_images": 5}},
            None,
            "synthetic.tuned: say how a painter is tuned",
        ),
        (
            {"arms": ["real", IN_PHOTOS], "claim": IN_PHOTOS, "synthetic": {"num_images": 5}},
            None,
            "synthetic: name background and classes",
        ),
        ({"synthetic": {"tuned": {"step": 5}}}, "synthetic.tuned.step", "did you mean 'steps'?"),
        ({"synthetic": {"photos": {"flip": "left"}}}, "synthetic.photos.flip", "'horizontal'"),
        ({"value_curve": {"numbers": [0, 5], "arm": "real"}}, "value_curve.arm", "painted and real pictures is needed"),
        ({"arms": ["refined"]}, None, "add real"),
        ({"arms": ["real", "mixed"]}, None, "claim: 'refined' is not among the arms that the card can speak of: mixed"),
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
