"""The folder that the studio works in: what lies there, and that no page reaches anything outside of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from boxpaint.folder_names import folder_name_fault
from generator.foundation.errors import BoxpaintError
from generator.foundation.folder_kinds import PAINTED, kind_of
from generator.foundation.storage import make_folder

Kind = Literal["data set", "detector", "classifier", "captioner", "experiment", "evaluation"]

_OWN = ".boxpaint"
_DEEPEST = 4
# Folders of ours that hold thousands of files, and none of the others.
_PASSED_OVER = {"images", "records", "annotations", "jobs", "models", "node_modules", "__pycache__", "checkpoint"}
# What pages call a kind of folder, and what is in one that they can use.
_KINDS: dict[str | None, tuple[Kind, str]] = {
    PAINTED: ("data set", "records"),
    "boxpaint detector run": ("detector", "model/model.json"),
    "boxpaint classifier comparison": ("classifier", "scores.json"),
    "boxpaint captioner": ("captioner", "model"),
    "boxpaint evaluation": ("evaluation", "scores.json"),
    "experiment": ("experiment", "summary.csv"),
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
            if self._stays_inside(folder) and (kind := _kind_of(folder)) in kinds
        ]
        return sorted(found, key=lambda each: each.name)

    def _stays_inside(self, folder: Path) -> bool:
        links = (path for path in folder.iterdir() if path.is_symlink())
        return all(path.resolve().is_relative_to(self.folder) for path in links)

    def _folders(self) -> Iterator[Path]:
        for path, names, _ in os.walk(self.folder):
            folder = Path(path)
            depth = len(folder.relative_to(self.folder).parts)
            names[:] = [name for name in names if not name.startswith(".") and name not in _PASSED_OVER]
            if depth >= _DEEPEST:
                names.clear()
            yield folder


def _kind_of(folder: Path) -> Kind | None:
    kind, needed = _KINDS.get(kind_of(folder), (None, ""))
    return kind if (folder / needed).exists() else None
