"""The folder of a fine-tuning: whose it is, how far it has come, and its results, each whole or absent.

checkpoint.pt            while it trains, to go on from; gone when finished
model/                   the captioner, for models.captioner.folder
loss.png                 loss of both sides, epoch by epoch
scores.json              settings, counts, scores before and after; written last, so it means a finished run
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from detection.captioner.result import SCHEMA_VERSION, CaptionerResult
from detection.work_folder import remove, working_in
from generator.foundation.errors import RunMismatchError
from generator.foundation.storage import translate_os_errors, write_json
from generator.foundation.training import NO_CHECKPOINT

KIND = "boxpaint captioner"
CHECKPOINT, SCORES, PLOT, MODEL = "checkpoint.pt", "scores.json", "loss.png", "model"
# Not `.part`, which are files that any run removes.
_UNFINISHED_MODEL = ".model.unfinished"


class TuningFolder:
    """A folder for one fine-tuning; `identity` is what another run must agree in to go on with it."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]):
        self.folder = folder
        # As it is read back: no tuples
        self.identity: dict[str, Any] = json.loads(json.dumps(identity))

    def read_result(self) -> CaptionerResult | None:
        """Read the result of the same run; None when it is not finished.

        Raises RunMismatchError when it was another run, or cannot be read.
        """
        path = self.folder / SCORES
        if not path.exists():
            return None
        try:
            with translate_os_errors(path):
                data = json.loads(path.read_text(encoding="utf-8"))
            self._check(data)
            result = CaptionerResult.from_json(data, self.folder)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _damaged(path, error) from None
        if not result.model.is_dir():
            raise _damaged(result.model, FileNotFoundError("it is missing"))
        return result

    @property
    def checkpoint(self) -> Path:
        """Where the training goes on from."""
        return self.folder / CHECKPOINT

    def save_model(self, model: Any, processor: Any) -> Path:
        """Save the model beside its place, from where `finish` moves it; returns its folder for now."""
        part = self.folder / _UNFINISHED_MODEL
        remove(part)
        with translate_os_errors(part):
            model.save_pretrained(part)
            processor.save_pretrained(part)
        return part

    def finish(self, result: CaptionerResult, about: Mapping[str, Any]) -> None:
        """Put the saved model in its place and write scores.json, with `about` for people to read, last."""
        place = self.folder / MODEL
        remove(place)
        with translate_os_errors(place):
            (self.folder / _UNFINISHED_MODEL).rename(place)
        head = {"schema_version": SCHEMA_VERSION, "kind": KIND}
        write_json(self.folder / SCORES, {**head, **self.identity, **about, **result.to_json()})
        remove(self.checkpoint)

    def clear(self) -> None:
        """Remove what a run leaves; other files stay. scores.json is last: until then the folder is known as ours."""
        for name in (_UNFINISHED_MODEL, MODEL, PLOT, CHECKPOINT, SCORES):
            remove(self.folder / name)

    def _check(self, before: Mapping[str, Any]) -> None:
        differences = []
        for key, value in self.identity.items():
            now, then = (each if isinstance(each, dict) else {"": each} for each in (value, before.get(key)))
            for name in sorted({*now, *then}):
                if now.get(name) != then.get(name):
                    place = f"{key}.{name}" if name else key
                    differences.append(f"{place}: {then.get(name)} before, {now.get(name)} now")
        if differences:
            raise RunMismatchError(
                f"{self.folder} was started with other settings, captions or another base model; use another --out, "
                "or --overwrite to start again. The differences:",
                differences,
            )


def is_begun(folder: Path) -> bool:
    """Whether a fine-tuning is there, finished or to go on with."""
    return (folder / CHECKPOINT).is_file() or (folder / SCORES).is_file()


def check_is_ours(folder: Path, *, overwrite: bool) -> None:
    """Look at a folder that is to be written to, without changing it.

    Ours is what scores.json or checkpoint.pt show to be ours, other files beside them or not, and what holds nothing
    but files of our names, damaged as they may be. Raises RunMismatchError when it holds something else, or remains of
    a run that only `overwrite` can begin anew; StorageError when it cannot be read.
    """
    with translate_os_errors(folder):
        visible = (
            sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) if folder.exists() else []
        )
    scores = _scores_are_ours(folder / SCORES)
    if not visible or scores:
        return
    what = ", ".join(visible[:3])
    if scores is False or not {*visible} <= {CHECKPOINT, SCORES, PLOT, MODEL}:
        if scores is None and _is_our_checkpoint(folder / CHECKPOINT):
            return
        message = f"{folder} is not a folder of `train captioner`: it holds {what}; choose another with --out"
        raise RunMismatchError(message)
    # Of a damaged scores.json or checkpoint.pt, reading it says what is wrong.
    if not overwrite and not {CHECKPOINT, SCORES} & {*visible}:
        raise RunMismatchError(
            f"{folder} holds {what}, but neither {SCORES} nor {CHECKPOINT} to go on from; choose another with --out, "
            "or --overwrite starts again"
        )


def _scores_are_ours(path: Path) -> bool | None:
    """Say whether a scores.json is of a fine-tuning; None when there is none, or it is damaged."""
    if not path.exists():
        return None
    try:
        with translate_os_errors(path):
            content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return isinstance(content, dict) and content.get("kind") == KIND


def _is_our_checkpoint(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with translate_os_errors(path):
            # Mapped, not read: it may be gigabytes.
            return "made_from" in torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except NO_CHECKPOINT:
        return False


@contextlib.contextmanager
def tuning(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder, and clear up after a killed one; it is gone again if nothing was written."""
    with working_in(folder):
        remove(folder / _UNFINISHED_MODEL)
        yield


def _damaged(path: Path, error: Exception) -> RunMismatchError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return RunMismatchError(f"{path} cannot be read ({reason}); --overwrite starts again")
