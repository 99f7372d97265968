from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from detection.experiment.config import ExperimentConfig, ValueCurveConfig
from detection.experiment.data import gather
from detection.experiment.jobs import Materials, job_of, plan_grid, plan_point, with_starts
from generator.errors import DatasetError
from generator.run import Listener
from tests.detection.experiment.conftest import settings, write_experiment


@pytest.fixture(scope="module")
def materials(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Materials:
    config = ExperimentConfig.load(write_experiment(discs))
    return gather(config, tmp_path_factory.mktemp("out"), listener=Listener())


def config_of(materials: Materials, **changes: Any) -> ExperimentConfig:
    whole = ExperimentConfig.model_validate(settings(**changes))
    return whole.model_copy(update={"real": materials.config.real})


def test_the_grid_has_every_arm_at_every_number_and_synthetic_once(materials: Materials) -> None:
    config = config_of(materials, arms=["real", "synthetic", "refined", "mixed"])
    jobs = plan_grid(config, available=6, painted=5)
    counts = {arm: [(job.number, job.painted, job.subset) for job in jobs if job.kind == arm] for arm in config.arms}
    assert counts["synthetic"] == [(0, 5, 0), (0, 5, 1)]
    assert counts["real"] == [(2, 0, 0), (2, 0, 1), (6, 0, 0), (6, 0, 1)]
    assert counts["refined"] == counts["mixed"] == [(2, 5, 0), (2, 5, 1), (6, 5, 0), (6, 5, 1)]


def test_all_numbers_share_the_pretraining_of_a_seed_and_every_arm_has_as_many_steps(materials: Materials) -> None:
    jobs = with_starts(plan_grid(materials.config, available=6, painted=5))
    starts = [job for job in jobs if job.kind == "pretrain"]
    assert [job.subset for job in starts] == [0, 1]
    assert jobs[:2] == starts
    for job in jobs[2:]:
        before = job.start.settings(materials.config).steps if job.start else 0
        assert before + job.settings(materials.config).steps == 10


def test_a_point_of_the_value_curve() -> None:
    curve = ValueCurveConfig(numbers=(0, 4), real_images=3, subsets=2, arm="mixed")
    assert [(job.kind, job.number, job.painted) for job in plan_point(curve, 0)] == [("real", 3, 0)] * 2
    assert [(job.kind, job.number, job.painted) for job in plan_point(curve, 4)] == [("mixed", 3, 4)] * 2


@pytest.mark.parametrize(
    ("arm", "changes"),
    [
        ("real", {"seed": 1}),
        ("real", {"fit": {"steps": 11}}),
        ("real", {"detector": {"name": "faster_rcnn_small"}}),
        ("refined", {"refine": {"steps": 3}}),
        ("refined", {"synthetic": {"data": "painted", "boxes": "requested"}}),
        ("mixed", {"mixed": {"real_share": 0.4}}),
        ("copy_paste", {"copy_paste": {"num_images": 4}}),
    ],
)
def test_what_decides_the_numbers_changes_the_digest(materials: Materials, arm: Any, changes: dict[str, Any]) -> None:
    job = job_of(arm, 2, 5 if arm in ("refined", "mixed") else 0, 0)
    other = replace(materials, config=config_of(materials, **changes))
    assert other.digest(job) != replace(materials, config=config_of(materials)).digest(job)


@pytest.mark.parametrize(
    "changes",
    [
        {"workers": 7},
        {"bootstrap": 500},
        {"notes": ["x"]},
        {"arms": ["real"]},
        {"copy_paste": {"num_images": 9}},
        {"synthetic": {"data": "painted", "boxes": "requested"}},
        {"real_images": [{"number": 3}]},
    ],
    ids=str,
)
def test_what_does_not_decide_them_keeps_it(materials: Materials, changes: dict[str, Any]) -> None:
    job = job_of("real", 2, 0, 0)
    other = replace(materials, config=config_of(materials, **changes))
    assert other.digest(job) == replace(materials, config=config_of(materials)).digest(job)


def test_other_pictures_change_the_digest_of_those_that_see_them(materials: Materials) -> None:
    seen = str(materials.real_of(job_of("real", 2, 0, 0)).samples[0].path)
    other = replace(materials, digests={**materials.digests, seen: "other"})
    assert other.digest(job_of("real", 2, 0, 0)) != materials.digest(job_of("real", 2, 0, 0))
    assert other.digest(job_of("synthetic", 0, 5, 0)) == materials.digest(job_of("synthetic", 0, 5, 0))


def test_painted_pictures_are_a_prefix(materials: Materials) -> None:
    few, many = materials.painted_of(job_of("synthetic", 0, 2, 0)), materials.painted_of(job_of("synthetic", 0, 6, 0))
    assert [sample.path for sample in few.samples] == [sample.path for sample in many.samples][:2]


def test_a_picture_on_both_sides_is_refused(discs: Path, tmp_path: Path) -> None:
    config = ExperimentConfig.load(write_experiment(discs))
    leaky = config.model_copy(update={"synthetic": config.synthetic.model_copy(update={"data": discs / "real"})})
    with pytest.raises(DatasetError, match="6 training pictures are test pictures, too"):
        gather(leaky, tmp_path, listener=Listener())


def test_a_category_that_is_missing_on_one_side_is_refused(discs: Path, tmp_path: Path) -> None:
    config = ExperimentConfig.load(write_experiment(discs, categories=["red", "green"]))
    with pytest.raises(DatasetError, match="green"):
        gather(config, tmp_path, listener=Listener())
