"""The run folder: what is where, what is finished, and to which spec it belongs.

run.json                 spec, config, seed and versions: a second run into the folder must agree with it
prompts/                 the prompt book: enriched.json, and captions.json where there were reference photos
plan.jsonl               every planned scene; of more than 10,000, as far as painting has come
images/000000.png        the pictures
records/000000.json      how each was made; written after its picture, so a record means a finished scene
annotations/             COCO, made from the records
audit.json audit.png     what probes found of where was painted, of a sample, and the most conspicuous places
review.json              what a person decided of single objects, see review.py; where there is any
README.md contact_sheet.jpg report.html
logs/timings.jsonl       seconds per stage; with report.html the only files that differ between equal runs
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from generator.dataset.provenance import encode_image, xmp_packet
from generator.dataset.record import SceneRecord, read_record, record_of
from generator.dataset.review import Review, read_review
from generator.foundation.errors import RunMismatchError
from generator.foundation.run_folder import PAINTED, list_differences
from generator.foundation.storage import (
    list_folder,
    make_folder,
    read_json,
    remove_leftovers,
    translate_os_errors,
    write_bytes,
)
from generator.foundation.version import __version__
from generator.plan import Plan, extend_plan
from generator.prompts.book import ENRICHED_FILE, PromptBook, read_book, write_book
from generator.types import Scene

_OWN_FOLDERS = ("images", "records", "annotations", "logs", "prompts")
# Of what painter and verifier say of themselves: with another of these, one data set would be of two makers.
_MODEL_KEYS = ("inpaint", "background", "vae", "clip", "detector")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A data set on disk, as `generate` returns it."""

    folder: Path
    num_scenes: int
    num_objects: int
    """Labels of painted objects."""
    complete: bool
    """False when the run was stopped before it had painted what was asked for."""
    problem: str
    """Why there is not one label, though objects were asked for; "" where there is one, or none was asked for."""
    num_real_objects: int = 0
    """Labels that photos brought along."""

    @property
    def images(self) -> Path:
        """Folder of the pictures."""
        return self.folder / "images"

    @property
    def annotations(self) -> Path:
        """COCO file of the training split; the validation split lies beside it."""
        return self.folder / "annotations" / "instances_train.json"

    @property
    def report(self) -> Path:
        """Page that shows the data set."""
        return self.folder / "report.html"


class RunFolder:
    """A run's folder, opened for one plan. Whether that holds the right prompt book is decided by `with_book`."""

    def __init__(self, folder: Path, plan: Plan, *, finished: set[int], stale: bool, review: Review | None = None):
        self.folder = folder
        self.plan = plan
        self.review = review or Review()
        self._finished = finished
        self._stale = stale
        self._planned = 0

    @classmethod
    def open(cls, folder: Path, plan: Plan, *, overwrite: bool = False) -> RunFolder:
        """Look at a run folder without changing it: is it ours, of this plan, and what of it is finished?

        Raises RunMismatchError when the folder holds another run, or files that are not ours; StorageError when it
        cannot be read.
        """
        before = PAINTED.read(folder, overwrite=overwrite)
        if before is None:
            return cls(folder, plan, finished=set(), stale=False)
        painted = (entry.name for name in ("images", "records") for entry in list_folder(folder / name))
        started = any(not name.startswith(".") for name in painted)
        differences = PAINTED.differences(before, _identity_of(plan))
        if differences and started and not overwrite:
            raise PAINTED.mismatch(folder, differences)
        if overwrite or differences:
            return cls(folder, plan, finished=set(), stale=True)
        run = cls(folder, plan, finished=set(), stale=False, review=read_review(folder, plan.spec.categories))
        run._finished = run._find_finished()
        return run

    def stored_book(self) -> PromptBook | None:
        """Read the book that the finished scenes were painted from; None when there is none to go on with."""
        path = self.folder / "prompts" / ENRICHED_FILE
        return None if self._stale or not path.is_file() else read_book(path, self.plan.spec)

    def with_book(self, book: PromptBook) -> RunFolder:
        """Return the folder for the same plan with prompts drawn from `book`.

        Raises RunMismatchError when the finished scenes were painted from other texts, or when an edited book in the
        folder would be lost.
        """
        stored = self.folder / "prompts" / ENRICHED_FILE
        before = self._book_digest()
        if self._finished and before != book.digest:
            raise RunMismatchError(
                f"{self.folder} was painted from another prompt book ({before} before, {book.digest} now): use another "
                f"--out, or start again with the book as it is now: --prompts {stored} --overwrite"
            )
        if self._stale and stored.is_file() and (lost := read_book(stored).digest) not in (before, book.digest):
            raise RunMismatchError(
                f"{stored} was edited ({lost}) after the scenes were painted ({before}), and would be replaced: paint "
                "from it with --prompts, or move it away"
            )
        plan = replace(self.plan, book=book)
        return RunFolder(self.folder, plan, finished=self._finished, stale=self._stale, review=self.review)

    def keep_book(self) -> None:
        """Lay down the book as soon as it is made, before models of several gigabytes are loaded.

        Not where another run is to be overwritten: that stays until painting begins.
        """
        if not self._stale and not self._finished:
            make_folder(self.folder)
            self._write_run({})
            self._write_book()

    def _book_digest(self) -> str | None:
        prompts = (PAINTED.read(self.folder, overwrite=True) or {}).get("prompts")
        return prompts.get("digest") if isinstance(prompts, dict) else None

    def _write_book(self) -> None:
        # Where scenes are finished, the book that is there says the same; reasons and scores may have been edited.
        if self.plan.book is not None and not (self._finished and (self.folder / "prompts" / ENRICHED_FILE).exists()):
            write_book(self.plan.book, self.folder / "prompts", overwrite=True)

    @property
    def finished(self) -> frozenset[int]:
        """Indices of the finished scenes; one with an object that was rejected in review is not."""
        return frozenset(self._finished)

    def begin(self, painter: Mapping[str, str]) -> list[str]:
        """Clear what is to be overwritten and lay down what is missing, run.json first.

        `painter` says with what is painted and verified. Raises RunMismatchError when other models made the finished
        scenes; returns what else differs from then.
        """
        if self._stale:
            # The book is replaced file by file: it may be the only copy of what somebody edited.
            PAINTED.clear(self.folder, keep=("prompts",))
            self._stale = False
        path = make_folder(self.folder) / "run.json"
        differences: list[str] = []
        if self._finished:
            before = read_json(path).get("painter", {})
            then, now = ({key: models.get(key) for key in _MODEL_KEYS} for models in (before, painter))
            others = list_differences(then, now)
            if others:
                raise RunMismatchError(
                    f"{self.folder} was made with other models; use another --out, or --overwrite to start again:",
                    others,
                )
            differences = list_differences(before, dict(painter), "painter")
        else:
            self._write_run(painter)
        for name in _OWN_FOLDERS:
            remove_leftovers(make_folder(self.folder / name))
        remove_leftovers(self.folder)
        self._write_book()
        manifest = self.folder / "plan.jsonl"
        if not self._finished:  # it may be of another book
            with translate_os_errors(manifest):
                manifest.unlink(missing_ok=True)
        self._planned = extend_plan(self.plan, manifest, until=max(self._finished, default=0))
        return differences

    def _write_run(self, painter: Mapping[str, str]) -> None:
        book = self.plan.book
        prompts = {"digest": book.digest, "models": book.enriched.models} if book else {}
        about = {"boxpaint": __version__, "spec_digest": self.plan.spec.digest}
        content = {**about, **_identity_of(self.plan), "painter": dict(painter), "prompts": prompts}
        PAINTED.begin(self.folder, content)

    def image_path(self, index: int) -> Path:
        """Where the picture of a scene lies."""
        return self.folder / "images" / f"{index:06d}.{self.plan.config.output.image_format}"

    def record_path(self, index: int) -> Path:
        """Where the record of a scene lies."""
        return self.folder / "records" / f"{index:06d}.json"

    def write_scene(self, scene: Scene, *, batch_size: int) -> None:
        """Write a picture, then its record. Raises StorageError; the scene then is not finished."""
        index = scene.plan.index
        objects = dict.fromkeys(item.placement.prompt for item in scene.objects if item.label)
        photo = scene.plan.photo
        prompts = "; ".join([scene.plan.prompt if photo is None else f"photo {photo.photo.name}", *objects])
        xmp = xmp_packet(tool=f"boxpaint {__version__}", description=prompts, in_photo=photo is not None)
        data = encode_image(scene.image, self.plan.config.output, xmp=xmp)
        path = self.image_path(index)
        write_bytes(path, data)
        record = record_of(scene, file_name=path.name, sha256=hashlib.sha256(data).hexdigest(), batch_size=batch_size)
        write_bytes(self.record_path(index), record.model_dump_json(indent=1).encode() + b"\n")
        self._finished.add(index)

    def note_finished(self, indices: Iterable[int]) -> None:
        """Count scenes as finished that another process has written, and go on with plan.jsonl. Raises StorageError."""
        new = set(indices)
        self._finished |= new
        if (last := max(new, default=0)) >= self._planned:
            self._planned = extend_plan(self.plan, self.folder / "plan.jsonl", until=last)

    def remove_annotations(self) -> None:
        """Take back annotations that should not be used. Raises StorageError."""
        for path in (self.folder / "annotations").glob("*.json"):
            with translate_os_errors(path):
                path.unlink()

    def records(self) -> Iterator[SceneRecord]:
        """Read the records of the finished scenes, in order, with what was decided in review."""
        scales = {row.name: row.label_scale for row in self.plan.spec.classes}
        return (self.review.applied(read_record(self.record_path(index)), scales) for index in sorted(self._finished))

    def log_timing(self, chunk: int, scenes: int, seconds: Mapping[str, float]) -> None:
        """Append one chunk's seconds per stage to the log."""
        line = {"chunk": chunk, "scenes": scenes, "seconds": {name: round(s, 3) for name, s in seconds.items()}}
        path = self.folder / "logs" / "timings.jsonl"
        with translate_os_errors(path), path.open("a+b") as stream:
            stream.seek(max(0, stream.tell() - 1))
            gap = b"" if stream.read(1) in (b"", b"\n") else b"\n"  # a kill cut the last line short
            stream.write(gap + json.dumps(line).encode() + b"\n")

    def read_timings(self) -> Iterator[dict[str, Any]]:
        """Read the timing log line by line; one that a kill cut short is passed over."""
        path = self.folder / "logs" / "timings.jsonl"
        if path.exists():
            with translate_os_errors(path), path.open("rb") as stream:
                yield from (json.loads(line) for line in stream if line.rstrip().endswith(b"}}"))

    def _find_finished(self) -> set[int]:
        suffix = f".{self.plan.config.output.image_format}"
        # A file without bytes is what a power cut leaves on some file systems.
        with translate_os_errors(self.folder):
            entries = list_folder(self.folder / "images")
            pictures = {_scene_of(entry.name, suffix) for entry in entries if entry.stat().st_size} - {None}
            finished = {
                index
                for entry in list_folder(self.folder / "records")
                if (index := _scene_of(entry.name, ".json")) is not None and index in pictures and entry.stat().st_size
            }
        reviewed = finished & self.review.rejected().keys()
        return finished - {index for index in reviewed if self.review.is_waiting(read_record(self.record_path(index)))}


def _identity_of(plan: Plan) -> dict[str, Any]:
    """What decides the scenes of a plan."""
    return {"spec": plan.spec.to_json(), "config": plan.config.identity()}


def _scene_of(name: str, suffix: str) -> int | None:
    """Scene of a file of ours: 7 of "000007.png"; None of any other file."""
    stem = name.removesuffix(suffix)
    if not stem.isdecimal():
        return None
    index = int(stem)
    return index if name == f"{index:06d}{suffix}" else None
