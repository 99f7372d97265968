"""The folder of a detector's training: whose it is, how far it has come, and its results, each whole or absent.

run.json             what was asked for: detector, settings, seed, data with digests, what it was refined from; and the
                     command and machine it was begun with
data.csv             every picture that was trained or validated on, with its SHA-256, its starting run's included
checkpoint/          while it trains, to go on from; gone when finished
model/               the detector, as `Detector.save` writes it
losses.csv, loss.png loss of every step and AP on the validation pictures
scores.json          scores of the kept weights on the validation pictures; written last: finished
mask_scores.json, overlays.png   of a segmenter, see segmenter.py
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detection.detectors.model_folder import CARD
from detection.detectors.types import Detector, FitResult
from detection.runs.plot import draw_losses, losses_csv
from detection.work_folder import remove
from generator.dataset.identity import compare, read_json
from generator.foundation.errors import ModelNotFoundError, RunMismatchError, StorageError
from generator.foundation.folder_kinds import add_kind, kind_of
from generator.foundation.storage import sha256_of, translate_os_errors, write_bytes, write_json

SCHEMA_VERSION = 1
KIND = "boxpaint detector run"
RUN, DATA, CHECKPOINT, MODEL = "run.json", "data.csv", "checkpoint", "model"
LOSSES, PLOT, SCORES = "losses.csv", "loss.png", "scores.json"
MASK_SCORES, OVERLAYS = "mask_scores.json", "overlays.png"
# Not `.part`, which are files that any run removes.
_UNFINISHED_MODEL = ".model.unfinished"
# run.json is last: until it is gone, the folder is known as ours.
_ALL = (_UNFINISHED_MODEL, SCORES, MASK_SCORES, OVERLAYS, MODEL, CHECKPOINT, LOSSES, PLOT, DATA, RUN)
# How a training is stored and where its data lies, not what comes out of it.
_WITHOUT_EFFECT = {"path", "workers", "checkpoint_every", "download"}


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedPicture:
    """One row of data.csv: a picture, its SHA-256 in hex, and what it was used for."""

    role: str
    picture: str
    sha256: str


class RunFolder:
    """A folder for one training; `identity` is what another must agree in to go on with it, as run.json keeps it."""

    def __init__(self, path: Path, identity: Mapping[str, Any]):
        self.path = path
        self.identity: dict[str, Any] = json.loads(json.dumps(identity))  # as it is read back: no tuples

    @property
    def checkpoint(self) -> Path:
        """Folder for the detector's own checkpoint."""
        return self.path / CHECKPOINT

    def check(self, *, overwrite: bool) -> dict[str, Any] | None:
        """Look whose folder it is; returns scores.json when the same run is finished, None when it is not.

        Raises RunMismatchError when it holds something else, or another run and not `overwrite`; StorageError.
        """
        with translate_os_errors(self.path):
            names = {path.name for path in self.path.iterdir()} if self.path.exists() else set()
        visible = sorted(name for name in names if not name.startswith("."))
        if RUN not in names:
            # A kill may have come between the checkpoint's folder, still empty, and run.json.
            with translate_os_errors(self.checkpoint):
                if not visible or (visible == [CHECKPOINT] and not any(self.checkpoint.iterdir())):
                    return None
            raise RunMismatchError(self._not_ours(visible))
        try:
            before = read_json(self.path / RUN)
        except StorageError:
            if overwrite and {*visible} <= {*_ALL}:
                return None
            raise
        if before.get("kind") != KIND:
            raise RunMismatchError(self._not_ours(visible))
        if overwrite:
            return None
        differences = self._differences(before)
        if differences:
            raise RunMismatchError(
                f"{self.path} was started with other settings or data; use another --out, or --overwrite to start "
                "again. The differences:",
                differences,
            )
        if SCORES not in names:
            return None
        if not (self.path / MODEL / CARD).is_file():
            raise RunMismatchError(f"{self.path / MODEL} is damaged: {CARD} is missing; --overwrite starts again")
        return read_json(self.path / SCORES)

    def clear(self) -> None:
        """Remove what a run leaves; other files stay."""
        for name in _ALL:
            remove(self.path / name)

    def begin(self, about: Mapping[str, Any], used: Iterable[UsedPicture]) -> None:
        """Write data.csv and run.json, with `about` for people to read, unless they are there. Raises StorageError."""
        if not (self.path / RUN).exists():
            write_bytes(self.path / DATA, _to_csv(used))
            write_json(self.path / RUN, {"schema_version": SCHEMA_VERSION, "kind": KIND, **about, **self.identity})

    def finish(self, detector: Detector, result: FitResult, scores: Mapping[str, Any]) -> None:
        """Write the model, the losses and, last, scores.json. Raises StorageError."""
        part, place = self.path / _UNFINISHED_MODEL, self.path / MODEL
        remove(part)
        detector.save(part)
        remove(place)
        with translate_os_errors(place):
            part.rename(place)
        write_bytes(self.path / LOSSES, losses_csv(result))
        write_bytes(self.path / PLOT, draw_losses(result))
        write_json(self.path / SCORES, {"schema_version": SCHEMA_VERSION, **scores})
        self.remove_checkpoint()

    def remove_checkpoint(self) -> None:
        """Remove what only an unfinished run needs. Raises StorageError."""
        remove(self.checkpoint)

    def is_begun(self) -> bool:
        """Whether a step was trained."""
        return (self.path / RUN).exists()

    def _differences(self, before: Mapping[str, Any]) -> list[str]:
        version = before.get("schema_version")
        if version != SCHEMA_VERSION:
            return [f"another version of boxpaint wrote it (schema_version {version}, this one: {SCHEMA_VERSION})"]
        return [
            line
            for key, value in self.identity.items()
            for line in compare(key, _deciding(before.get(key)), _deciding(value))
        ]

    def _not_ours(self, visible: Iterable[str]) -> str:
        what = ", ".join([*visible][:3])
        return f"{self.path} is not the folder of a detector's training: it holds {what}; choose another with --out"


def is_begun(path: Path) -> bool:
    """Whether a training is there that the same command goes on with, or whose results it takes."""
    return (path / SCORES).is_file() or any((path / CHECKPOINT).glob("*.pt"))


def find_model(path: Path) -> Path:
    """The folder of the saved detector: `path` itself, or model/ of a finished run. Raises ModelNotFoundError."""
    for folder in (path / MODEL, path):
        if (folder / CARD).is_file() and kind_of(folder) != "boxpaint classifier":
            return folder
    kind = kind_of(path)
    if kind == KIND:
        does = "goes on with it" if is_begun(path) else "starts it anew"
        raise ModelNotFoundError(f"{path}: this training is unfinished; the command that began it {does}")
    found = "no trained detector is there" if path.exists() else "no trained detector is there, nor any such folder"
    advice = "; give the --out folder of `boxpaint train detector` or `train segmenter`" if kind is None else ""
    raise ModelNotFoundError(add_kind(f"{path}: {found}{advice}", path))


def run_of(path: Path) -> Path:
    """The run that a saved detector lies in, where it lies in one; else `path` itself."""
    folder = path.resolve()
    return folder.parent if folder.name == MODEL and (folder.parent / RUN).is_file() else path


def read_used(path: Path) -> list[UsedPicture]:
    """The pictures that a run, or those before it, trained or validated on; none for a folder without data.csv.

    `path` is the run's folder, or model/ in it. Raises StorageError.
    """
    file = run_of(path) / DATA
    if not file.is_file():
        return []
    with translate_os_errors(file):
        rows = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")))
    try:
        return [UsedPicture(role=row["role"], picture=row["picture"], sha256=row["sha256"]) for row in rows]
    except KeyError:
        raise StorageError(f"{file}: is damaged: role, picture and sha256 are needed in its first line") from None


def digests_of(path: Path) -> dict[str, str]:
    """Digests of a file, or of the files of a folder, by name; none where there is nothing. Raises StorageError."""
    with translate_os_errors(path):
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        return {file.name: f"sha256:{sha256_of(file)}" for file in files if file.is_file()}


def _to_csv(used: Iterable[UsedPicture]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("role", "picture", "sha256"))
    writer.writerows((item.role, item.picture, item.sha256) for item in used)
    return buffer.getvalue().encode("utf-8", errors="surrogateescape")


def _deciding(value: Any) -> Any:
    """What decides the numbers of a run."""
    if isinstance(value, dict):
        return {key: _deciding(item) for key, item in value.items() if key not in _WITHOUT_EFFECT}
    return [_deciding(item) for item in value] if isinstance(value, list) else value
