"""The run folder: what is where, what is finished, and to which spec it belongs.

run.json                 spec, config, seed and versions: a second run into the folder must agree with it
plan.jsonl               every planned scene
images/000000.png        the pictures
records/000000.json      how each was made; written after its picture, so a record means a finished scene
annotations/             COCO, made from the records
README.md contact_sheet.jpg report.html
logs/timings.jsonl       seconds per stage; with report.html the only files that differ between equal runs
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator.errors import RunMismatchError, StorageError
from generator.plan import Plan, write_plan
from generator.provenance import encode_image, xmp_packet
from generator.record import SceneRecord, read_record, record_of
from generator.storage import make_folder, remove_leftovers, translate_os_errors, write_bytes, write_json
from generator.types import Scene
from generator.version import __version__

RUN_SCHEMA_VERSION = 1
_OWN_FOLDERS = ("images", "records", "annotations", "logs")
_OWN_FILES = ("run.json", "plan.jsonl", "README.md", "contact_sheet.jpg", "report.html", ".lock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A data set on disk, as `generate` returns it."""

    folder: Path
    num_scenes: int
    num_objects: int
    complete: bool

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
    """A run's folder, opened for one plan."""

    def __init__(self, folder: Path, plan: Plan):
        self.folder = folder
        self.plan = plan
        self._finished: set[int] = set()

    @classmethod
    def open(cls, folder: Path, plan: Plan, *, overwrite: bool = False) -> RunFolder:
        """Open or begin a run folder and see what is finished.

        Raises RunMismatchError when the folder holds another run, or files that are not ours; StorageError when it
        cannot be written.
        """
        with translate_os_errors(folder):
            present = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
        run = cls(folder, plan)
        if "run.json" in present:
            run._finished = run._find_finished()
            if overwrite or not run._finished:
                run._clear()
                run._finished = set()
            elif differences := run._differences():
                raise RunMismatchError(
                    f"{folder} was started with another spec, config or seed; use another --out, or --overwrite to "
                    "start again. The differences:",
                    differences,
                )
        elif foreign := [name for name in present if name != ".lock"]:
            what = ", ".join(foreign[:3])
            raise RunMismatchError(f"{folder} is not a boxpaint run folder: it holds {what}; choose another with --out")
        return run

    def begin(self, painter: Mapping[str, str]) -> list[str]:
        """Lay down what the folder lacks, run.json first; returns how the painter differs from the one before."""
        path = make_folder(self.folder) / "run.json"
        differences: list[str] = []
        if path.exists():
            differences = _compare("painter", _read_json(path).get("painter", {}), dict(painter))
        else:
            write_json(path, {**self._identity(), "painter": dict(painter)})
        for name in _OWN_FOLDERS:
            remove_leftovers(make_folder(self.folder / name))
        remove_leftovers(self.folder)
        if not (self.folder / "plan.jsonl").exists():
            write_plan(self.plan, self.folder / "plan.jsonl")
        return differences

    @property
    def finished(self) -> frozenset[int]:
        """Indices of the finished scenes."""
        return frozenset(self._finished)

    def image_path(self, index: int) -> Path:
        """Where the picture of a scene lies."""
        return self.folder / "images" / f"{index:06d}.{self.plan.config.output.image_format}"

    def record_path(self, index: int) -> Path:
        """Where the record of a scene lies."""
        return self.folder / "records" / f"{index:06d}.json"

    def write_scene(self, scene: Scene) -> None:
        """Write a picture, then its record. Raises StorageError; the scene then is not finished."""
        index = scene.plan.index
        objects = dict.fromkeys(item.placement.prompt for item in scene.objects if item.label)
        prompts = "; ".join([scene.plan.prompt, *objects])
        xmp = xmp_packet(tool=f"boxpaint {__version__}", description=prompts)
        data = encode_image(scene.image, self.plan.config.output, xmp=xmp)
        path = self.image_path(index)
        write_bytes(path, data)
        record = record_of(scene, file_name=path.name, sha256=hashlib.sha256(data).hexdigest())
        write_bytes(self.record_path(index), record.model_dump_json(indent=1).encode() + b"\n")
        self._finished.add(index)

    def records(self) -> Iterator[SceneRecord]:
        """Read the records of the finished scenes, in order."""
        return (read_record(self.record_path(index)) for index in sorted(self._finished))

    def log_timing(self, chunk: int, scenes: int, seconds: Mapping[str, float]) -> None:
        """Append one chunk's seconds per stage to the log."""
        line = {"chunk": chunk, "scenes": scenes, "seconds": {name: round(s, 3) for name, s in seconds.items()}}
        path = self.folder / "logs" / "timings.jsonl"
        with translate_os_errors(path), path.open("a+b") as stream:
            stream.seek(max(0, stream.tell() - 1))
            gap = b"" if stream.read(1) in (b"", b"\n") else b"\n"  # a kill cut the last line short
            stream.write(gap + json.dumps(line).encode() + b"\n")

    def read_timings(self) -> list[dict[str, Any]]:
        """Lines of the timing log; one that a kill cut short is passed over."""
        path = self.folder / "logs" / "timings.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}}")]

    def _identity(self) -> dict[str, Any]:
        return {
            "schema_version": RUN_SCHEMA_VERSION,
            "boxpaint": __version__,
            "spec_digest": self.plan.spec.digest,
            "spec": json.loads(json.dumps(self.plan.spec.to_json())),
            "config": self.plan.config.identity(),
        }

    def _find_finished(self) -> set[int]:
        stems = [path.stem for path in (self.folder / "records").glob("*.json")]
        return {int(stem) for stem in stems if stem.isdecimal() and self.image_path(int(stem)).exists()}

    def _differences(self) -> list[str]:
        before, now = _read_json(self.folder / "run.json"), self._identity()
        differences: list[str] = []
        for key in ("spec", "config"):
            differences += _compare(key, before.get(key), now[key])
        return differences

    def _clear(self) -> None:
        for name in _OWN_FOLDERS:
            with translate_os_errors(self.folder / name):
                if (self.folder / name).exists():
                    shutil.rmtree(self.folder / name)
        for name in _OWN_FILES:
            if name != ".lock":
                with translate_os_errors(self.folder / name):
                    (self.folder / name).unlink(missing_ok=True)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except ValueError:
        raise StorageError(f"{path}: is damaged (not JSON); use another --out, or --overwrite to start again") from None
    if not isinstance(data, dict):
        raise StorageError(f"{path}: is damaged; use another --out, or --overwrite to start again")
    return data


def _compare(where: str, before: Any, now: Any) -> list[str]:
    """One line for each leaf that differs."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*before, *now])
        return [line for key in keys for line in _compare(f"{where}.{key}", before.get(key), now.get(key))]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True), start=1)
        return [line for number, (old, new) in pairs for line in _compare(f"{where}[{number}]", old, new)]
    return [] if before == now else [f"{where}: {_short(before)} before, {_short(now)} now"]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
