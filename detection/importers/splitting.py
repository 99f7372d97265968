"""The splits of an import: those that the source has, or new ones; and what is nearly the same on both sides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from detection.datasets.near_duplicates import group_hashes, merge_groups
from detection.datasets.splits import DEFAULT_SHARES, split_set
from detection.datasets.types import DetectionDataset
from detection.importers.types import Case, ImportOptions, RawPicture
from generator.foundation.errors import ConfigError, DatasetError, Fault

UNLISTED = "unlisted"
_FIRST = ("train", "val", "test")


def split_pictures(
    data: DetectionDataset, pictures: Sequence[RawPicture], hashes: np.ndarray, options: ImportOptions
) -> tuple[dict[str, DetectionDataset], str, list[Case]]:
    """Split `data`, whose pictures came from `pictures` and have `hashes`, (N, 128) bool.

    Returns the splits, where they come from, and cases. Splits of the source stay as they are, even where pictures on
    both sides look alike; new ones keep those together. Raises ConfigError when the pattern fits no name, DatasetError
    where there are too few pictures.
    """
    groupings = {"nearly the same picture in two splits": group_hashes(hashes)}
    if options.group_by is not None:
        groupings["one group of --group-by in two splits"] = _group(pictures, compile_pattern(options.group_by))
    if options.shares is not None or not any(picture.split for picture in pictures):
        shares = options.shares or DEFAULT_SHARES
        together, *others = groupings.values()
        for other in others:
            together = merge_groups(together, other)
        shown = ", ".join(f"{name}={share:g}" for name, share in shares.items())
        if options.shares is None and len(set(together)) < len(shares):
            found = f"{len(set(together))} x pictures that look alike"
            expected = f"the source has none, and {found} cannot fill {shown}; --split all=1 makes one"
            raise DatasetError([Fault(file="splits", expected=expected)])
        return split_set(data, shares, options.seed, together), f"made: {shown}, seed {options.seed}", []
    names = [picture.split or UNLISTED for picture in pictures]
    cases = []
    if count := names.count(UNLISTED):
        what = f"pictures that are in no split of the source: they are in '{UNLISTED}'"
        cases.append(Case(file=".", what=what, found=str(count), done="kept"))
    for what, groups in groupings.items():
        cases += _leaks(pictures, names, groups, what)
    order = sorted(dict.fromkeys(names), key=lambda name: (name == UNLISTED, _rank(name), name))
    splits = {split: data.choose(number for number, name in enumerate(names) if name == split) for split in order}
    return splits, "as the source has them", cases


def compile_pattern(group_by: str) -> re.Pattern[str]:
    """Compile the pattern of --group-by. Raises ConfigError."""
    try:
        return re.compile(group_by)
    except re.error as error:
        fault = Fault(file="--group-by", found=group_by, expected=f"is no regular expression: {error}")
        raise ConfigError([fault]) from None


def _group(pictures: Sequence[RawPicture], pattern: re.Pattern[str]) -> list[int]:
    """Number the groups by what the pattern finds in the path; a picture where it finds nothing is its own."""
    numbers: dict[object, int] = {}
    groups = []
    for position, picture in enumerate(pictures):
        found = pattern.search(str(picture.path))
        key = (found.group(1) if pattern.groups else found.group()) if found else position
        groups.append(numbers.setdefault(key, len(numbers)))
    if all(isinstance(key, int) for key in numbers):
        expected = f"fits no file name, such as {pictures[0].path}"
        raise ConfigError([Fault(file="--group-by", found=pattern.pattern, expected=expected)])
    return groups


def _leaks(pictures: Sequence[RawPicture], splits: Sequence[str], groups: Sequence[int], what: str) -> list[Case]:
    members: Mapping[int, list[int]] = {group: [] for group in groups}
    for position, group in enumerate(groups):
        members[group].append(position)
    cases = []
    for positions in members.values():
        if len({splits[position] for position in positions}) > 1:
            found = ", ".join(f"{pictures[position].path} ({splits[position]})" for position in positions)
            cases.append(Case(file=".", what=what, found=found, done="kept"))
    return cases


def _rank(name: str) -> int:
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)
