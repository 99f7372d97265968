"""Which picture a name means: the one place where the names in annotations meet the files of a source.

Names are compared by rules in a fixed order, the exact one first: the same name; another form of the same letters (NFC,
blanks around it); capitals; percent-encoding and addresses of annotation servers (`/data/local-files/?d=a%20b.jpg`);
another suffix; the letters that Label Studio puts before the name of an upload (`1a2b3c4d-a.jpg`). The first rule that
fits any picture decides. Of several pictures that it fits, the one in the folders that the name speaks of is meant;
where none is better than all others, nobody knows which one it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from urllib.parse import unquote

from detection.datasets.names import portable_path, split_of_folders
from detection.formats.raw import Cases, RawPicture
from generator.foundation.split_names import split_of_name
from generator.spec.references import SUFFIXES

PICTURE_SUFFIXES = (*SUFFIXES, ".jfif", ".gif", ".jpe", ".j2k", ".pnm", ".dng", ".nef", ".cr2", ".arw", ".dcm")
_LETTERS, _CAPITALS, _ADDRESS, _SUFFIX, _UPLOAD = range(1, 6)
_DIFFERS = (
    "a suffix more or less",
    "blanks or accents",
    "capitals",
    "how it is encoded",
    "the suffix",
    "the letters of an upload",
)
_FORMS = ("name", "stem")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?!\.?$)")
_SERVED = re.compile(r"/\?(?:.*&)?d=([^&]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The picture that a name means.

    `path` is None where there is none, or several (`rivals`) of which each may be meant. `looseness` is 0 where name
    and folders are those of the picture, and higher the later the rule; `what` is the case that it then is.
    """

    path: PurePosixPath | None = None
    looseness: int = 0
    what: str = ""
    rivals: tuple[PurePosixPath, ...] = ()

    def of(self, picture: RawPicture, cases: Cases, called: str = "") -> RawPicture:
        """Say which one a picture is that the source has `called` so; note a match that is not exact."""
        if self.what and self.path is not None:
            cases.mended(picture.file, self.what, f"{called or picture.name}: taken for {self.path}", picture.place)
        return replace(picture, path=self.path, looseness=self.looseness, rivals=self.rivals)


class PictureNames:
    """The pictures of a source, to be found by name. `files` are all of its files: they say which folders it has."""

    def __init__(self, pictures: Iterable[PurePosixPath], files: Iterable[PurePosixPath]):
        self._by_stem: defaultdict[str, list[PurePosixPath]] = defaultdict(list)
        for path in pictures:
            self._by_stem[loose_stem(path.name)].append(path)
        self._homes = {_folders(path) for paths in self._by_stem.values() for path in paths}
        self._inner = {home[-1] for home in self._homes if home}
        self._folders = {folder for parent in {path.parent for path in files} for folder in _words(parent)}

    def find(self, name: str, near: PurePosixPath) -> Match:
        """Find the picture that the file `near` means by `name`: a path of any system, or a name without suffix."""
        return self._find(name, near, is_label=False)

    def find_own(self, label: PurePosixPath, named: str = "") -> Match:
        """Find the picture of a label file: the one that it is named after (a.txt is of a.jpg), or calls `named`."""
        name = f"{label.parent}/{named}" if named else str(label.with_suffix(""))
        return self._find(name, label, is_label=True, forms=_FORMS if named else _FORMS[::-1])

    def _find(self, name: str, near: PurePosixPath, *, is_label: bool, forms: Sequence[str] = _FORMS) -> Match:
        for rule in range(len(_DIFFERS)):
            said = portable_path(_decoded(name, rule))
            if rule == _UPLOAD:
                said = said.with_name(_UPLOADED.sub("", said.name)) if said.name else said
            candidates = self._by_stem.get(loose_stem(said.name), [])
            candidates = [path for path in candidates if self._may_be(path, said, near)]
            for form in forms:
                found = [path for path in candidates if _fits(said.name, path, rule, form)]
                if found:
                    # Lists write `a` for a.jpg; few tools call the labels of a.jpg a.jpg.txt.
                    is_usual = form == forms[0] or (form == "stem" and not is_picture(said))
                    return self._choose(found, said, near, 2 * rule + (not is_usual), is_label=is_label)
        return Match()

    def _may_be(self, path: PurePosixPath, said: PurePosixPath, near: PurePosixPath) -> bool:
        """Say whether the folders let a picture be meant: a folder of the source that is another's is in the way.

        labels/val/1.txt is not of images/train/1.jpg; cam1/1.jpg not of images/cam2/1.jpg or more/1.jpg where
        images/cam1 has pictures. A folder of another machine says nothing.
        """
        known = PurePosixPath(*[word for word in said.parent.parts if word.casefold() in self._folders], "x")
        split = split_of_folders(known) or split_of_folders(near)
        if split is not None and split_of_folders(path) not in (None, split):
            return False
        own = _folders(path)
        others = [word for word in _words(said.parent) if word not in own]
        if others and others[-1] == _words(said.parent)[-1] and others[-1] in self._inner:
            return False
        cuts = [(own[:at], own[end:]) for at in range(len(own) + 1) for end in (at, at + 1)]
        return not any((*head, word, *tail) in self._homes for word in others for head, tail in cuts)

    def _choose(
        self, found: list[PurePosixPath], said: PurePosixPath, near: PurePosixPath, order: int, *, is_label: bool
    ) -> Match:
        split = None if is_label else split_of_name(near.stem)
        ranks = {
            path: (
                path.parent in (said.parent, near.parent / said.parent),
                split is not None and split_of_folders(path) == split,
                _shared_end(_folders(path), _words(said.parent)),
                sum((Counter(_folders(path)) & Counter(_words(near.parent))).values()),
            )
            for path in found
        }
        best = max(ranks.values())
        meant = [path for path, rank in ranks.items() if rank == best]
        own = _folders(meant[0])
        shared = _shared_end(own, _words(said.parent))
        beside = _words(near.parent)
        elsewhere = (not is_label and shared < min(len(own), len(said.parent.parts))) or (
            bool(beside) and beside in self._homes and own[: len(beside)] != beside
        )
        differs = _DIFFERS[order // 2] if order else "the folder" if elsewhere else ""
        return Match(
            path=meant[0] if len(meant) == 1 else None,
            looseness=2 * order + elsewhere,
            what=f"a picture whose name differs in {differs}" if differs else "",
            rivals=tuple(meant[1:] and meant),
        )


def is_picture(path: PurePosixPath) -> bool:
    """Say whether a name has the suffix of a picture."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def loose_stem(name: str) -> str:
    """Reduce the last part of a path to what no rule looks beyond: decoded, in lower case, without any such suffix."""
    path = PurePosixPath(_form(portable_path(name).name, _ADDRESS))
    while is_picture(path):
        path = PurePosixPath(path.stem.strip())
    return path.name


def _fits(name: str, path: PurePosixPath, rule: int, form: str) -> bool:
    if rule >= _SUFFIX:
        return True  # they have the same loose stem
    return _form(name, rule) == _form(path.name if form == "name" else path.stem, rule)


def _form(name: str, rule: int) -> str:
    """Reduce a name to what a rule compares."""
    if rule >= _ADDRESS:
        name = unquote(name)
    if rule >= _LETTERS:
        name = unicodedata.normalize("NFC", name).strip()
    return name.casefold() if rule >= _CAPITALS else name


def _decoded(name: str, rule: int) -> str:
    """Take the path out of an address. Label Studio's /data/local-files/?d=PATH has no other meaning than PATH."""
    if served := _SERVED.search(name):
        return unquote(served[1])
    return unquote(name.split("?")[0]) if rule >= _ADDRESS else name


def _words(folder: PurePosixPath) -> tuple[str, ...]:
    return tuple(_form(part, _CAPITALS) for part in folder.parts)


def _folders(path: PurePosixPath) -> tuple[str, ...]:
    return _words(path.parent)


def _shared_end(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    count = 0
    for left, right in zip(reversed(a), reversed(b), strict=False):
        if left != right:
            break
        count += 1
    return count
