from __future__ import annotations

import json
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch

from detection.datasets.read import read_detection_set
from detection.datasets.types import DetectionDataset, Sample
from detection.detectors.registry import make_detector
from detection.experiment.config import KINDS, Arm, ExperimentConfig, ValueCurveConfig
from detection.experiment.data import gather
from detection.experiment.jobs import (
    Job,
    Materials,
    Painting,
    choose_subset,
    job_of,
    plan_grid,
    plan_point,
    shuffle_painted,
    subset_order,
)
from detection.proof.jobs import with_starts
from generator.foundation.errors import DatasetError
from generator.foundation.storage import sha256_of
from generator.run import Listener
from tests.detection.experiment.conftest import IN_PHOTOS, OWN, TUNED, settings, write_experiment


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
    counts = {
        arm.name: [(job.number, job.painted, job.subset) for job in jobs if job.arm == arm] for arm in config.arms
    }
    assert counts["synthetic"] == [(0, 5, 0), (0, 5, 1)]
    assert counts["real"] == [(2, 0, 0), (2, 0, 1), (6, 0, 0), (6, 0, 1)]
    assert counts["refined"] == counts["mixed"] == [(2, 5, 0), (2, 5, 1), (6, 5, 0), (6, 5, 1)]


def test_numbers_and_arms_share_the_pretraining_of_a_seed_and_every_arm_has_as_many_steps(
    materials: Materials,
) -> None:
    config = config_of(materials, arms=["real", "refined", "refined_copy_paste"])
    jobs = with_starts(plan_grid(config, available=6, painted=5))
    starts = [job for job in jobs if job.kind == "pretrain"]
    assert [job.subset for job in starts] == [0, 1]
    assert jobs[:2] == starts
    for job in jobs[2:]:
        assert job.start == (None if job.kind == "real" else starts[job.subset])
        before = job.start.settings(config).steps if job.start else 0
        assert before + job.settings(config).steps == 10


def test_pictures_that_know_real_ones_are_painted_for_each_number_and_subset(materials: Materials) -> None:
    arms = [*("real", "synthetic", "refined"), TUNED, {**TUNED, "scenes": "photos"}, IN_PHOTOS]
    config = config_of(materials, arms=arms, claim=TUNED, synthetic=OWN)
    jobs = with_starts(plan_grid(config, available=6, painted=5))
    assert len({job.name for job in jobs}) == len(jobs)
    of_arm = {arm.name: [job for job in jobs if job.kind != "pretrain" and job.arm == arm] for arm in config.arms}
    assert [(job.number, job.known) for job in of_arm["synthetic+photos"]] == [(0, 2), (0, 2), (0, 6), (0, 6)]
    assert [(job.number, job.known) for job in of_arm["synthetic"]] == [(0, 0), (0, 0)]
    for job in of_arm["refined+tuned"]:
        assert job.start is not None
        assert job.painting == job.start.painting
        assert job.painting == Painting(painter="tuned", scenes="painted", number=job.number, subset=job.subset)
    # One pretraining for all numbers of a subset, but one for each where painted pictures know real ones.
    assert [len({job.start for job in of_arm[name]}) for name in ("refined", "refined+tuned")] == [2, 4]
    paintings = {job.painting for job in jobs} - {None}
    assert len(paintings) == 3 * 4


def test_pictures_that_know_real_ones_are_measured_on_all_of_these(materials: Materials) -> None:
    changes = {"real_images": [{"number": 3}, {"number": "all"}], "synthetic": OWN}
    config = config_of(materials, arms=["real", TUNED, IN_PHOTOS], claim=TUNED, **changes)
    jobs = plan_grid(config, available=6, painted=5)
    assert {(job.arm.name, job.known, job.all_measured) for job in jobs if job.painting} == {
        *(("refined+tuned", number, number) for number in (3, 6)),
        *(("synthetic+photos", number, number) for number in (3, 6)),
    }


def test_results_from_before_there_were_painters_are_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, digests and contents of all jobs of two experiments, hashed by boxpaint of 2026-11-28."""
    monkeypatch.setattr("detection.experiment.jobs.__version__", "0")
    train, test, painted = (
        DetectionDataset(
            categories=("red", "blue"),
            samples=tuple(
                Sample.of(Path(f"{name}{number}.png"), (64, 48), [[4, 4, 20, 20]], [1 + number % 2])
                for number in range(6)
            ),
        )
        for name in ("train", "test", "painted")
    )
    paths = [str(sample.path) for data in (train, test, painted) for sample in data.samples]
    found = {}
    for boxes, arms in (("tight", [kind for kind in KINDS if kind != "calibrated"]), ("calibrated", [*KINDS])):
        curve = {"numbers": [0, 3, 6], "real_images": 2, "subsets": 2}
        synthetic = {"data": "painted", "boxes": boxes}
        config = ExperimentConfig.model_validate(settings(arms=arms, synthetic=synthetic, value_curve=curve))
        whole = Materials(
            config=config,
            train=train,
            test=test,
            painted=painted,
            digests={path: path for path in paths},
            device="cpu",
            torch_version="2",
        )
        assert config.value_curve is not None
        jobs = with_starts([*plan_grid(config, 6, 6), *plan_point(config, config.value_curve, 3, 6)])
        lines = [f"{job.name}-{whole.digest(job)} {json.dumps(job.to_json(), sort_keys=True)}" for job in jobs]
        declared = json.dumps(config.model_dump(mode="json", by_alias=True))
        found[boxes] = [sha256(text.encode()).hexdigest()[:16] for text in ("\n".join(lines), declared)]
    assert found == {
        "tight": ["23608005b0475af1", "e9a3fda4b9b77624"],
        "calibrated": ["8951056b6955652b", "f8ca309fbc97461d"],
    }


def test_a_point_of_the_value_curve(materials: Materials) -> None:
    curve = ValueCurveConfig(numbers=(0, 4), real_images=3, subsets=2, arm=Arm(kind="mixed"))
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


def test_a_number_of_pictures_may_refine_in_its_own_way(materials: Materials) -> None:
    own = {"steps": 7, "learning_rate": 0.5}
    config = config_of(materials, real_images=[{"number": 2}, {"number": 3}, {"number": "all", "refine": own}])
    jobs = with_starts(plan_grid(config, available=6, painted=5))
    steps = {job.number: (job.start.settings(config).steps, job.settings(config).steps) for job in jobs if job.start}
    assert steps == {2: (6, 4), 3: (6, 4), 6: (3, 7)}
    rates = {job.number: job.settings(config).learning_rate for job in jobs if job.start}
    assert rates == {2: 1e-3, 3: 1e-3, 6: 0.5}
    assert {job.start.settings(config).learning_rate for job in jobs if job.start} == {0.004}
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
    job, changed = (job_of(each.config, Arm(kind=arm), 2, painted, 0, 6) for each in (materials, other))
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


def test_the_kind_of_device_and_torch_change_the_digest_but_not_the_number_of_a_card(materials: Materials) -> None:
    assert materials.device == "cpu"
    others = ({}, {"device": "cuda:0"}, {"device": "cuda:1"}, {"torch_version": "9.9"})
    here, first, second, other = (replace(materials, **changes).digest(_real(materials)) for changes in others)
    assert first == second
    assert len({here, first, other}) == 3


def test_painted_pictures_are_a_prefix(materials: Materials) -> None:
    few, many = materials.painted_of(_synthetic(2)), materials.painted_of(_synthetic(6))
    assert [sample.path for sample in few.samples] == [sample.path for sample in many.samples][:2]


def test_a_picture_on_both_sides_is_refused(discs: Path, tmp_path: Path) -> None:
    config = ExperimentConfig.load(write_experiment(discs))
    leaky = config.model_copy(update={"synthetic": config.synthetic.model_copy(update={"data": discs / "real"})})
    with pytest.raises(DatasetError, match="6 painted pictures are test pictures, too"):
        gather(leaky, tmp_path, listener=Listener())


@pytest.fixture()
def pretrained(discs: Path, tmp_path: Path) -> tuple[ExperimentConfig, Path]:
    """An experiment that goes on from a detector which a run has saved, and that run's data.csv."""
    own, run = shutil.copytree(discs, tmp_path / "own"), tmp_path / "own" / "base"
    make_detector("retinanet_small", ["red", "blue"], seed=0, device=torch.device("cpu")).save(run / "model")
    (run / "run.json").write_text("{}")
    (run / "data.csv").write_text(f"role,picture,sha256\ntrained,0.png,{'0' * 64}\n")
    detector = {"name": "retinanet_small", "pretrained": "base/model"}
    return ExperimentConfig.load(write_experiment(own, detector=detector)), run / "data.csv"


def test_a_checkpoint_counts_from_the_file_and_its_weights_decide_the_numbers(
    pretrained: tuple[ExperimentConfig, Path], tmp_path: Path
) -> None:
    config, used = pretrained
    before = gather(config, tmp_path, listener=Listener())
    card = used.parent / "model" / "model.json"
    card.write_bytes(card.read_bytes() + b"\n")
    after = gather(config, tmp_path, listener=Listener())
    assert before.digest(_real(before)) != after.digest(_real(after))


def test_a_checkpoint_that_has_seen_test_pictures_is_refused(
    pretrained: tuple[ExperimentConfig, Path], discs: Path, tmp_path: Path
) -> None:
    config, used = pretrained
    test = read_detection_set(discs / "real", split="test")
    used.write_text(f"role,picture,sha256\ntrained,0.png,{sha256_of(test.samples[0].path)}\n")
    with pytest.raises(DatasetError, match=r"detector\.pretrained.*1 test pictures were trained or validated on"):
        gather(config, tmp_path, listener=Listener())


def test_a_category_that_is_missing_on_one_side_is_refused(discs: Path, tmp_path: Path) -> None:
    config = ExperimentConfig.load(write_experiment(discs, categories=["red", "green"]))
    with pytest.raises(DatasetError, match="green"):
        gather(config, tmp_path, listener=Listener())


def _real(materials: Materials) -> Job:
    return job_of(materials.config, Arm(kind="real"), 2, 0, 0, available=6)


def _synthetic(painted: int) -> Job:
    return Job(kind="synthetic", number=0, painted=painted, subset=0)


def pictures(*labels: tuple[int, ...]) -> DetectionDataset:
    """Pictures named 0, 1, ... with objects of these labels."""
    samples = [
        Sample.of(Path(f"{number:03}.png"), (8, 8), [[0, 0, 4, 4]] * len(each), list(each))
        for number, each in enumerate(labels)
    ]
    return DetectionDataset(categories=("a", "b", "c"), samples=tuple(samples))


def stems(data: DetectionDataset) -> list[str]:
    return [sample.path.stem for sample in data.samples]


RARE = pictures(*[(1,)] * 40, (2,), (1, 3), ())


@pytest.mark.parametrize("subset", range(5))
def test_a_small_subset_holds_every_category_and_lies_in_the_larger_one(subset: int) -> None:
    small, middle = choose_subset(RARE, 7, subset, 3), choose_subset(RARE, 7, subset, 10)
    assert set(small.counts().values()) >= {1}
    assert all(small.counts().values())
    assert stems(middle)[:3] == stems(small)
    assert sorted(subset_order(RARE, 7, subset)) == list(range(43))


def test_subsets_differ_by_number_and_seed_only() -> None:
    chosen = [stems(choose_subset(RARE, seed, subset, 10)) for seed in (0, 1) for subset in (0, 1)]
    assert len({tuple(each) for each in chosen}) == 4
    assert stems(choose_subset(RARE, 0, 1, 10)) == chosen[1]
    # A category that no picture shows is no obstacle; more pictures than there are, are.
    assert len(choose_subset(pictures((1,), (1,)), 0, 0, 2)) == 2
    with pytest.raises(ValueError, match="3 of 2"):
        choose_subset(pictures((1,), (2,)), 0, 0, 3)


def test_painted_pictures_are_shuffled_whatever_their_order_on_disk_and_however_many_there_are() -> None:
    data = pictures(*[(1,)] * 20)
    shuffled = stems(shuffle_painted(data, 3, 20))
    assert sorted(shuffled) == stems(data) != shuffled
    assert stems(shuffle_painted(data.choose(range(19, -1, -1)), 3, 20)) == shuffled
    assert stems(shuffle_painted(data, 3, 8)) == stems(shuffle_painted(data.choose(range(8)), 3, 8))
