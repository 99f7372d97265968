from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from detection.datasets.read import read_detection_set
from detection.detectors.registry import make_detector
from detection.experiment.config import ExperimentConfig, ValueCurveConfig
from detection.experiment.data import gather
from detection.experiment.jobs import Job, Materials, job_of, plan_grid, plan_point
from detection.proof.jobs import with_starts
from generator.foundation.errors import DatasetError
from generator.foundation.storage import sha256_of
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


def test_a_point_of_the_value_curve(materials: Materials) -> None:
    curve = ValueCurveConfig(numbers=(0, 4), real_images=3, subsets=2, arm="mixed")
    points = [plan_point(materials.config, curve, painted, 6) for painted in (0, 4)]
    copying = plan_point(config_of(materials, arms=["real", "copy_paste", "refined"]), curve, 0, 6)
    assert [job.kind for job in copying] == ["real", "real", "copy_paste", "copy_paste"]
    assert [(job.kind, job.number, job.painted) for job in points[0]] == [("real", 3, 0)] * 2
    assert [(job.kind, job.number, job.painted) for job in points[1]] == [("mixed", 3, 4)] * 2


def test_boxes_are_measured_on_what_a_training_or_its_subset_sees(materials: Materials) -> None:
    arms = ["real", "calibrated", "refined", "mixed"]
    changes = {"real_images": [{"number": 3}, {"number": "all"}], "synthetic": {"boxes": "calibrated"}}
    config = config_of(materials, arms=arms, **changes)
    jobs = with_starts(plan_grid(config, available=6, painted=5))
    measured = {(job.kind, job.number): job.measured for job in jobs if job.measured}
    assert measured == {("pretrain", 0): 3, ("calibrated", 0): 3, ("mixed", 3): 3, ("mixed", 6): 6}
    calibrated = [job for job in jobs if job.kind == "calibrated"]
    assert [materials.real_of(job) for job in calibrated] == [None] * 3
    assert [len(materials.measured_of(job) or ()) for job in calibrated] == [3] * 3


def test_refining_arms_share_a_pretraining(materials: Materials) -> None:
    jobs = plan_grid(config_of(materials, arms=["real", "refined", "refined_copy_paste"]), available=6, painted=5)
    starts = {arm: [job.start for job in jobs if job.kind == arm] for arm in ("refined", "refined_copy_paste")}
    assert starts["refined"] == starts["refined_copy_paste"] != []
    assert len(with_starts(jobs)) == len(jobs) + 2


def test_a_number_of_pictures_may_refine_in_its_own_way(materials: Materials) -> None:
    own = {"steps": 7, "learning_rate": 0.5}
    config = config_of(materials, real_images=[{"number": 2}, {"number": 3}, {"number": "all", "refine": own}])
    jobs = with_starts(plan_grid(config, available=6, painted=5))
    steps = {job.number: (job.start.settings(config).steps, job.settings(config).steps) for job in jobs if job.start}
    assert steps == {2: (6, 4), 3: (6, 4), 6: (3, 7)}
    rates = {job.number: job.settings(config).learning_rate for job in jobs if job.start}
    assert rates == {2: 1e-3, 3: 1e-3, 6: 0.5}
    starts = [job for job in jobs if job.kind == "pretrain"]
    assert len(starts) == len({job.name for job in starts}) == 6


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
        ("refined_copy_paste", {"copy_paste": {"num_images": 4}}),
        ("refined_copy_paste", {"refine": {"steps": 3}}),
    ],
)
def test_what_decides_the_numbers_changes_the_digest(materials: Materials, arm: Any, changes: dict[str, Any]) -> None:
    painted = 0 if arm in ("real", "copy_paste") else 5
    other = replace(materials, config=config_of(materials, **changes))
    job, changed = (job_of(each.config, arm, 2, painted, 0, 6) for each in (materials, other))
    assert other.digest(changed) != replace(materials, config=config_of(materials)).digest(job)


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
    job = _real(materials)
    other = replace(materials, config=config_of(materials, **changes))
    assert other.digest(job) == replace(materials, config=config_of(materials)).digest(job)


def test_other_pictures_change_the_digest_of_those_that_see_them(materials: Materials) -> None:
    seen = str(materials.real_of(_real(materials)).samples[0].path)
    other = replace(materials, digests={**materials.digests, seen: "other"})
    assert other.digest(_real(materials)) != materials.digest(_real(materials))
    assert other.digest(_synthetic(5)) == materials.digest(_synthetic(5))


@pytest.mark.parametrize("changes", [{"device": "cuda:0"}, {"torch_version": "9.9"}])
def test_another_machine_part_changes_the_digest(materials: Materials, changes: dict[str, str]) -> None:
    assert replace(materials, **changes).digest(_real(materials)) != materials.digest(_real(materials))
    assert materials.device == "cpu"


def test_the_first_or_the_second_card_is_the_same(materials: Materials) -> None:
    first, second = (replace(materials, device=f"cuda:{number}").digest(_real(materials)) for number in (0, 1))
    assert first == second


def test_painted_pictures_are_a_prefix(materials: Materials) -> None:
    few, many = materials.painted_of(_synthetic(2)), materials.painted_of(_synthetic(6))
    assert [sample.path for sample in few.samples] == [sample.path for sample in many.samples][:2]


def test_a_picture_on_both_sides_is_refused(discs: Path, tmp_path: Path) -> None:
    config = ExperimentConfig.load(write_experiment(discs))
    leaky = config.model_copy(update={"synthetic": config.synthetic.model_copy(update={"data": discs / "real"})})
    with pytest.raises(DatasetError, match="6 painted pictures are test pictures, too"):
        gather(leaky, tmp_path, listener=Listener())


def _save_checkpoint(run: Path, seen: list[str]) -> None:
    """A saved detector in a run that was trained on pictures of these digests."""
    make_detector("retinanet_small", ["red", "blue"], seed=0, device=torch.device("cpu")).save(run / "model")
    (run / "run.json").write_text("{}")
    lines = [f"trained,{number}.png,{digest}" for number, digest in enumerate(seen)]
    (run / "data.csv").write_text("\n".join(["role,picture,sha256", *lines, ""]))


def test_a_checkpoint_counts_from_the_file_and_its_weights_decide_the_numbers(discs: Path, tmp_path: Path) -> None:
    shutil.copytree(discs, tmp_path / "own")
    _save_checkpoint(tmp_path / "own" / "base", ["0" * 64])
    detector = {"name": "retinanet_small", "pretrained": "base/model"}
    config = ExperimentConfig.load(write_experiment(tmp_path / "own", detector=detector))
    before = gather(config, tmp_path, listener=Listener())
    card = tmp_path / "own" / "base" / "model" / "model.json"
    card.write_bytes(card.read_bytes() + b"\n")
    after = gather(config, tmp_path, listener=Listener())
    assert before.digest(_real(before)) != after.digest(_real(after))


def test_a_checkpoint_that_has_seen_test_pictures_is_refused(discs: Path, tmp_path: Path) -> None:
    shutil.copytree(discs, tmp_path / "own")
    test = read_detection_set(discs / "real", split="test")
    _save_checkpoint(tmp_path / "own" / "base", [sha256_of(test.samples[0].path)])
    detector = {"name": "retinanet_small", "pretrained": "base/model"}
    config = ExperimentConfig.load(write_experiment(tmp_path / "own", detector=detector))
    with pytest.raises(DatasetError, match=r"detector\.pretrained.*1 test pictures were trained or validated on"):
        gather(config, tmp_path, listener=Listener())


def test_a_category_that_is_missing_on_one_side_is_refused(discs: Path, tmp_path: Path) -> None:
    config = ExperimentConfig.load(write_experiment(discs, categories=["red", "green"]))
    with pytest.raises(DatasetError, match="green"):
        gather(config, tmp_path, listener=Listener())


def _real(materials: Materials) -> Job:
    return job_of(materials.config, "real", 2, 0, 0, available=6)


def _synthetic(painted: int) -> Job:
    return Job(kind="synthetic", number=0, painted=painted, subset=0)
