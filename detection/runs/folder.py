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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from detection.detectors.settings import CARD
from detection.detectors.types import Detector
from detection.pages import PLOT_STYLE, to_png
from generator.foundation.errors import ModelNotFoundError, RunMismatchError, StorageError
from generator.foundation.history import History
from generator.foundation.run_folder import CLASSIFIER, DETECTOR_RUN, add_kind, kind_of
from generator.foundation.storage import (
    atomic_folder,
    read_json,
    remove,
    sha256_of,
    translate_os_errors,
    write_bytes,
    write_json,
)

RUN, DATA, CHECKPOINT, MODEL = "run.json", "data.csv", "checkpoint", "model"
LOSSES, PLOT, SCORES = "losses.csv", "loss.png", "scores.json"
MASK_SCORES, OVERLAYS = "mask_scores.json", "overlays.png"
# Steps that the drawn loss is averaged over: single batches hide the course behind their noise.
_WINDOWS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedPicture:
    """One row of data.csv: a picture, its SHA-256 in hex, and what it was used for."""

    role: str
    picture: str
    sha256: str


def begin_run(out: Path, about: Mapping[str, Any], used: Iterable[UsedPicture]) -> None:
    """Write run.json and data.csv, unless they are there. Raises StorageError."""
    if not (out / RUN).exists():
        DETECTOR_RUN.begin(out, about)
    if not (out / DATA).exists():
        write_bytes(out / DATA, _to_csv(used))


def finish_run(out: Path, detector: Detector, result: History, scores: Mapping[str, Any]) -> None:
    """Write the model, the losses and, last, scores.json. Raises StorageError."""
    with atomic_folder(out / MODEL) as folder:
        detector.save(folder)
    write_bytes(out / LOSSES, losses_csv(result))
    write_bytes(out / PLOT, draw_losses(result))
    write_json(out / SCORES, {"schema_version": DETECTOR_RUN.version, **scores})
    remove(out / CHECKPOINT)


def read_scores(out: Path) -> dict[str, Any]:
    """Read scores.json of a finished run. Raises RunMismatchError where its model is gone, StorageError."""
    if not (out / MODEL / CARD).is_file():
        raise RunMismatchError(f"{out / MODEL} is damaged: {CARD} is missing; --overwrite starts again")
    return read_json(out / SCORES)


def find_model(path: Path) -> Path:
    """The folder of the saved detector: `path` itself, or model/ of a finished run. Raises ModelNotFoundError."""
    for folder in (path / MODEL, path):
        if (folder / CARD).is_file() and kind_of(folder) != CLASSIFIER:
            return folder
    kind = kind_of(path)
    if kind == DETECTOR_RUN:
        does = "goes on with it" if DETECTOR_RUN.is_begun(path) else "starts it anew"
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


def losses_csv(result: History) -> bytes:
    """One row a step: its loss, and AP on the validation pictures where they were scored after it."""
    scored = dict(result.validations)
    rows = [
        f"{step},{loss:.6g},{scored[step]:.6g}" if step in scored else f"{step},{loss:.6g},"
        for step, loss in enumerate(result.losses, start=1)
    ]
    return "\n".join(["step,loss,validation_ap", *rows, ""]).encode()


def draw_losses(result: History) -> bytes:
    """Draw the loss over the steps, its running mean, and AP on the validation pictures, as a PNG file."""
    losses = np.array(result.losses)
    steps = np.arange(1, len(losses) + 1)
    window = max(1, len(losses) // _WINDOWS)
    with mpl.rc_context(PLOT_STYLE):
        figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
        axes = figure.subplots()
        axes.plot(steps, losses, color="C0", alpha=0.25, lw=0.8)
        mean = np.convolve(losses, np.ones(window) / window, mode="valid")
        label = f"loss, mean of {window} steps" if window > 1 else "loss"
        axes.plot(steps[window - 1 :], mean, color="C0", label=label)
        axes.set_xlabel("step")
        axes.set_ylabel("training loss")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        lines = axes.get_lines()[1:]
        if result.validations:
            right = axes.twinx()
            places, scores = zip(*result.validations, strict=True)
            right.plot(places, scores, marker=".", color="C1", label="validation AP")
            best = dict(result.validations)[result.best_step]
            right.plot([result.best_step], [best], "o", ms=10, mfc="none", color="black", label="kept weights")
            right.set_ylabel("AP 0.50:0.95 on validation pictures")
            right.set_ylim(0, 1)
            lines += right.get_lines()
        axes.legend(handles=lines)
        return to_png(figure)


def _to_csv(used: Iterable[UsedPicture]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("role", "picture", "sha256"))
    writer.writerows((item.role, item.picture, item.sha256) for item in used)
    return buffer.getvalue().encode("utf-8", errors="surrogateescape")
