from pathlib import Path

import pytest

from detection.runs.folder import UsedPicture, begin_run, find_model, finish_run, losses_csv, read_scores, read_used
from generator.foundation.errors import ModelNotFoundError, RunMismatchError, StorageError
from generator.foundation.history import History
from generator.foundation.run_folder import DETECTOR_RUN, working_in

RESULT = History(losses=[2.0, 1.5, 1.25], validations=[(2, 0.5), (3, 0.25)])


class Saved:
    """A detector whose weights are one file."""

    def save(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "model.json").write_text("{}")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_from_begin_to_end(tmp_path: Path) -> None:
    path = tmp_path / "run"
    used = [UsedPicture(role="real", picture="a,b.png", sha256="f00")]
    begin_run(path, {"command": "boxpaint"}, used)
    with pytest.raises(ModelNotFoundError, match="this training is unfinished"):
        find_model(path)
    before = (path / "run.json").read_bytes()
    begin_run(path, {"command": "another"}, [])  # it goes on
    assert (path / "run.json").read_bytes() == before
    (path / "checkpoint").mkdir()
    finish_run(path, Saved(), RESULT, {"steps": 3})
    assert names(path) == ["data.csv", "loss.png", "losses.csv", "model", "run.json", "scores.json"]
    assert (path / "losses.csv").read_text() == "step,loss,validation_ap\n1,2,\n2,1.5,0.5\n3,1.25,0.25\n"
    assert read_used(path) == used
    assert read_scores(path) == {"schema_version": 1, "steps": 3}
    assert find_model(path) == find_model(path / "model") == path / "model"
    (path / "model" / "model.json").unlink()
    with pytest.raises(RunMismatchError, match=r"model is damaged: model\.json is missing"):
        read_scores(path)
    (path / "notes.txt").write_text("mine")
    DETECTOR_RUN.clear(path)
    assert names(path) == ["notes.txt"]


def test_a_kill_while_the_model_is_saved_does_no_harm(tmp_path: Path) -> None:
    class Killed(Saved):
        def save(self, folder: Path) -> None:
            super().save(folder)
            raise KeyboardInterrupt

    begin_run(tmp_path, {}, [])
    with pytest.raises(KeyboardInterrupt):
        finish_run(tmp_path, Killed(), RESULT, {})
    assert not (tmp_path / "model").exists()
    with working_in(tmp_path):
        finish_run(tmp_path, Saved(), RESULT, {"steps": 3})
    assert names(tmp_path) == [".lock", "data.csv", "loss.png", "losses.csv", "model", "run.json", "scores.json"]


def test_a_place_without_a_detector(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no trained detector is there"):
        find_model(tmp_path / "nowhere")
    assert read_used(tmp_path) == []
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    with pytest.raises(StorageError, match="is damaged"):
        read_used(tmp_path)


def test_losses_without_validation() -> None:
    result = History(losses=[0.123456789])
    assert losses_csv(result) == b"step,loss,validation_ap\n1,0.123457,\n"
