"""The folder that the studio works in: what lies there, and that no page reaches anything outside of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from boxpaint.scenarios import folder_name_fault
from generator.foundation.errors import BoxpaintError
from generator.foundation.run_folder import (
    CAPTIONER,
    CLASSIFIERS,
    DETECTOR_RUN,
    EVALUATION,
    EXPERIMENT,
    KINDS,
    PAINTED,
    PAINTER,
    kind_of,
)
from generator.foundation.storage import make_folder

Kind = Literal["data set", "detector", "classifier", "captioner", "painter", "experiment", "evaluation"]

_OWN = ".boxpaint"
_DEEPEST = 4
# Folders of ours that hold thousands of files, and none of the others.
_PASSED_OVER = {"images", "records", "annotations", "jobs", "models", "node_modules", "__pycache__", "checkpoint"}
# Files by which kinds are told may be somebody else's: a larger one is not read.
_MARKERS, _MOST_READ_BYTES = {kind.marker for kind in KINDS}, 5_000_000
# What pages call a kind of folder, and what is in one that they can use.
_KINDS: dict[str, tuple[Kind, str]] = {
    PAINTED.name: ("data set", "records"),
    DETECTOR_RUN.name: ("detector", "model/model.json"),
    CLASSIFIERS.name: ("classifier", "scores.json"),
    CAPTIONER.name: ("captioner", "model"),
    PAINTER.name: ("painter", "numbers.json"),
    EXPERIMENT.name: ("experiment", "summary.csv"),
    EVALUATION.name: ("evaluation", "scores.json"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A folder of the workspace that boxpaint made; `name` is its path from the workspace, "." for that itself."""

    kind: Kind
    name: str
    folder: Path


class Workspace:
    """A folder; every path of a page goes through `inside`."""

    def __init__(self, folder: Path):
        self.folder = folder.resolve()

    def inside(self, *parts: str | Path) -> Path:
        """Join parts to a path in the workspace. Raises BoxpaintError when that, links followed, lies outside."""
        path = self.folder.joinpath(*parts).resolve()
        if not path.is_relative_to(self.folder):
            raise BoxpaintError(f"{'/'.join(map(str, parts))}: lies outside of {self.folder}, and is not opened")
        return path

    def new_folder(self, name: str) -> Path:
        """The path of a folder of this name, directly in the workspace. Raises BoxpaintError for any other name."""
        name = name.strip()
        if fault := folder_name_fault(name):
            raise BoxpaintError(f"found {name!r}; {fault}")
        return self.inside(name)

    def own_folder(self) -> Path:
        """Where the studio keeps what it has begun."""
        return make_folder(self.inside(_OWN))

    def find(self, *kinds: Kind) -> list[Found]:
        """Everything of some kinds, by name; no link is followed, and what holds one that leads outside is left out."""
        found = [
            Found(kind=kind, name=str(folder.relative_to(self.folder)), folder=folder)
            for folder in self._folders()
            if self._is_sound(folder) and (kind := _kind_of(folder)) in kinds
        ]
        return sorted(found, key=lambda each: each.name)

    def _is_sound(self, folder: Path) -> bool:
        for path in folder.iterdir():
            if path.is_symlink() and not path.resolve().is_relative_to(self.folder):
                return False
            if path.name in _MARKERS and path.is_file() and path.stat().st_size > _MOST_READ_BYTES:
                return False
        return True

    def _folders(self) -> Iterator[Path]:
        for path, names, _ in os.walk(self.folder):
            folder = Path(path)
            depth = len(folder.relative_to(self.folder).parts)
            names[:] = [name for name in names if not name.startswith(".") and name not in _PASSED_OVER]
            if depth >= _DEEPEST:
                names.clear()
            yield folder


def _kind_of(folder: Path) -> Kind | None:
    made = kind_of(folder)
    if made is None or made.name not in _KINDS:
        return None
    kind, needed = _KINDS[made.name]
    return kind if (folder / needed).exists() else None
