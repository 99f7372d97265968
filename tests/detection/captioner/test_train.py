"""Fine-tuning end to end on a tiny BLIP: it learns, it goes on after a stop, and a seed gives the same bytes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from detection.captioner import train
from detection.captioner.settings import CaptionerSettings, EpochLoss, Listener
from detection.captioner.table import read_caption_table
from detection.captioner.train import CaptionerResult, fine_tune, split_pictures
from generator.bundles import ModelRef
from generator.foundation.errors import BoxpaintError, DatasetError, ModelNotFoundError, RunMismatchError
from generator.foundation.stopping import Stopped
from generator.prompts.models import Captioner

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
LEARNS = CaptionerSettings(epochs=30, batch_size=8, learning_rate=1e-2, val_share=0.25, patience=30)
SHORT = LEARNS.model_copy(update={"epochs": 4})


class StoppedError(Exception):
    """Stands for a kill."""


class StopAfter(Listener):
    def __init__(self, epoch: int):
        self.epoch = epoch
        self.told: list[str] = []

    def on_start(self, epochs: int, finished: int) -> None:
        self.told.append(f"{finished} of {epochs}")

    def on_epoch(self, loss: EpochLoss, *, is_best: bool) -> None:
        if loss.epoch == self.epoch:
            raise StoppedError


Tune = Callable[..., CaptionerResult]


@pytest.fixture()
def tune(discs: Path, tiny_blip: Path) -> Tune:
    """Return a function that trains on the discs: the folder, settings, and what `fine_tune` takes by name."""

    def train(out: Path, settings: CaptionerSettings = SHORT, *, blip: Path = tiny_blip, **how: Any) -> CaptionerResult:
        table = read_caption_table(discs, discs.parent / "images")
        return fine_tune(table, ModelRef(folder=str(blip)), out, settings, device=CPU, offline=True, **how)

    return train


@pytest.fixture()
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def test_it_learns_and_the_result_is_a_captioner(tune: Tune, discs: Path, out: Path) -> None:
    result = tune(out, LEARNS)
    assert result.losses[-1].val < result.losses[0].val / 4
    assert result.scores_before.bleu_1 < 0.3
    assert result.scores_after.bleu_1 > 0.9
    assert result.scores_after.meteor > 0.9
    assert (result.counts.train_pictures, result.counts.val_pictures) == (18, 6)
    assert (result.counts.train_captions, result.counts.val_captions) == (36, 12)
    captioner = Captioner(ModelRef(folder=str(result.model)), device=CPU, offline=True)
    shown = [np.array(Image.open(discs.parent / "images" / example.picture)) for example in result.examples]
    assert captioner.caption(shown) == [example.after for example in result.examples]
    assert sorted(path.name for path in (out).iterdir() if path.name != ".lock") == [
        "loss.png",
        "model",
        "scores.json",
    ]
    with Image.open(out / "loss.png") as plot:
        assert plot.size == (960, 600)
    content = json.loads((out / "scores.json").read_text())
    assert content["schema_version"] == 1
    assert content["settings"]["epochs"] == 30
    assert content["base"].startswith("sha256:")
    assert content["scores_after"]["METEOR (exact and stem)"] == result.scores_after.meteor
    assert content["examples"][0]["after"] == result.examples[0].after


def test_a_seed_gives_the_same_bytes_and_another_one_another_model(tune: Tune, tmp_path: Path) -> None:
    tune(tmp_path / "one")
    tune(tmp_path / "two")
    one, two = files_of(tmp_path / "one"), files_of(tmp_path / "two")
    assert "model/model.safetensors" in one
    assert one == two
    tune(tmp_path / "three", SHORT.model_copy(update={"seed": 1}))
    assert files_of(tmp_path / "three")["model/model.safetensors"] != one["model/model.safetensors"]


def test_going_on_after_a_stop_gives_what_no_stop_gives(tune: Tune, out: Path, tmp_path: Path) -> None:
    whole = tune(tmp_path / "whole")
    out = tmp_path / "stopped"
    for epoch in (1, 3):
        with pytest.raises(StoppedError):
            tune(out, listener=StopAfter(epoch))
        assert sorted(files_of(out)) == ["checkpoint.pt", "scores.json"]
    listener = StopAfter(0)
    result = tune(out, listener=listener)
    assert listener.told == ["3 of 4"]
    assert result.model_copy(update={"folder": whole.folder}) == whole
    assert files_of(out) == files_of(tmp_path / "whole")


def test_sigterm_in_an_epoch_keeps_its_steps(tune: Tune, out: Path, tmp_path: Path) -> None:
    class Ending(Listener):
        def __init__(self, end_at: int) -> None:
            self.end_at = end_at
            self.steps: list[int] = []

        def on_step(self, step: int, steps: int) -> None:
            self.steps.append(step)
            if len(self.steps) == self.end_at:
                os.kill(os.getpid(), signal.SIGTERM)

    settings = SHORT.model_copy(update={"epochs": 2})
    watcher = Ending(0)
    whole = tune(tmp_path / "whole", settings, listener=watcher)
    each = len(watcher.steps) // 2
    with pytest.raises(Stopped):
        tune(out, settings, listener=Ending(each + 1))
    watcher = Ending(0)
    result = tune(out, settings, listener=watcher)
    assert watcher.steps == list(range(2, each + 1))  # what is left of the second epoch
    assert result.model_copy(update={"folder": whole.folder}) == whole
    assert files_of(out) == files_of(tmp_path / "whole")


def test_a_finished_run_is_read_not_trained_again(tune: Tune, out: Path) -> None:
    first = tune(out)
    before = files_of(out)
    listener = StopAfter(1)
    assert tune(out, listener=listener) == first
    assert listener.told == []
    assert files_of(out) == before


def test_a_kill_before_the_checkpoint_was_removed_is_made_good(tune: Tune, out: Path) -> None:
    once = SHORT.model_copy(update={"epochs": 1})
    first = tune(out, once)
    (out / "checkpoint.pt").write_bytes(b"of the last epoch")
    assert tune(out, once) == first
    assert not (out / "checkpoint.pt").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_kill_while_the_model_is_saved_does_no_harm(
    tune: Tune, out: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    once = SHORT.model_copy(update={"epochs": 1})

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train, "_draw_losses", killed)
        with pytest.raises(KeyboardInterrupt):
            tune(out, once)
    assert [path.name for path in out.iterdir() if path.is_dir()] == [".model.part"]
    tune(out, once, overwrite=overwrite)
    assert [path.name for path in out.iterdir() if path.is_dir()] == ["model"]


def test_every_call_of_the_listener_is_made(tune: Tune, out: Path) -> None:
    told: set[str] = set()

    class Recorder(Listener):
        def __getattribute__(self, name: str) -> Any:
            told.add(name)
            return super().__getattribute__(name)

    tune(out, SHORT.model_copy(update={"epochs": 1}), listener=Recorder())
    assert told == {name for name in vars(Listener) if name.startswith("on_")}


def test_another_run_in_the_folder_is_refused_until_overwrite(tune: Tune, discs: Path, out: Path) -> None:
    other = SHORT.model_copy(update={"epochs": 2})
    with pytest.raises(StoppedError):
        tune(out, listener=StopAfter(1))
    for _ in range(2):  # of an unfinished run, then of a finished one
        before = files_of(out)
        with pytest.raises(RunMismatchError, match=r"settings\.epochs: 4 before, 2 now") as caught:
            tune(out, other)
        assert "another --out" in str(caught.value)
        assert files_of(out) == before
        tune(out)
    discs.write_text(discs.read_text().replace("a small red disc", "a tiny red disc"))
    with pytest.raises(RunMismatchError, match='captions: "sha256:'):
        tune(out)
    assert len(tune(out, other, overwrite=True).losses) == 2


@pytest.mark.parametrize(
    "beside",
    [
        {"model/config.json": "{}"},
        {"checkpoint.pt": "torn"},
        {"scores.json": '["of something else"]'},
        {"scores.json": '{"kind": "football"}'},
    ],
)
def test_a_file_of_ours_by_name_makes_no_other_folder_ours(tune: Tune, out: Path, beside: dict[str, str]) -> None:
    for name, text in {"thesis.tex": "mine", **beside}.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text)
    before = files_of(out)
    for overwrite in (False, True):
        with pytest.raises(BoxpaintError, match=r"is not a training of a captioner|is damaged"):
            tune(out, overwrite=overwrite)
    assert files_of(out) == before


def test_notes_beside_a_stopped_run_stay(tune: Tune, out: Path) -> None:
    with pytest.raises(StoppedError):
        tune(out, listener=StopAfter(1))
    (out / "notes.txt").write_text("mine")
    listener = StopAfter(0)
    tune(out, listener=listener)
    assert listener.told == ["1 of 4"]
    assert (out / "notes.txt").read_text() == "mine"


OURS = '{"schema_version": 1, "kind": "boxpaint captioner"}'


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"scores.json": '{"kind": "boxpaint'}, r"scores\.json"),
        ({"scores.json": "", "model/config.json": "{}"}, r"scores\.json"),
        ({"scores.json": OURS, "model/config.json": "{}"}, r"started with other settings .*--overwrite to start again"),
        ({"scores.json": OURS, "checkpoint.pt": "torn"}, r"started with other settings .*--overwrite to start again"),
    ],
)
def test_remains_of_a_run_are_named_and_overwrite_starts_again(
    tune: Tune, out: Path, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text)
    before = files_of(out)
    with pytest.raises(BoxpaintError, match=message):
        tune(out)
    assert files_of(out) == before
    assert len(tune(out, SHORT.model_copy(update={"epochs": 1}), overwrite=True).losses) == 1


def test_damaged_files_of_the_same_run_are_named(tune: Tune, out: Path) -> None:
    with pytest.raises(StoppedError):
        tune(out, listener=StopAfter(1))
    whole = (out / "checkpoint.pt").read_bytes()
    (out / "checkpoint.pt").write_bytes(b"torn")
    with pytest.raises(RunMismatchError, match=r"checkpoint\.pt cannot be read .*; remove it, or choose another --out"):
        tune(out)
    (out / "checkpoint.pt").write_bytes(whole)
    tune(out)
    scores = json.loads((out / "scores.json").read_text())
    (out / "scores.json").write_text(json.dumps({**scores, "best_epoch": "second"}))
    with pytest.raises(RunMismatchError, match=r"scores\.json is damaged \(best_epoch: .*--overwrite starts again"):
        tune(out)


def test_unreadable_pictures_are_skipped_and_counted(tune: Tune, discs: Path, out: Path) -> None:
    table = read_caption_table(discs, discs.parent / "images")
    train, val = split_pictures(table, val_share=SHORT.val_share, seed=SHORT.seed)
    train[0].write_bytes(b"no picture")
    val[0].write_bytes(val[0].read_bytes()[:60])
    result = tune(out, SHORT.model_copy(update={"epochs": 1}))
    assert sorted(result.unreadable) == sorted([train[0].name, val[0].name])
    assert result.counts.unreadable_pictures == 2
    assert result.counts.scored_pictures == 5


@pytest.mark.parametrize("side", ["train", "val"])
def test_a_side_without_a_readable_picture_is_one_clear_error(tune: Tune, discs: Path, out: Path, side: str) -> None:
    table = read_caption_table(discs, discs.parent / "images")
    train, val = split_pictures(table, val_share=SHORT.val_share, seed=SHORT.seed)
    for picture in {"train": train, "val": val}[side]:
        picture.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"none of the \d+ (training|validation) pictures can be read"):
        tune(out)
    assert not (out).exists()


def test_too_few_pictures_or_no_model_leave_nothing_behind(tune: Tune, discs: Path, out: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"models\.captioner\.folder"):
        tune(out, blip=tmp_path / "none")
    discs.write_text("\n".join(discs.read_text().splitlines()[:3]))
    with pytest.raises(DatasetError, match=r"captions\.csv: captions of 1 picture; at least 2"):
        tune(out)
    assert not (out).exists()


def test_the_base_model_is_not_overwritten(tune: Tune, out: Path) -> None:
    result = tune(out, SHORT.model_copy(update={"epochs": 1}))
    with pytest.raises(BoxpaintError, match="what is to be read lies in this folder"):
        tune(out, blip=result.model, overwrite=True)
    assert (result.model / "model.safetensors").is_file()


def test_a_learning_rate_that_breaks_the_training_is_said(tune: Tune, out: Path) -> None:
    with pytest.raises(BoxpaintError, match="--learning-rate below 1e"):
        tune(out, LEARNS.model_copy(update={"learning_rate": 1e30}))


def test_no_picture_is_on_both_sides_and_each_side_has_one(discs: Path) -> None:
    table = read_caption_table(discs, discs.parent / "images")
    for share, count in ((0.01, 1), (0.25, 6), (0.99, 23)):
        train, val = split_pictures(table, val_share=share, seed=3)
        assert len(val) == count
        assert set(train) | set(val) == set(table.captions)
        assert not set(train) & set(val)
    assert split_pictures(table, val_share=0.25, seed=3) != split_pictures(table, val_share=0.25, seed=4)
