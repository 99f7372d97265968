"""Words for splits: which names of files and folders mean train, val or test."""

from __future__ import annotations

import re

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
