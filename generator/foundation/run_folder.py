"""Folders that commands write: of which kind one is, whose it is, and how a run begins, goes on, ends or is replaced.

KINDS describes every folder. A marker, a JSON file, says of which kind a folder is. It is written first and removed
last, and without it nothing is removed: a user's own file may have one of our names.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from generator.foundation.errors import BoxpaintError, RunMismatchError, StorageError
from generator.foundation.storage import (
    list_folder,
    make_folder,
    read_json,
    remove,
    remove_leftovers,
    translate_os_errors,
    write_json,
)

_LOCK = ".lock"
_NEW = ".new.part"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderKind:
    """A kind of folder; `what` and `use` tell people what it is and what it is good for.

    Inside `working_in`, a command that can resume calls `check` with its identity, then `begin`; one that writes its
    results anew calls `make_room`. Results that must appear all at once are written in `replaced`, which enters
    `working_in` itself.
    """

    name: str
    what: str
    use: str
    marker: str
    keys: frozenset[str] = frozenset()
    """What the marker must hold where it does not hold `name` as its "kind"."""
    version: int | None = None
    """schema_version of the marker; runs of two versions differ."""
    names: tuple[str, ...] | None = ()
    """Files and folders beside the marker that are ours to remove; None: all that is there."""
    last: str = ""
    """Written last: with it, the run is finished."""
    kept: tuple[str, ...] = ()
    """Patterns of what the same command goes on with, or takes as its results."""
    free: frozenset[str] = frozenset()
    """Keys of an identity, at any depth, in which runs may differ: where things lie, not what comes out."""

    @property
    def head(self) -> dict[str, Any]:
        """What the marker begins with."""
        version = {} if self.version is None else {"schema_version": self.version}
        return version if self.keys else {**version, "kind": self.name}

    def fits(self, content: Mapping[str, Any]) -> bool:
        """Whether a marker holds what one of this kind does."""
        return content.keys() >= self.keys if self.keys else content.get("kind") == self.name

    def is_begun(self, folder: Path) -> bool:
        """Whether something is there that the same command goes on with, or takes as its results."""
        return any(any(folder.glob(pattern)) for pattern in self.kept)

    def is_finished(self, folder: Path) -> bool:
        """Whether the file that is written last is there."""
        return self.last != "" and (folder / self.last).exists()

    def read(self, folder: Path, *, overwrite: bool = False) -> dict[str, Any] | None:
        """Read the marker; None where nothing is there, {} where it is damaged and may be overwritten.

        Raises RunMismatchError where the folder holds something else, StorageError where it cannot be read.
        """
        visible = self._visible(folder)
        if not visible:
            return None
        content: dict[str, Any] = {}
        if self.marker in visible:
            try:
                content = read_json(folder / self.marker)
            except StorageError:
                if not overwrite:
                    raise
                if self.names is not None and visible <= {self.marker, *self.names}:
                    return {}
        if self.marker not in visible or not self.fits(content):
            what = ", ".join(sorted(visible)[:3])
            raise RunMismatchError(f"{folder} is not {self.what}: it holds {what}; choose another with --out")
        return content

    def check(self, folder: Path, identity: Mapping[str, Any], *, overwrite: bool = False) -> bool:
        """Look whether a run may begin or go on in a folder; returns whether the same run has finished there.

        Raises RunMismatchError where the folder holds something else, or a run of another identity and not
        `overwrite`; StorageError.
        """
        before = self.read(folder, overwrite=overwrite)
        if before is None or overwrite:
            return False
        if lines := self.differences(before, identity):
            raise self.mismatch(folder, lines)
        return self.is_finished(folder)

    def differences(self, before: Mapping[str, Any], identity: Mapping[str, Any]) -> list[str]:
        """Say where an identity differs from what a marker holds, a line for each place."""
        if self.version is not None and (version := before.get("schema_version")) != self.version:
            return [f"another version of boxpaint wrote it (schema_version {version}, this one writes {self.version})"]
        now = json.loads(json.dumps(identity))  # tuples become lists, as they are read back
        then = {key: before.get(key) for key in now}
        return list_differences(self._deciding(then), self._deciding(now))

    def mismatch(self, folder: Path, differences: list[str]) -> RunMismatchError:
        """What is raised where a run of another identity is there."""
        return RunMismatchError(
            f"{folder} was started with other settings or data; use another --out, or --overwrite to start again. "
            "The differences:",
            differences,
        )

    def begin(self, folder: Path, content: Mapping[str, Any]) -> None:
        """Write the marker: the folder is ours from now on. Raises StorageError."""
        write_json(make_folder(folder) / self.marker, {**self.head, **content})

    def clear(self, folder: Path, *, keep: Collection[str] = ()) -> None:
        """Remove what is ours but `keep`, the marker last; other files stay. Raises StorageError."""
        for name in self._visible(folder) if self.names is None else self.names:
            if name != self.marker and name not in keep:
                remove(folder / name)
        remove(folder / self.marker)

    def check_free(self, folder: Path, *, overwrite: bool) -> None:
        """Look whether results may be written anew to a folder.

        Raises RunMismatchError where it holds something else, or finished results and not `overwrite`; StorageError.
        """
        self.read(folder, overwrite=overwrite)
        if self.is_finished(folder) and not overwrite:
            raise RunMismatchError(
                f"{folder} holds {self.what} already; use another --out, or --overwrite to replace it"
            )

    def make_room(self, folder: Path, *, overwrite: bool) -> None:
        """Remove earlier results, of a run that was killed too. Raises what `check_free` does."""
        self.check_free(folder, overwrite=overwrite)
        self.clear(folder)

    @contextlib.contextmanager
    def replaced(self, folder: Path, *, overwrite: bool) -> Iterator[Path]:
        """Give a folder to fill; at the end of the block all in it moves to `folder`, in place of earlier results.

        When the block fails, `folder` is as it was. Raises what `check_free` does.
        """
        with working_in(folder):
            self.check_free(folder, overwrite=overwrite)
            remove(folder / _NEW)
            new = make_folder(folder / _NEW)
            try:
                yield new
                self.clear(folder)
                with translate_os_errors(folder):
                    names = sorted(path.name for path in new.iterdir()) if self.names is None else self.names
                    for name in dict.fromkeys((self.marker, *names)):
                        (new / name).replace(folder / name)
                remove(folder / _LOCK)  # such a folder is handed on to others
            finally:
                shutil.rmtree(new, ignore_errors=True)

    def _visible(self, folder: Path) -> set[str]:
        """Names in a folder but hidden ones, and our folders that a kill left empty."""
        with translate_os_errors(folder):
            entries = os.scandir(folder) if folder.exists() else ()
            return {
                entry.name
                for entry in entries
                if not entry.name.startswith(".")
                and (entry.name not in (self.names or ()) or not entry.is_dir() or any(list_folder(Path(entry))))
            }

    def _deciding(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._deciding(item) for key, item in value.items() if key not in self.free}
        return [self._deciding(item) for item in value] if isinstance(value, list) else value


PAINTED = FolderKind(
    name="painted data set",
    what="a painted data set",
    use="boxpaint validate, audit, review, calibrate, export and merge take it, and boxpaint train as --synthetic",
    marker="run.json",
    keys=frozenset({"schema_version", "spec_digest", "config"}),
    version=2,
    names=(
        *("images", "records", "annotations", "logs", "prompts"),
        *("report.html", "contact_sheet.jpg", "README.md", "audit.png", "audit.json", "review.json", "plan.jsonl"),
    ),
    kept=("records/*.json", "prompts/*.json"),
    free=frozenset({"bundle"}),  # the settings that it brings, and the weights, are compared
)
IMPORTED = FolderKind(
    name="imported data set",
    what="an imported data set",
    use="boxpaint validate, export and merge take it, boxpaint train and calibrate as --real, refine as --data",
    marker="import.json",
    keys=frozenset({"format", "splits_are"}),
    names=("images", "annotations"),  # what has annotations is whole
    last="import.json",
)
PROMPT_BOOK = FolderKind(
    name="prompt book",
    what="a prompt book",
    use="boxpaint generate takes it as --prompts",
    marker="enriched.json",
    keys=frozenset({"models", "rows"}),
)
EXPERIMENT = FolderKind(
    name="experiment",
    what="an experiment",
    use="its proof is card.md; with keep_models: true its detectors lie in jobs/*/model",
    marker="experiment.json",
    keys=frozenset({"real", "categories"}),
    names=(
        *("real", "painted", "photos", "painters", "scenarios", "paintings", "jobs"),
        *("card.md", "card.csv", "summary.csv", "card.png", "failures.jpg"),
    ),
    last="summary.csv",
    kept=("*/",),
)
DETECTOR_RUN = FolderKind(
    name="boxpaint detector run",
    what="a training of a detector or segmenter",
    use="boxpaint predict, evaluate and segment take it, boxpaint annotate and refine detector as --from",
    marker="run.json",
    version=1,
    names=(
        *("scores.json", "mask_scores.json", "overlays.png", "model", "checkpoint"),
        *("losses.csv", "loss.png", "data.csv"),
    ),
    last="scores.json",
    kept=("scores.json", "checkpoint/*.pt"),
    free=frozenset({"path", "workers", "checkpoint_every", "download"}),
)
DETECTOR = FolderKind(
    name="boxpaint detector",
    what="a saved detector",
    use=DETECTOR_RUN.use,
    marker="model.json",
)
CLASSIFIERS = FolderKind(
    name="boxpaint classifier comparison",
    what="a training of classifiers",
    use="its scores are in report.html, and boxpaint app shows photos through its models",
    marker="run.json",
    version=1,
    names=(
        *("models", "predictions.csv", "scores.json", "report.html", "report.md"),
        *("confusion.png", "curves.png", "gains.png", "grad_cam_original.png", "grad_cam_augmented.png"),
    ),
    last="scores.json",
    kept=("models/*/checkpoint.pt", "models/*/history.json"),
)
CLASSIFIER = FolderKind(
    name="boxpaint classifier",
    what="a saved classifier",
    use="boxpaint app shows photos through it",
    marker="model.json",
)
CAPTIONER = FolderKind(
    name="boxpaint captioner",
    what="a training of a captioner",
    use="its model/ goes into a config as models.captioner.folder",
    marker="scores.json",
    version=1,
    names=("model", "loss.png", "checkpoint.pt"),
    last="model",
    kept=("model", "checkpoint.pt"),
)
PAINTER = FolderKind(
    name="boxpaint painter",
    what="a training of a painter",
    use="it goes into a config as bundle, and boxpaint init takes it as --bundle",
    marker="run.json",
    version=1,
    names=(
        *("inpaint", "background", "clip", "bundle.yaml", "samples.png", "nearest.png", "numbers.json", "parts.json"),
        *(f"{part}.checkpoint.pt" for part in ("vae", "unet", "clip", "inpaint", "background")),
    ),
    last="numbers.json",
    kept=("numbers.json", "parts.json", "*.checkpoint.pt"),
)
EVALUATION = FolderKind(
    name="boxpaint evaluation",
    what="the result of boxpaint evaluate",
    use="look at report.html",
    marker="scores.json",
    version=1,
    names=("pr_curves.png", "report.html"),
    last="report.html",
)
PREDICTION = FolderKind(
    name="boxpaint prediction",
    what="the result of boxpaint predict",
    use="look at drawn/",
    marker="predict.json",
    names=("drawn", "pictures.json", "detections.json"),
    last="detections.json",
)
SEGMENTATION = FolderKind(
    name="boxpaint segmentation",
    what="the result of boxpaint segment",
    use="look at index.html",
    marker="segment.json",
    names=(
        *("overlays", "instances", "semantic", "overlays.png", "index.html", "mask_scores.json", "pictures.json"),
        "instances.json",
    ),
    last="instances.json",
)
EXPORT = FolderKind(
    name="boxpaint export",
    what="an export",
    use="its README.md says what opens it, and boxpaint import reads what holds boxes",
    marker="export.json",
    names=None,
    last="export.json",
)
KINDS = (
    *(PAINTED, IMPORTED, PROMPT_BOOK, EXPERIMENT, DETECTOR_RUN, DETECTOR, CLASSIFIERS, CLASSIFIER, CAPTIONER),
    *(PAINTER, EVALUATION, PREDICTION, SEGMENTATION, EXPORT),
)


def kind_of(folder: Path) -> FolderKind | None:
    """The kind of a folder; None where it is none of ours."""
    markers: dict[str, dict[str, Any]] = {}
    for marker in dict.fromkeys(kind.marker for kind in KINDS):
        with contextlib.suppress(OSError, StorageError):
            markers[marker] = read_json(folder / marker)
    return next((kind for kind in KINDS if kind.marker in markers and kind.fits(markers[kind.marker])), None)


def add_kind(message: str, folder: Path) -> str:
    """A message about a folder, and what that is instead, where it is known.

    >>> add_kind("no detector is there", Path("runs/classifier"))  # doctest: +SKIP
    'no detector is there; it is a training of classifiers: its scores are in report.html, and boxpaint app shows ...'
    """
    kind = kind_of(folder)
    return message if kind is None else f"{message}; it is {kind.what}: {kind.use}"


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Make a folder, keep other runs out of it, and clear up after a killed one where it is ours.

    If nothing was written, it is as it was. Raises StorageError when another run is there.
    """
    with translate_os_errors(folder):
        before = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    lock = FileLock(make_folder(folder) / _LOCK)
    with translate_os_errors(folder):
        try:
            lock.acquire(timeout=0)
        except Timeout:  # an OSError, too
            if getattr(multiprocessing.current_process(), "_inheriting", False):
                raise BoxpaintError(
                    "a process of this run imports your script, which calls boxpaint again: put the calls below "
                    "if __name__ == '__main__'"
                ) from None
            message = f"{folder}: another boxpaint run is writing there; wait for it or choose another --out"
            raise StorageError(message) from None
    try:
        if all(name.startswith(".") for name in before) or kind_of(folder) is not None:
            remove_leftovers(folder)
        yield
    finally:
        # While the lock is held: another run's folder must not go.
        written = {path.name for path in folder.iterdir()} - {_LOCK}
        if not written or (written == before and _LOCK not in before):
            with contextlib.suppress(OSError):
                (folder / _LOCK).unlink(missing_ok=True)
                if not written:
                    folder.rmdir()
        lock.release()


def check_outside(folder: Path, *sources: Path) -> None:
    """Raise RunMismatchError where something that is to be read lies in the folder that is to be written to."""
    for source in sources:
        if source.resolve().is_relative_to(folder.resolve()):
            message = f"{folder}: what is to be read lies in this folder ({source}); choose another with --out"
            raise RunMismatchError(message)


def list_differences(before: Any, now: Any, where: str = "") -> list[str]:
    """One line for each leaf of two JSON values that differs.

    >>> list_differences({"seed": 0, "sizes": [8, 16]}, {"seed": 1, "sizes": [8]})
    ['seed: 0 before, 1 now', 'sizes[2]: 16 before, nothing now']
    """
    if isinstance(before, dict) and isinstance(now, dict):
        parts = {key: f"{where}.{key}" if where else key for key in (*before, *now)}
        return [line for key, part in parts.items() for line in list_differences(before.get(key), now.get(key), part)]
    if isinstance(before, list) and isinstance(now, list):
        pairs = enumerate(zip_longest(before, now), start=1)
        return [line for number, (old, new) in pairs for line in list_differences(old, new, f"{where}[{number}]")]
    return [] if before == now else [f"{where}: {_short(before)} before, {_short(now)} now"]


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
