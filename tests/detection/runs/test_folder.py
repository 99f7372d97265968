from pathlib import Path

import pytest

from detection.detectors.types import FitResult
from detection.runs.folder import RunFolder, UsedPicture, find_model, losses_csv, read_used
from generator.foundation.errors import ModelNotFoundError, RunMismatchError, StorageError
from generator.foundation.run_folder import DETECTOR_RUN, working_in

IDENTITY = {
    "detector": "small",
    "settings": {"steps": 2, "workers": 0, "checkpoint_every": 5},
    "data": [{"role": "real", "path": "/here", "pictures": 3, "digest": "sha256:a"}],
}
RESULT = FitResult(steps=3, best_step=2, losses=(2.0, 1.5, 1.25), validations=((2, 0.5), (3, 0.25)))


class Saved:
    """A detector whose weights are one file."""

    def save(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "model.json").write_text("{}")


def finished(path: Path) -> RunFolder:
    path.mkdir(exist_ok=True)
    folder = RunFolder(path, IDENTITY)
    folder.begin({"command": "boxpaint"}, [UsedPicture(role="real", picture="a,b.png", sha256="f00")])
    folder.checkpoint.mkdir()
    folder.finish(Saved(), RESULT, {"steps": 3})
    return folder


def test_a_run_from_begin_to_end(tmp_path: Path) -> None:
    path = tmp_path / "run"
    assert RunFolder(path, IDENTITY).check(overwrite=False) is None
    folder = finished(path)
    assert sorted(each.name for each in path.iterdir()) == [
        "data.csv",
        "loss.png",
        "losses.csv",
        "model",
        "run.json",
        "scores.json",
    ]
    assert (path / "losses.csv").read_text().splitlines() == [
        "step,loss,validation_ap",
        "1,2,",
        "2,1.5,0.5",
        "3,1.25,0.25",
    ]
    assert read_used(path) == [UsedPicture(role="real", picture="a,b.png", sha256="f00")]
    assert folder.check(overwrite=False) == {"schema_version": 1, "steps": 3}
    assert folder.check(overwrite=True) is None
    assert find_model(path) == find_model(path / "model") == path / "model"
    (path / "notes.txt").write_text("mine")
    DETECTOR_RUN.clear(path)
    assert [each.name for each in path.iterdir()] == ["notes.txt"]


def test_an_unfinished_run_is_gone_on_with(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, IDENTITY)
    folder.checkpoint.mkdir()
    assert folder.check(overwrite=False) is None
    folder.begin({}, [])
    before = (tmp_path / "run.json").read_bytes()
    folder.begin({"command": "another"}, [])
    assert (tmp_path / "run.json").read_bytes() == before
    assert folder.check(overwrite=False) is None
    with pytest.raises(ModelNotFoundError, match="this training is unfinished"):
        find_model(tmp_path)


def test_a_kill_while_the_model_is_saved_does_no_harm(tmp_path: Path) -> None:
    class Killed(Saved):
        def save(self, folder: Path) -> None:
            super().save(folder)
            raise KeyboardInterrupt

    folder = RunFolder(tmp_path, IDENTITY)
    folder.begin({}, [])
    with pytest.raises(KeyboardInterrupt):
        folder.finish(Killed(), RESULT, {})
    left = {path.name for path in tmp_path.iterdir()}
    assert len(left - {"run.json", "data.csv"}) == 1
    with working_in(tmp_path):
        assert folder.check(overwrite=False) is None
        folder.finish(Saved(), RESULT, {"steps": 3})
    assert {path.name for path in tmp_path.iterdir()}.isdisjoint(left - {"run.json", "data.csv"})
    (tmp_path / next(iter(left - {"run.json", "data.csv"}))).mkdir()
    with working_in(tmp_path):
        DETECTOR_RUN.clear(tmp_path)
    assert not tmp_path.exists()


def test_a_finished_run_without_its_model_can_be_overwritten(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    (tmp_path / "model" / "model.json").unlink()
    with pytest.raises(RunMismatchError, match=r"model is damaged: model\.json is missing"):
        folder.check(overwrite=False)
    assert folder.check(overwrite=True) is None


def test_a_place_without_a_detector(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no trained detector is there"):
        find_model(tmp_path / "nowhere")
    assert read_used(tmp_path) == []
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    with pytest.raises(StorageError, match="is damaged"):
        read_used(tmp_path)


def test_losses_without_validation() -> None:
    result = FitResult(steps=1, best_step=1, losses=(0.123456789,), validations=())
    assert losses_csv(result) == b"step,loss,validation_ap\n1,0.123457,\n"
