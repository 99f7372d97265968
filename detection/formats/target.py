"""What every writer is given beside the pictures: where to write, how pictures get there, and whom to tell."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from detection.datasets.picture_set import Picture, PictureSet
from generator.foundation.storage import translate_os_errors

OnPicture = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How to export.

    `min_score`: labels of which a second model was less sure go. `classes`: only these, in this order (none: all).
    `max_images`: so many pictures, evenly spread over splits and set; `balanced`: chosen so that the classes are as
    even as they can be. `copy`: no hard links. `margin`: of crops, as a share of the box's sides, on each side.
    `shard_size`: pictures in a tar file.
    """

    min_score: float | None = None
    classes: tuple[str, ...] = ()
    max_images: int | None = None
    balanced: bool = False
    seed: int = 0
    copy: bool = False
    overwrite: bool = False
    margin: float = 0.0
    shard_size: int = 1000


class Target:
    """The folder of one export while it is written; counts what became of the pictures.

    `on_picture` is told (pictures done, pictures in all).
    """

    def __init__(self, folder: Path, options: ExportOptions, *, total: int = 0, on_picture: OnPicture | None = None):
        self.folder = folder
        self.options = options
        self.notes: list[str] = []
        self.linked = self.copied = 0
        self._done, self._total = 0, total
        self._on_picture = on_picture
        self._made: set[Path] = set()

    def track(self, pictures: Iterable[Picture]) -> Iterator[Picture]:
        """Go through pictures, and tell when one is done."""
        for picture in pictures:
            yield picture
            self._done += 1
            if self._on_picture is not None:
                self._on_picture(self._done, self._total)

    def link(self, picture: Picture, place: str) -> None:
        """Put a picture's file at `place`: as a hard link where that is possible, else as a copy. Raises StorageError.

        A link takes no space, and is the same file: what writes into it changes the data set, too.
        """
        path = self._ready(place)
        # A link to a symbolic link would point to nothing from another folder.
        source = picture.path.resolve()
        with translate_os_errors(path):
            if not self.options.copy:
                try:
                    os.link(source, path)
                    self.linked += 1
                    return
                except FileExistsError:
                    raise
                except OSError:  # the file system has no links, or lies elsewhere
                    pass
            shutil.copyfile(source, path)
        self.copied += 1

    def write(self, place: str, data: bytes) -> None:
        """Write a file to `place`; the folder as a whole appears at the end. Raises StorageError."""
        path = self._ready(place)
        with translate_os_errors(path):
            path.write_bytes(data)

    def _ready(self, place: str) -> Path:
        path = self.folder / place
        if path.parent not in self._made:
            with translate_os_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(path.parent)
        return path


class Writer(NamedTuple):
    """How a format is written.

    `write` fills the folder; `opening` is how to read it in Python ({split}, {stem}, {folder} are put in). `needs`: a
    data set without any cannot be written so. `front_matter` begins the card.
    """

    write: Callable[[PictureSet, Target], None]
    opening: str
    needs: Literal["pictures", "objects", "masks"] = "pictures"
    with_captions: bool = False
    front_matter: Callable[[PictureSet], str] | None = None
