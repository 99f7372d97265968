"""Words for train, val and test in names of folders and files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

_WORDS = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "minival": "val",
    "test": "test",
    "testing": "test",
}
# COCO and VOC put the year behind: train2017.
_YEAR = re.compile(r"(?<=[a-z])(19|20)\d\d$")
# What is measured on stays whole when a picture is claimed twice.
PRECEDENCE = ("test", "val")


def split_of_word(word: str) -> str | None:
    """Read one word: "train2017" and "Training" are "train", "valid" is "val"; None for any other."""
    return _WORDS.get(_YEAR.sub("", word.lower()))


def split_of_name(name: str) -> str | None:
    """Find the one split that a file name without its suffix speaks of: "test_labels" is "test".

    "instances_NAME" is NAME whatever it is, but not "instances_default", which CVAT writes. None where there is none,
    or more than one.
    """
    words = [split for word in re.split(r"[^A-Za-z0-9]+", name) if (split := split_of_word(word))]
    if len(set(words)) == 1:
        return words[0]
    own = name.removeprefix("instances_")
    return own if not words and own != name and own not in ("", "default") else None


def splits_of_kind(known: Sequence[str], kind: str) -> list[str]:
    """Those of the splits that are called train, val or test; where one has that very name, it alone."""
    return [kind] if kind in known else [name for name in known if split_of_name(name) == kind]


def split_of_folders(path: PurePosixPath) -> str | None:
    """Find the split that the innermost folder of a path speaks of: images/train/a.jpg is "train"."""
    return next((split for part in reversed(path.parent.parts) if (split := split_of_word(part))), None)


def rank_of_split(split: str | None) -> int:
    """Rank the splits that claim one picture: the lowest gets it, no split at all comes last."""
    if split is None:
        return len(PRECEDENCE) + 1
    return PRECEDENCE.index(split) if split in PRECEDENCE else len(PRECEDENCE)
