"""The files of a source: walked once, read where they lie, pictures found by the names that annotations give them.

A tar file is taken for a folder, too: `shards/0.tar/a.jpg` is what lies in it; nothing is unpacked.
"""

from __future__ import annotations

import os
import tarfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from detection.datasets.names import portable_path, split_of_folders
from detection.formats.matching import Match, PictureNames, is_picture
from detection.formats.raw import Cases, RawPicture, RawSet
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.storage import translate_os_errors
from generator.foundation.text import NotTextError, as_utf8, decode_text

TAR_SUFFIX = ".tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Where the bytes of a file are in its archive."""

    archive: Path
    offset: int
    size: int

    def read(self) -> bytes:
        """Read it; several threads may. Raises OSError."""
        with self.archive.open("rb") as stream:
            stream.seek(self.offset)
            return stream.read(self.size)


def members_of(archive: Path) -> dict[PurePosixPath, Member]:
    """List the files of a tar archive that is not compressed; none where it is something else, or torn.

    Of a name that comes twice the later file counts, as tar itself has it. Raises OSError.
    """
    found: dict[PurePosixPath, Member] = {}
    try:
        with tarfile.open(archive, "r:") as tar:
            for item in tar:
                path = portable_path(item.name)
                if item.isreg() and not any(part.startswith(".") for part in path.parts):
                    found[path] = Member(archive=archive, offset=item.offset_data, size=item.size)
    except tarfile.TarError:
        return {}
    return found


# Masks have the names of their pictures; archives made on a Mac hold a twin of every file.
_MASK_FOLDERS = ("segmentationclass", "segmentationobject", "masks", "mask")
_JUNK_FOLDERS = ("__MACOSX",)
# As git-annex and DVC leave them where the data was not fetched.
NOWHERE = "a link that leads nowhere"


class SourceFiles:
    """Files below a folder, as paths relative to it, in the order of their names. Hidden files are left out."""

    def __init__(
        self,
        root: Path,
        files: Iterable[PurePosixPath],
        *,
        only: PurePosixPath | None = None,
        members: Mapping[PurePosixPath, Member] | None = None,
        columns: Mapping[str, str] | None = None,
        strays: Sequence[PurePosixPath] = (),
    ):
        """`only`: the one annotation file to be read, and `columns` of CSV files (key -> column), where the user named
        them; `members`: what lies in tar files. `strays` lie there and are no files.
        """
        self.root = root
        self.only = only
        self.columns = columns or {}
        self.strays = strays
        self._members = members or {}
        self.files = tuple(sorted([*files, *self._members]))
        self.masks = tuple(path for path in self.files if is_picture(path) and _is_mask(path))
        self.pictures = tuple(path for path in self.files if is_picture(path) and not _is_mask(path))
        self._names = PictureNames(self.pictures, self.files)

    @classmethod
    def open(cls, source: Path, *, skip: Path | None = None, columns: Mapping[str, str] | None = None) -> SourceFiles:
        """Walk a folder, or the folder of one annotation file; `skip` is not looked into.

        Raises DatasetError when there is nothing.
        """
        if not source.exists():
            raise DatasetError([Fault(file=str(source), expected="there is no such file or folder")])
        root = source if source.is_dir() else source.parent
        with translate_os_errors(root):
            found = {PurePosixPath(path.relative_to(root).as_posix()): path.is_file() for path in _walk(root, skip)}
            files = [path for path, is_file in found.items() if is_file]
            members = {
                path / inside: member
                for path in files
                if path.suffix.lower() == TAR_SUFFIX
                for inside, member in members_of(root / path).items()
            }
        strays = sorted(path for path, is_file in found.items() if not is_file)
        if not files:
            expected = f"this folder holds nothing but {len(strays)} x {NOWHERE}" if strays else "this folder is empty"
            raise DatasetError([Fault(file=str(source), expected=expected)])
        only = None if source.is_dir() else PurePosixPath(source.name)
        return cls(root, files, only=only, members=members, columns=columns, strays=strays)

    def with_suffix(self, *suffixes: str) -> list[PurePosixPath]:
        """List the files that end so; where the user named one file, only that."""
        asked = (self.only,) if self.only is not None else self.files
        return [path for path in asked if path.suffix.lower() in suffixes]

    def read_bytes(self, path: PurePosixPath) -> bytes:
        """Read a file of the source; text in UTF-16 or UTF-32 comes in UTF-8. Raises StorageError."""
        with translate_os_errors(self.root / path):
            return as_utf8(self._read(path))

    def read_text(self, path: PurePosixPath, *, errors: str = "strict") -> str:
        """Read a text file of the source, `errors` as in decode_text. Raises DatasetError for another encoding."""
        try:
            return decode_text(self.read_bytes(path), errors=errors)
        except NotTextError as error:
            raise DatasetError([error.fault(str(self.root / path))]) from None

    def read_picture(self, path: PurePosixPath) -> bytes:
        """Read a picture of the source; raises ValueError with the reason, as for one that is damaged."""
        try:
            return self._read(path)
        except OSError as error:
            raise ValueError(error.strerror or str(error)) from None

    def find_named(self, name: str, near: PurePosixPath) -> Match:
        """Find the picture that the file `near` calls `name`, by the rules of matching.py."""
        return self._first_of_equals(self._names.find(name, near))

    def find_own(self, label: PurePosixPath, named: str = "") -> Match:
        """Find the picture that a label file is named after, or calls `named`, by the rules of matching.py."""
        return self._first_of_equals(self._names.find_own(label, named))

    def _first_of_equals(self, match: Match) -> Match:
        """Of several pictures that are the same byte for byte, take the first."""
        if len(match.rivals) < 2 or len({self.read_bytes(path) for path in match.rivals}) > 1:
            return match
        return replace(match, path=match.rivals[0], what="a picture of which there are copies: the first is taken")

    def _read(self, path: PurePosixPath) -> bytes:
        member = self._members.get(path)
        return member.read() if member is not None else (self.root / path).read_bytes()

    def summary(self) -> str:
        """Count the files by suffix, for a message."""
        counts = Counter(path.suffix.lower() or path.name for path in self.files)
        return ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(6))


def without_annotation(
    files: SourceFiles,
    pictures: Iterable[RawPicture],
    cases: Cases,
    *,
    kept_below: Collection[PurePosixPath] = (),
    keep: bool = True,
) -> list[RawPicture]:
    """Look after the pictures that no annotation names; `pictures` are those that one does, or may mean.

    Those beside annotated ones, or below a folder of `kept_below`, are pictures without objects where `keep` (every
    format but COCO says so by saying nothing); the rest, and masks, are no part of the set: one case a folder.
    """
    used = {path for picture in pictures for path in (picture.path, *picture.rivals) if path is not None}
    folders = {path.parent for path in used}
    empty: list[RawPicture] = []
    outside: Counter[PurePosixPath] = Counter()
    for path in files.pictures:
        if path in used:
            continue
        if keep and (path.parent in folders or any(folder in path.parents for folder in kept_below)):
            empty.append(RawPicture(name=path.name, path=path, file=str(path), split=split_of_folders(path)))
            cases.kept(path, "no annotation: a picture without objects")
        else:
            outside[path.parent] += 1
    outside.update(path.parent for path in files.masks)
    for folder, count in outside.items():
        cases.dropped(folder, "pictures that belong to no annotation", count, pictures=count)
    return empty


def _walk(root: Path, skip: Path | None) -> Iterable[Path]:
    seen = {skip.resolve()} if skip is not None else set()
    for folder, folders, names in os.walk(root, followlinks=True):
        here = Path(folder)
        # A link may lead back to where it lies.
        if here.resolve() in seen:
            folders.clear()
            continue
        seen.add(here.resolve())
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _JUNK_FOLDERS)
        yield from (here / name for name in names if not name.startswith("."))


def _is_mask(path: PurePosixPath) -> bool:
    return any(part.lower() in _MASK_FOLDERS for part in path.parent.parts)


class Reader(NamedTuple):
    """How a format is read.

    `matches` says what speaks for it, None for nothing; `read` reads the source, with every picture and object in the
    set or in a case; `looks_for` and `why_not` say what was missed where nothing is found.
    """

    matches: Callable[[SourceFiles], str | None]
    read: Callable[[SourceFiles], RawSet]
    looks_for: str
    why_not: Callable[[SourceFiles], list[Fault]] = lambda _: []
