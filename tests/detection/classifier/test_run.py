from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from detection.classifier.data import Sources
from detection.classifier.model_folder import load_classifier
from detection.classifier.run import HISTORY, best_outcome, compare_classifiers
from detection.classifier.settings import ClassifierSettings, Job
from detection.proof.jobs import ProofListener
from generator.foundation.errors import BoxpaintError, RunMismatchError, StorageError

pytestmark = pytest.mark.slow


class Watcher(ProofListener[Job]):
    def __init__(self, stop_at: str | None = None):
        self.stop_at = stop_at
        self.jobs: list[str] = []
        self.finished = 0

    def on_jobs(self, jobs: Sequence[Job], steps: int, finished: int) -> None:
        self.finished = finished

    def on_job_step(self, job: Job, step: int, loss: float) -> None:
        if job.name == self.stop_at:  # at the first step that is told of it
            raise KeyboardInterrupt

    def on_job_end(self, job: Job, steps: int, score: float | None) -> None:
        self.jobs.append(job.name)


def run(sources: Sources, out: Path, settings: ClassifierSettings, **options: object):
    return compare_classifiers(sources, out, settings, device="cpu", **options)  # type: ignore[arg-type]


def results(out: Path) -> dict[str, bytes]:
    """All that must be equal between equal runs."""
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def sources(discs: Path, painted: Path) -> Sources:
    return Sources(real=discs, synthetic=painted)


@pytest.fixture(scope="module")
def finished(sources: Sources, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished comparison, with one real crop of each class, by two processes."""
    out = tmp_path_factory.mktemp("finished") / "out"
    watcher = Watcher()
    run(sources, out, SHORT, workers=2, listener=watcher, command="boxpaint train classifier")
    assert sorted(watcher.jobs) == ["augmented-0", "augmented-1", "original-0", "original-1"]
    return out


SHORT = ClassifierSettings(
    model="small", steps=4, batch_size=9, seeds=2, warmup_steps=1, validate_every=2, checkpoint_every=2, bootstrap=100,
    per_class=1, onnx=False,
)  # fmt: skip


def test_it_leaves_scores_predictions_models_and_a_report(finished: Path) -> None:
    scores = json.loads((finished / "scores.json").read_text())
    assert scores["classes"] == ["red", "blue", "background"]
    assert scores["real_crops_trained_on"] == {"red": 1, "blue": 1, "background": 1}
    assert scores["crops"]["synthetic"]["red"] == 6
    assert scores["threads"] == 1
    assert [seed["seed"] for seed in scores["arms"]["augmented"]["seeds"]] == [0, 1]
    assert scores["gain"]["macro_f1"].keys() == {"value", "low", "high", "verdict"}
    assert len(scores["mcnemar"]) == 2
    for name in ("confusion.png", "curves.png", "gains.png", "grad_cam_original.png", "grad_cam_augmented.png"):
        assert (finished / name).read_bytes().startswith(b"\x89PNG")
    page, text = (finished / "report.html").read_text(), (finished / "report.md").read_text()
    for words in ("macro f1", "weighted recall", "McNemar", "blue", "2 seeds"):
        assert words in page
        assert words in text
    assert page.count("data:image/png;base64,") == 5
    assert scores["headline"].split(":")[0] in page
    assert not list(finished.rglob("checkpoint.pt"))
    model, card = load_classifier(finished / "models" / "augmented-1")
    assert card.classes == model.classes == ("red", "blue", "background")


def test_real_crops_alone_have_scores_and_an_export_but_no_gain(sources: Sources, tmp_path: Path) -> None:
    settings = SHORT.model_copy(update={"seeds": 1, "steps": 1, "onnx": True, "background": False})
    comparison = run(Sources(real=sources.real), tmp_path / "out", settings)
    assert comparison.augmented is None
    assert comparison.headline.startswith("Real crops alone: macro F1")
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["classes"] == ["red", "blue"]
    assert scores["onnx_differs_from_torch_by"].keys() == {"original-0"}
    assert scores["onnx_differs_from_torch_by"]["original-0"] < 1e-4
    assert (tmp_path / "out" / "models" / "original-0" / "model.onnx").is_file()


def test_early_stopping_is_said_and_chooses_the_model(sources: Sources, tmp_path: Path) -> None:
    settings = SHORT.model_copy(update={"patience": 1})
    comparison = run(Sources(real=sources.real), tmp_path / "out", settings)
    best = best_outcome(comparison.original, comparison.settings)
    scores = {each.job.number: dict(each.validations)[each.best_step] for each in comparison.original.outcomes}
    assert scores[best.job.number] == max(scores.values())
    said = f"Early stopping and the choice of weights used {len(comparison.data.validation)} real validation crops"
    assert said in (tmp_path / "out" / "report.md").read_text()
    without = comparison.settings.model_copy(update={"patience": None})
    assert best_outcome(comparison.original, without).job.number == 0


def test_the_statistics_can_be_computed_from_the_predictions(finished: Path) -> None:
    rows = list(csv.DictReader((finished / "predictions.csv").open()))
    scores = json.loads((finished / "scores.json").read_text())
    assert len(rows) == 4 * sum(scores["crops"]["test"].values())
    for arm in ("original", "augmented"):
        own = [row["class"] == row["predicted"] for row in rows if row["arm"] == arm]
        assert np.mean(own) == pytest.approx(scores["arms"][arm]["accuracy"]["mean"])
    chances = [float(rows[0][f"p({name})"]) for name in scores["classes"]]
    assert sum(chances) == pytest.approx(1, abs=1e-4)
    assert scores["classes"][int(np.argmax(chances))] == rows[0]["predicted"]


def test_a_finished_run_is_not_trained_again_and_comes_out_the_same(finished: Path, sources: Sources) -> None:
    before = results(finished)
    watcher = Watcher()
    run(sources, finished, SHORT, listener=watcher, command="boxpaint train classifier")
    assert (watcher.finished, watcher.jobs) == (4, [])
    assert results(finished) == before


@pytest.mark.parametrize("stop_at", ["original-0", "augmented-1"])
def test_interrupted_and_resumed_by_one_process_gives_the_same_files(
    finished: Path, sources: Sources, tmp_path: Path, stop_at: str
) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(sources, out, SHORT, listener=Watcher(stop_at))
    assert not (out / "scores.json").exists()
    watcher = Watcher()
    run(sources, out, SHORT, listener=watcher, command="boxpaint train classifier")
    # The process may have come to the end of its job before it was stopped.
    assert watcher.finished >= (0 if stop_at == "original-0" else 3)
    assert len(watcher.jobs) == 4 - watcher.finished
    assert results(out) == results(finished)


def test_without_real_crops_only_painted_ones_are_trained_on(sources: Sources, tmp_path: Path) -> None:
    settings = SHORT.model_copy(update={"per_class": 0, "seeds": 1})
    comparison = run(sources, tmp_path / "out", settings)
    assert (comparison.original.outcomes, comparison.gains, comparison.tests) == ((), None, ())
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["arms"]["original"] == {"trained": False, "reason": "fewer than two classes have crops"}
    assert scores["gain"] is None
    for name in ("report.md", "report.html"):
        assert "original arm cannot be trained" in (tmp_path / "out" / name).read_text()
    with pytest.raises(BoxpaintError, match="nothing can be trained"):
        run(Sources(real=sources.real), tmp_path / "alone", settings)
    assert not (tmp_path / "alone").exists()


def test_a_folder_of_another_run_is_left_alone(finished: Path, sources: Sources, tmp_path: Path) -> None:
    before = results(finished)
    with pytest.raises(RunMismatchError, match=r"settings\.steps: 4 before, 5 now"):
        run(sources, finished, SHORT.model_copy(update={"steps": 5}))
    assert results(finished) == before
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunMismatchError, match=r"it holds thesis\.txt"):
        run(sources, tmp_path, SHORT, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_overwrite_starts_again_and_a_damaged_result_is_said(finished: Path, sources: Sources, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (out / "models" / "original-0" / HISTORY).write_text("{")
    with pytest.raises(StorageError, match="damaged; remove the folder"):
        run(sources, out, SHORT, command="boxpaint train classifier")
    watcher = Watcher()
    one = SHORT.model_copy(update={"seeds": 1, "steps": 1})
    run(Sources(real=sources.real), out, one, overwrite=True, listener=watcher)
    assert watcher.jobs == ["original-0"]
    assert not (out / "models" / "augmented-0").exists()
