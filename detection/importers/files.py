"""The files of a source: walked once, pictures found by the names that annotations give them.

A tar file is taken for a folder, too: `shards/0.tar/a.jpg` is what lies in it.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from detection.datasets.picture_names import portable_path
from detection.datasets.split_names import split_of_folders
from detection.importers.archives import SUFFIX, Member, members_of
from detection.importers.types import Case, RawPicture
from generator.errors import DatasetError, Fault
from generator.references import SUFFIXES
from generator.storage import translate_os_errors
from generator.text import as_utf8

PICTURE_SUFFIXES = (*SUFFIXES, ".jfif", ".gif", ".jpe", ".j2k", ".pnm", ".dng", ".nef", ".cr2", ".arw", ".dcm")
# Masks have the names of their pictures; archives made on a Mac hold a twin of every file.
_MASK_FOLDERS = ("segmentationclass", "segmentationobject", "masks", "mask")
_JUNK_FOLDERS = ("__MACOSX",)


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
    ):
        """`only`: the one annotation file to be read, and `columns` of CSV files (key -> column), where the user named
        them; `members`: what lies in tar files.
        """
        self.root = root
        self.only = only
        self.columns = columns or {}
        self._members = members or {}
        self.files = tuple(sorted([*files, *self._members]))
        self.masks = tuple(path for path in self.files if _is_picture(path) and _is_mask(path))
        self.pictures = tuple(path for path in self.files if _is_picture(path) and not _is_mask(path))
        self._by_stem: defaultdict[str, list[PurePosixPath]] = defaultdict(list)
        for path in self.pictures:
            self._by_stem[stem_of(path.name)].append(path)

    @classmethod
    def open(cls, source: Path, *, skip: Path | None = None, columns: Mapping[str, str] | None = None) -> SourceFiles:
        """Walk a folder, or the folder of one annotation file; `skip` is not looked into.

        Raises DatasetError when there is nothing.
        """
        if not source.exists():
            raise DatasetError([Fault(file=str(source), expected="there is no such file or folder")])
        root = source if source.is_dir() else source.parent
        with translate_os_errors(root):
            files = [PurePosixPath(path.relative_to(root).as_posix()) for path in _walk(root, skip)]
            members = {
                path / inside: member
                for path in files
                if path.suffix.lower() == SUFFIX
                for inside, member in members_of(root / path).items()
            }
        if not files:
            raise DatasetError([Fault(file=str(source), expected="this folder is empty")])
        only = None if source.is_dir() else PurePosixPath(source.name)
        return cls(root, files, only=only, members=members, columns=columns)

    def with_suffix(self, *suffixes: str) -> list[PurePosixPath]:
        """List the files that end so; where the user named one file, only that."""
        asked = (self.only,) if self.only is not None else self.files
        return [path for path in asked if path.suffix.lower() in suffixes]

    def read_bytes(self, path: PurePosixPath) -> bytes:
        """Read a file of the source; text in UTF-16 or UTF-32 comes in UTF-8. Raises StorageError."""
        with translate_os_errors(self.root / path):
            return as_utf8(self._read(path))

    def read_picture(self, path: PurePosixPath) -> bytes:
        """Read a picture of the source; raises ValueError with the reason, as for one that is damaged."""
        try:
            return self._read(path)
        except OSError as error:
            raise ValueError(error.strerror or str(error)) from None

    def find_pictures(self, name: str, near: PurePosixPath) -> list[PurePosixPath]:
        """Find the pictures that the file `near` means by `name`: a path of any system, or a name without its suffix.

        Of several the ones that fit best are returned: those with the very name before those with another suffix,
        then those in the same folders. A picture in a folder of another split is never meant.
        """
        parts = portable_path(name)
        split = split_of_folders(parts) or split_of_folders(near)
        ranks = {
            path: (
                path.name.lower() == parts.name.lower(),
                _shared_end(path.parent, parts.parent),
                _shared_folders(path.parent, near.parent),
            )
            for path in self._by_stem.get(stem_of(name), [])
            if split is None or split_of_folders(path) in (None, split)
        }
        best = max(ranks.values(), default=None)
        return [path for path, rank in ranks.items() if rank == best]

    def _read(self, path: PurePosixPath) -> bytes:
        member = self._members.get(path)
        return member.read() if member is not None else (self.root / path).read_bytes()

    def summary(self) -> str:
        """Count the files by suffix, for a message."""
        counts = Counter(path.suffix.lower() or path.name for path in self.files)
        return ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(6))


def first_of(found: Sequence[PurePosixPath], file: str, place: str = "") -> tuple[PurePosixPath | None, list[Case]]:
    """Take the first of the pictures that a name may mean; None for none. A case when there is a choice."""
    if len(found) <= 1:
        return (found[0] if found else None), []
    what, shown = "two pictures of this name: the first is taken", ", ".join(map(str, found))
    return found[0], [Case(file=file, place=place, what=what, found=shown, done="mended")]


def stem_of(name: str) -> str:
    """Take the last part of a path of any system, without the suffix of a picture, in lower case."""
    path = portable_path(name)
    return (path.stem if _is_picture(path) else path.name).lower()


def without_annotation(
    files: SourceFiles,
    used: Collection[PurePosixPath],
    *,
    kept_below: Collection[PurePosixPath] = (),
    keep: bool = True,
) -> tuple[list[RawPicture], list[Case]]:
    """Look after the pictures that no annotation names; `used` are those that one does.

    Those beside annotated ones, or below a folder of `kept_below`, are pictures without objects where `keep` (every
    format but COCO says so by saying nothing); the rest, and masks, are no part of the set: one case a folder.
    """
    folders = {path.parent for path in used}
    empty: list[RawPicture] = []
    cases: list[Case] = []
    outside: Counter[PurePosixPath] = Counter()
    for path in files.pictures:
        if path in used:
            continue
        if keep and (path.parent in folders or any(folder in path.parents for folder in kept_below)):
            empty.append(RawPicture(name=path.name, path=path, file=str(path), split=split_of_folders(path)))
            cases.append(Case(file=str(path), what="no annotation: a picture without objects", done="kept"))
        else:
            outside[path.parent] += 1
    outside.update(path.parent for path in files.masks)
    for folder, count in outside.items():
        what = "pictures that belong to no annotation"
        cases.append(Case(file=str(folder), what=what, found=str(count), done="dropped", lost_pictures=count))
    return empty, cases


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


def _is_picture(path: PurePosixPath) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES


def _is_mask(path: PurePosixPath) -> bool:
    return any(part.lower() in _MASK_FOLDERS for part in path.parent.parts)


def _shared_end(a: PurePosixPath, b: PurePosixPath) -> int:
    count = 0
    for left, right in zip(reversed(a.parts), reversed(b.parts), strict=False):
        if left != right:
            break
        count += 1
    return count


def _shared_folders(a: PurePosixPath, b: PurePosixPath) -> int:
    return sum((Counter(a.parts) & Counter(b.parts)).values())
