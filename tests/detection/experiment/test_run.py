from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from detection.experiment.card import CARD, write_card
from detection.experiment.config import ExperimentConfig
from detection.experiment.jobs import Job
from detection.experiment.run import ExperimentListener, Outcome, run_experiment
from generator.foundation.errors import BoxpaintError, RunMismatchError, StorageError
from tests.detection.experiment.conftest import write_experiment

pytestmark = pytest.mark.slow

ARMS = ["real", "copy_paste", "synthetic", "refined", "refined_copy_paste", "mixed"]
BOTH = ("refined", "refined_copy_paste", "mixed")
CURVE = {"numbers": [0, 3, 6], "real_images": 2, "subsets": 2}


class Noted(ExperimentListener):
    """Remembers which jobs were done; interrupts after the first so many."""

    def __init__(self, stop_after: int | None = None):
        self.names: list[str] = []
        self._stop_after = stop_after

    def on_job_end(self, job: Job, steps: int, score: float | None) -> None:
        self.names.append(job.name)
        if len(self.names) == self._stop_after:
            raise KeyboardInterrupt


def run(discs: Path, out: Path, listener: ExperimentListener | None = None, **changes: Any) -> Outcome:
    return run_experiment(ExperimentConfig.load(write_experiment(discs, **changes)), out, listener=listener)


def numbers(out: Path) -> list[list[str]]:
    """card.csv without times."""
    rows = list(csv.reader((out / "card.csv").open()))
    return [[cell for head, cell in zip(rows[0], row, strict=True) if head != "seconds"] for row in rows]


@pytest.fixture(scope="module")
def whole(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """All arms, the smallest number of real pictures, a value curve, two processes."""
    out = tmp_path_factory.mktemp("whole")
    few = {"real_images": [{"number": 2, "subsets": 2}, {"number": "all", "subsets": 1}], "synthetic_seeds": 1}
    outcome = run(discs, out, arms=ARMS, value_curve=CURVE, workers=2, notes=["Discs, not cells."], **few)
    write_card(outcome, out, command="boxpaint experiment x.yaml")
    return out, outcome


def test_every_job_is_scored_on_the_test_pictures(whole: tuple[Path, Outcome]) -> None:
    out, outcome = whole
    assert {(cell.arm.name, cell.number): len(cell.ap) for cell in outcome.cells} == {
        ("synthetic", 0): 1,
        **{(arm, 2): 2 for arm in ARMS if arm != "synthetic"},
        **{(arm, 6): 1 for arm in ARMS if arm != "synthetic"},
    }
    assert {(gain.arm.name, gain.number) for gain in outcome.gains} == {
        (arm, number) for arm in BOTH for number in (2, 6)
    }
    for result in outcome.results:
        assert result.report["made_on"]["threads"] == 1
        assert len(result.folder.read_detections()) == 6
        assert result.folder.read_resampled(100).shape == (100, 2)
    copied = [result for result in outcome.results if result.job.kind.endswith("copy_paste")]
    assert len(copied) == 6
    assert all((result.folder.path / "pasted.jpg").is_file() for result in copied)
    assert not list((out / "jobs").glob("*/pictures")) + list((out / "jobs").glob("*/checkpoint"))
    assert {path.parent.name.split("-")[0] for path in (out / "jobs").glob("*/model")} == {"pretrain"}


def test_the_card_begins_with_the_verdict_and_holds_what_a_sceptic_asks_for(whole: tuple[Path, Outcome]) -> None:
    out, _ = whole
    text = (out / "card.md").read_text()
    assert text.splitlines()[0].startswith("No claim about mAP 0.50:0.95 on 6 unseen real photos")
    for words in (
        "- Discs, not cells.",
        "| real with copy-paste |",
        "with all 6 real images",
        "## Value of painted images",
        "`boxpaint experiment x.yaml`",
        "6 test pictures",
        "Seeds: 0",
        "torch 2",
        "## Worst failures",
    ):
        assert words in text
    assert (out / "card.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "failures.jpg").read_bytes().startswith(b"\xff\xd8")
    assert "scaled as measured" not in text  # boxes are tight
    summary = list(csv.DictReader((out / "summary.csv").open()))
    assert [row["best_without_painted"] != "" for row in summary if row["arm"] in BOTH] == [True] * 6


def test_a_finished_one_trains_nothing_and_a_lost_job_comes_back_the_same(
    whole: tuple[Path, Outcome], discs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(whole[0], out)
    few = {"real_images": [{"number": 2, "subsets": 2}, {"number": "all", "subsets": 1}], "synthetic_seeds": 1}
    (lost,) = (out / "jobs").glob("refined-real2-painted6-seed1-*")
    before = (lost / "detections.json").read_bytes()
    shutil.rmtree(lost)
    (damaged,) = (out / "jobs").glob("real-real2-*-seed0-*/job.json")
    report = damaged.read_bytes()
    damaged.write_bytes(report[:-3])
    with pytest.raises(BoxpaintError, match="the same command makes it again"):
        run(discs, out, arms=ARMS, value_curve=CURVE, **few)
    damaged.write_bytes(report)
    noted = Noted()
    outcome = run(discs, out, noted, arms=ARMS, value_curve=CURVE, **few)
    assert noted.names == ["refined-real2-painted6-seed1"]
    assert (lost / "detections.json").read_bytes() == before
    write_card(outcome, out, command="")
    assert numbers(out) == numbers(whole[0])


def test_interrupted_one_process_goes_on_to_the_numbers_of_two(
    whole: tuple[Path, Outcome], discs: Path, tmp_path: Path
) -> None:
    few = {"arms": ["real", "refined"], "real_images": [{"number": 2, "subsets": 2}]}
    with pytest.raises(KeyboardInterrupt):
        run(discs, tmp_path, Noted(stop_after=1), **few)
    assert len(list((tmp_path / "jobs").glob("*/job.json"))) == 1
    noted = Noted()
    outcome = run(discs, tmp_path, noted, **few)
    assert len(noted.names) == 5  # of two pretrainings and two trainings of each arm
    before = {result.job: result for result in whole[1].results}
    assert len(outcome.results) == 4
    for result in outcome.results:
        found, known = (each.folder.path / "detections.json" for each in (result, before[result.job]))
        assert found.read_bytes() == known.read_bytes()
        for key in ("losses", "scores"):
            assert result.report[key] == before[result.job].report[key]


def test_a_fault_of_a_job_names_it(discs: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(discs, tmp_path / "copy")
    for path in (copy / "painted" / "images").glob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(BoxpaintError, match=r"synthetic-real0-painted6-seed0: .*png: "):
        run(copy, tmp_path / "out", arms=["synthetic"], synthetic_seeds=1)


def test_what_was_declared_before_there_were_scores_is_not_written_anew(
    whole: tuple[Path, Outcome], discs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(whole[0], out)
    (out / "experiment.json").write_text('{"real')
    with pytest.raises(StorageError, match="what was declared is lost; choose another folder with --out"):
        run(discs, out, arms=["real"])
    assert (out / "experiment.json").read_text() == '{"real'


def test_a_claim_that_changes_after_the_scores_is_told(
    whole: tuple[Path, Outcome], discs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(whole[0], out)
    declared = (out / "experiment.json").read_bytes()
    numbers = {"real_images": [{"number": 2, "subsets": 2}]}
    outcome = run(discs, out, arms=["real", "mixed"], claim="mixed", value_curve=None, **numbers)
    assert (out / "experiment.json").read_bytes() == declared
    before = '["real", "copy_paste", "synthetic", "refined", "refined_copy_paste", "mixed"]'
    arms = f'arms: ["real", "mixed"], before {before}'
    assert outcome.changes[:2] == (arms, 'claim: "mixed", before "refined"')
    assert any(change.startswith("real_images") for change in outcome.changes)
    scored = {result.folder.path.name for result in whole[1].results}
    assert len(outcome.results) == 4
    assert outcome.not_shown == len(scored) - 4
    lines = write_card(outcome, out, command="", exchanged=["--real"])
    assert lines[-1].startswith(f"Not what was declared before there were scores: {arms}; claim")
    text = (out / CARD).read_text()
    assert f"Not shown: {len(scored) - 4} scored trainings" in text
    assert "but the file was changed after there were scores" in text
    assert "The file was written for other data: data was exchanged by --real." in text


def test_a_run_without_scores_may_still_be_changed(discs: Path, tmp_path: Path) -> None:
    few = {"arms": ["real"], "real_images": [{"number": 9}]}
    with pytest.raises(BoxpaintError, match="there are 6"):
        run(discs, tmp_path, **few)
    with pytest.raises(BoxpaintError, match="there are 6"):
        run(discs, tmp_path, **few, seed=5)
    assert json.loads((tmp_path / "experiment.json").read_bytes())["seed"] == 5


def test_seconds_count_every_pretraining_once_and_the_curve_begins_at_the_best_arm(whole: tuple[Path, Outcome]) -> None:
    out, outcome = whole
    reports = [json.loads(path.read_bytes()) for path in (out / "jobs").glob("*/job.json")]
    assert outcome.seconds == pytest.approx(sum(sum(report["seconds"].values()) for report in reports))
    refined = next(result for result in outcome.results if result.job.kind == "refined")
    assert sum(refined.seconds.values()) > sum(refined.report["seconds"].values())
    assert outcome.curve is not None
    at_two = {cell.arm.name: cell.mean for cell in outcome.cells if cell.number == 2}
    assert outcome.curve.points[0].mean == max(at_two["real"], at_two["copy_paste"])


def test_a_folder_of_something_else_stays_as_it_is(discs: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunMismatchError, match=r"holds thesis\.tex"):
        run(discs, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
