import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from detection.datasets.sources import default_validation, read_source
from detection.detectors.settings import FitSettings, ModelOptions
from detection.runs.folder import read_used
from detection.runs.run import RunPlan, StartingRun, refine_run, train_run
from generator.foundation.errors import BoxpaintError, DatasetError, ModelNotFoundError, RunMismatchError, StorageError
from generator.foundation.history import Listener
from tests.detection.discs import disc_splits

CPU = torch.device("cpu")
SETTINGS = FitSettings(
    steps=4, batch_size=2, learning_rate=1e-3, warmup_steps=1, validate_every=2, checkpoint_every=2, augment="none"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders real (splits train, val, test) and painted."""
    folder = tmp_path_factory.mktemp("data")
    disc_splits(folder / "real", {"train": 4, "val": 3, "test": 3}, seed=1)
    disc_splits(folder / "painted", {"train": 3}, seed=2)
    return folder


@pytest.fixture(scope="module")
def plan(data: Path) -> RunPlan:
    return RunPlan(
        detector="retinanet_small",
        options=ModelOptions(input_wh=(64, 48)),
        settings=SETTINGS,
        seed=3,
        sources=(read_source(str(data / "real"), "real"), read_source(str(data / "painted"), "synthetic")),
        shares=(0.5, 0.5),
        validation=default_validation(str(data / "real")),
    )


@pytest.fixture(scope="module")
def trained(plan: RunPlan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    train_run(plan, out, device=CPU, command=["boxpaint", "train", "my set"])
    return out


class StopAt(Listener):
    def __init__(self, step: int):
        self.step = step

    def on_step(self, step: int, loss: float) -> None:
        if step == self.step:
            raise KeyboardInterrupt


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_runs_folder_says_what_went_in_and_what_came_out(data: Path, plan: RunPlan, trained: Path) -> None:
    assert visible(trained) == ["data.csv", "loss.png", "losses.csv", "model", "run.json", "scores.json"]
    run = json.loads((trained / "run.json").read_text())
    assert run["command"] == "boxpaint train 'my set'"
    assert (run["detector"], run["categories"], run["seed"]) == ("retinanet_small", ["red", "blue"], 3)
    assert (run["settings"]["steps"], run["options"]["input_wh"]) == (4, [64, 48])
    assert [(item["role"], item["splits"], item["pictures"], item["share"]) for item in run["data"]] == [
        ("real", ["train"], 4, 0.5),
        ("synthetic", ["train"], 3, 0.5),
    ]
    assert run["data"][0]["digest"] == plan.sources[0].digest
    assert (run["validation"]["splits"], run["refined_from"]) == (["val"], None)
    assert (run["machine"]["device"], run["machine"]["torch_threads"]) == ("cpu", 1)
    scores = json.loads((trained / "scores.json").read_text())
    assert [item["step"] for item in scores["validations"]] == [2, 4]
    assert scores["before"] is None
    best = {item["step"]: item["ap"] for item in scores["validations"]}[scores["best_step"]]
    assert scores["scores"]["ap"] == pytest.approx(best, abs=1e-9)
    assert len((trained / "losses.csv").read_text().splitlines()) == 5
    roles = [item.role for item in read_used(trained)]
    assert roles == ["real"] * 4 + ["synthetic"] * 3 + ["validation"] * 3


def test_a_finished_run_is_not_trained_again(plan: RunPlan, trained: Path) -> None:
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    again = train_run(plan, trained, device=CPU, command=["another"], listener=StopAt(1))
    assert again.was_finished
    assert again.scores == json.loads((trained / "scores.json").read_text())["scores"]
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before
    other = replace(plan, seed=4, settings=SETTINGS.model_copy(update={"steps": 5}))
    with pytest.raises(RunMismatchError) as caught:
        train_run(other, trained, device=CPU, command=[])
    assert caught.value.differences == ("settings.steps: 4 before, 5 now", "seed: 3 before, 4 now")


def test_a_stopped_run_goes_on_and_ends_the_same(plan: RunPlan, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train_run(plan, out, device=CPU, command=[], listener=StopAt(3))
    assert visible(out) == ["checkpoint", "data.csv", "run.json"]
    with pytest.raises(RunMismatchError, match="seed: 3 before, 9 now"):
        train_run(replace(plan, seed=9), out, device=CPU, command=[])
    result = train_run(plan, out, device=CPU, command=[])
    assert not result.was_finished
    assert visible(out) == visible(trained)
    for name in ("losses.csv", "loss.png", "scores.json", "model/model.safetensors"):
        assert (out / name).read_bytes() == (trained / name).read_bytes()
    overwritten = train_run(replace(plan, seed=9), out, device=CPU, command=[], overwrite=True)
    assert not overwritten.was_finished
    assert (out / "losses.csv").read_bytes() != (trained / "losses.csv").read_bytes()


def test_refining_keeps_the_lineage(data: Path, plan: RunPlan, trained: Path, tmp_path: Path) -> None:
    start = StartingRun.read(trained)
    assert (start.detector, start.categories, start.settings) == ("retinanet_small", ("red", "blue"), SETTINGS)
    real = read_source(str(data / "real"), "real")
    settings = SETTINGS.model_copy(update={"steps": 2, "learning_rate": 1e-4})
    refining = replace(plan, settings=settings, sources=(real,), shares=(1.0,))
    out = tmp_path / "refined"
    result = refine_run(start, refining, out, device=CPU, command=[])
    run = json.loads((out / "run.json").read_text())
    assert run["refined_from"]["path"] == str(trained)
    assert run["refined_from"]["files"].keys() == {"model.json", "model.safetensors"}
    assert result.before == json.loads((trained / "scores.json").read_text())["scores"]
    assert (out / "model" / "model.safetensors").read_bytes() != (trained / "model" / "model.safetensors").read_bytes()
    assert [item.role for item in read_used(out)].count("synthetic") == 3
    assert StartingRun.read(trained / "model") == replace(start, folder=trained.resolve(), model=trained / "model")
    # A saved model without a run can be gone on from as well.
    shutil.copytree(trained / "model", tmp_path / "model")
    assert StartingRun.read(tmp_path / "model").settings == FitSettings()


def test_pretrained_weights_of_a_run_keep_the_lineage(data: Path, plan: RunPlan, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ModelOptions(input_wh=(64, 48), pretrained=str(trained / "model"))
    painted = read_source(str(data / "painted"), "synthetic")
    settings = SETTINGS.model_copy(update={"steps": 1})
    fresh = replace(plan, options=options, settings=settings, sources=(painted,), shares=(1.0,))
    train_run(replace(fresh, validation=None), out, device=CPU, command=[])
    pretrained = json.loads((out / "run.json").read_text())["pretrained"]
    assert pretrained["files"] == StartingRun.read(trained).describe()["files"]
    assert read_used(out)[3:] == read_used(trained) == read_used(trained / "model")
    again = tmp_path / "again"
    with pytest.raises(ModelNotFoundError, match="pretrained: there is no checkpoint"):
        lost = ModelOptions(input_wh=(64, 48), pretrained=str(tmp_path / "lost"))
        train_run(replace(fresh, options=lost), again, device=CPU, command=[])
    assert not again.exists()


def test_what_was_trained_on_before_is_not_validated_on(
    data: Path, plan: RunPlan, trained: Path, tmp_path: Path
) -> None:
    painted = read_source(str(data / "painted"), "synthetic")
    refining = replace(plan, sources=(painted,), shares=(1.0,), validation=replace(plan.sources[0], role="validation"))
    with pytest.raises(DatasetError, match="4 of its pictures are trained on, too, by this run or one that it goes on"):
        refine_run(StartingRun.read(trained), refining, tmp_path / "a", device=CPU, command=[])
    options = ModelOptions(input_wh=(64, 48), pretrained=str(trained / "model"))
    with pytest.raises(DatasetError, match="4 of its pictures are trained on"):
        train_run(replace(refining, options=options), tmp_path / "b", device=CPU, command=[])


def test_what_cannot_be_refined(plan: RunPlan, trained: Path, tmp_path: Path) -> None:
    start = StartingRun.read(trained)
    for out in (trained, trained.parent):
        with pytest.raises(BoxpaintError, match="what is to be read lies in this folder"):
            refine_run(start, plan, out, device=CPU, command=[], overwrite=True)
    with pytest.raises(ModelNotFoundError, match="no trained detector is there"):
        StartingRun.read(tmp_path)
    copy = tmp_path / "copy"
    (copy / "model").mkdir(parents=True)
    (copy / "model" / "model.json").write_bytes((trained / "model" / "model.json").read_bytes())
    (copy / "run.json").write_text("{}")
    with pytest.raises(StorageError, match="its settings cannot be used"):
        StartingRun.read(copy)


def test_a_fault_before_the_first_step_leaves_nothing(data: Path, plan: RunPlan, tmp_path: Path) -> None:
    disc_splits(tmp_path / "torn", {"train": 2}, seed=5)
    torn = read_source(str(tmp_path / "torn"), "real")
    for sample in torn.data.samples:
        sample.path.write_bytes(b"torn")
    broken = replace(plan, sources=(torn,), shares=(1.0,), validation=None)
    out = tmp_path / "run"
    with pytest.raises(DatasetError, match="disc_train_"):
        train_run(broken, out, device=CPU, command=[])
    assert not out.exists()
    overlapping = replace(plan, validation=replace(plan.sources[0], role="validation"))
    with pytest.raises(DatasetError, match="4 of its pictures are trained on"):
        train_run(overlapping, out, device=CPU, command=[])
    assert not out.exists()


def test_scores_that_cannot_be_read(plan: RunPlan, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "model").mkdir()
    (out / "model" / "model.json").write_bytes((trained / "model" / "model.json").read_bytes())
    (out / "run.json").write_bytes((trained / "run.json").read_bytes())
    (out / "scores.json").write_text('{"steps": 4}')
    with pytest.raises(StorageError, match=r"scores\.json is damaged .*'best_step'"):
        train_run(plan, out, device=CPU, command=[])
