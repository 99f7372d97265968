"""Names of pictures, as other people write them and for one folder in which all lie; and whose split they are."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from generator.foundation.split_names import split_of_name, split_of_word

# Bytes, of which a letter may take up to four; and letters of names that we make.
_LONGEST_NAME = 255
_LONGEST_STEM = 60
_NO_TEXT = re.compile(r"[\ud800-\udfff]")


def portable_path(name: str) -> PurePosixPath:
    """Read a path of any system as one that stays below its folder.

    >>> portable_path("..\\\\images\\\\a.png")
    PurePosixPath('images/a.png')
    """
    return PurePosixPath(*[part for part in re.split(r"[\\/]+", name) if part not in ("", ".", "..")])


def as_unicode(name: str) -> str:
    r"""Write bytes of a file's name that are no text, as Python has them in a str, in letters.

    >>> as_unicode("caf\udce9")
    'caf%E9'
    """
    return _NO_TEXT.sub(lambda found: f"%{ord(found[0]) & 0xFF:02X}", name)


def file_name(stem: str, ending: str) -> str:
    """Name a file within what file systems take: a longer stem is cut, and a sum of the whole of it put behind.

    >>> file_name("a", "-1.png")
    'a-1.png'
    """
    if len(f"{stem}{ending}".encode()) <= _LONGEST_NAME:
        return f"{stem}{ending}"
    ending = f"-{hashlib.sha256(stem.encode()).hexdigest()[:12]}{ending}"
    return stem.encode()[: _LONGEST_NAME - len(ending.encode())].decode(errors="ignore") + ending


def unique_stems(paths: Sequence[PurePosixPath]) -> list[str]:
    """Name pictures for one folder: their own stems, where those are not unique with the folders before them.

    a/1.jpg, b/1.jpg and 2.jpg become a_1, b_1 and 2. Names that differ in case only are one name on some disks.
    """
    paths = [PurePosixPath(as_unicode(str(path))) for path in paths]
    counts = Counter(path.stem.lower() for path in paths)
    twins = Counter(str(path.with_suffix("")).lower() for path in paths)
    taken = {stem for stem, count in counts.items() if count == 1}
    stems = []
    for path in paths:
        stem = path.stem
        if counts[stem.lower()] > 1:
            # 1.jpg and 1.png of one folder become 1_jpg and 1_png.
            own = [path.suffix[1:]] if twins[str(path.with_suffix("")).lower()] > 1 else []
            prefixed = "_".join([*path.with_suffix("").parts, *own])[-_LONGEST_STEM:]
            numbered = (f"{prefixed}_{number}" for number in itertools.count(2))
            stem = next(name for name in itertools.chain([prefixed], numbered) if name.lower() not in taken)
        taken.add(stem.lower())
        stems.append(stem)
    return stems


# What is measured on stays whole when a picture is claimed twice.
PRECEDENCE = ("test", "val")


def splits_of_kind(known: Sequence[str], kind: str) -> list[str]:
    """Those of the splits that are called train, val or test; where one has that very name, it alone."""
    return [kind] if kind in known else [name for name in known if split_of_name(name) == kind]


def split_of_folders(path: PurePosixPath | None) -> str | None:
    """Find the split that the innermost folder of a path speaks of: images/train/a.jpg is "train"."""
    if path is None:
        return None
    return next((split for part in reversed(path.parent.parts) if (split := split_of_word(part))), None)


def rank_of_split(split: str | None) -> int:
    """Rank the splits that claim one picture: the lowest gets it, no split at all comes last."""
    if split is None:
        return len(PRECEDENCE) + 1
    return PRECEDENCE.index(split) if split in PRECEDENCE else len(PRECEDENCE)
