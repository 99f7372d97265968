"""The pictures of a folder, found by the names that caption tables give them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from generator.foundation.errors import DatasetError, Fault
from generator.spec.references import SUFFIXES

# Flickr8k.token.txt numbers the captions of a picture: 1000268201_693b08cb0e.jpg#0
_CAPTION_NUMBER = re.compile(r"#\d+$")


def names_a_picture_file(cell: str) -> bool:
    """Say whether a cell looks like the name of a picture file, there or not: `a.jpg`, `x/b.PNG#3`."""
    return PurePosixPath(_CAPTION_NUMBER.sub("", cell.strip())).suffix.lower() in SUFFIXES


class PictureNames:
    """An index of the pictures below `folder`. Raises DatasetError when there is no folder, or none in it.

    A table may name a picture by its path below the folder, by a longer path, by its bare name, without its suffix or
    with another one, in other case, or with `#` and the number of a caption behind it. The most literal meaning wins.
    """

    def __init__(self, folder: Path):
        if not folder.is_dir():
            what = "this is a file, not a folder" if folder.exists() else "there is no such folder"
            message = f"{what}; --images is the folder that holds the pictures of the table"
            raise DatasetError([Fault(file=str(folder), expected=message)])
        self.folder = folder
        self.paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not self.paths:
            message = f"the folder holds no pictures ({', '.join(SUFFIXES)}); --images is the folder that does"
            raise DatasetError([Fault(file=str(folder), expected=message)])
        self._found: dict[str, Path | str] = {}
        # (kind of name, name) -> picture; None where several have it
        self._index: dict[tuple[str, str], Path | None] = {}
        for path in self.paths:
            place = path.relative_to(folder)
            for key in (("path", place.as_posix()), ("name", path.name), ("stem", path.stem)):
                for kind, name in (key, (f"any case {key[0]}", key[1].casefold())):
                    self._index[kind, name] = path if self._index.get((kind, name), path) == path else None

    def find(self, cell: str) -> Path | str:
        """Find the picture that a cell names; text says why there is none."""
        if cell not in self._found:
            self._found[cell] = self._look_up(cell)
        return self._found[cell]

    def _look_up(self, cell: str) -> Path | str:
        reason = f"there is no such picture in {self.folder}"
        for key in _meanings(cell):
            path = self._index.get(key, reason)
            if isinstance(path, Path):
                return path
            if path is None:
                reason = f"several pictures in {self.folder} have this name; give the path below it"
        return reason


def _meanings(cell: str) -> Iterator[tuple[str, str]]:
    """Keys of the index that a cell may mean, the most literal first."""
    whole = cell.strip().replace("\\", "/")
    for text in dict.fromkeys((whole, _CAPTION_NUMBER.sub("", whole))):
        parts = text.split("/")
        name = parts[-1]
        if not name:
            continue
        stem = name[: -len(PurePosixPath(name).suffix)] if names_a_picture_file(name) else name
        for prefix in ("", "any case "):
            for kind, value in (
                *(("path", "/".join(parts[start:])) for start in range(len(parts))),
                ("name", name),
                ("stem", stem),
            ):
                yield prefix + kind, value.casefold() if prefix else value
