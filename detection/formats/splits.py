"""The splits of an import: those that the source has, by lists (train.txt, val.txt ...) and folders, or new ones.

And what is nearly the same on both sides of a split.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np

from detection.datasets.names import rank_of_split
from detection.datasets.splits import DEFAULT_SHARES, split_set
from detection.datasets.types import DetectionDataset
from detection.formats.matching import PICTURE_SUFFIXES, loose_stem
from detection.formats.raw import Cases, RawPicture
from detection.formats.source import SourceFiles
from generator.foundation.errors import ConfigError, DatasetError, Fault
from generator.foundation.near_duplicates import group_hashes, merge_groups
from generator.foundation.split_names import split_of_word

# VOC has a number behind a name, Keras boxes behind a path.
_LABELLED = re.compile(rf"(.+?(?:{'|'.join(map(re.escape, PICTURE_SUFFIXES))}))\s.*|(\S+)\s+-?\d+$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One line of a list, or one picture of a folder, that puts `name` into `split`."""

    split: str
    name: str
    file: PurePosixPath
    place: str = ""


def claims_of_list(files: SourceFiles, path: PurePosixPath, split: str) -> list[Claim]:
    """Read a list: a name or path on each line. VOC's lists of one class have a number behind it."""
    # A name of a file need not be text.
    lines = files.read_text(path, errors="surrogateescape").splitlines()
    return [
        Claim(split=split, name=line.strip(), file=path, place=f"line {number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def claims_of_lists(files: SourceFiles, names: Iterable[str]) -> list[Claim]:
    """Read the files train.txt, val.txt ... of which at least half of the lines name a picture, or one of `names`."""
    known = {loose_stem(name) for name in names}
    found = []
    for path in files.files:
        split = split_of_word(path.stem)
        if path.suffix.lower() == ".txt" and split is not None:
            claims = claims_of_list(files, path, split)
            hits = sum(bool(_meant(files, claim)) or loose_stem(claim.name) in known for claim in claims)
            found += claims if 2 * hits >= len(claims) else []
    return found


def claims_of_folder(files: SourceFiles, folder: PurePosixPath, split: str) -> list[Claim]:
    """Claim every picture below a folder."""
    return [Claim(split=split, name=str(path), file=folder) for path in files.pictures if folder in path.parents]


def apply_claims(
    files: SourceFiles,
    pictures: Sequence[RawPicture],
    claims: Iterable[Claim],
    cases: Cases,
    lost: Collection[PurePosixPath] = (),
) -> list[RawPicture]:
    """Give pictures their splits. A claimed picture that is not there is added as missing, so that it is listed.

    `lost` are pictures that were given up before. Of two splits that claim a picture, the one to measure on gets it.
    """
    by_path = {picture.path: number for number, picture in enumerate(pictures) if picture.path is not None}
    by_name = {loose_stem(picture.name): number for number, picture in enumerate(pictures) if picture.path is None}
    result = list(pictures)
    splits: defaultdict[int, list[Claim]] = defaultdict(list)
    for claim in claims:
        found = _meant(files, claim)
        if any(path in lost for path in found):
            continue
        number = next((by_path[path] for path in found if path in by_path), by_name.get(loose_stem(claim.name)))
        if number is None:
            number = by_name[loose_stem(claim.name)] = len(result)
            result.append(RawPicture(name=claim.name, file=str(claim.file), place=claim.place))
        splits[number].append(claim)
    for number, claimed in splits.items():
        best = min(claimed, key=lambda claim: rank_of_split(claim.split))
        result[number] = replace(result[number], split=best.split)
        names = list(dict.fromkeys(claim.split for claim in claimed))
        if len(names) > 1:
            file = result[number].path or result[number].name
            cases.mended(file, "a picture in two splits", f"{', '.join(names)}: taken as {best.split}")
    return result


def _meant(files: SourceFiles, claim: Claim) -> tuple[PurePosixPath, ...]:
    """Find the pictures that a line may mean: all of it, or what comes before a blank and labels of some kind."""
    cut = _LABELLED.match(claim.name)
    for name in (claim.name, cut[1] or cut[2]) if cut is not None else (claim.name,):
        match = files.find_named(name, claim.file)
        if match.path is not None:
            return (match.path,)
        if match.rivals:
            return match.rivals
    return ()


UNLISTED = "unlisted"
_FIRST = ("train", "val", "test")


def split_pictures(
    data: DetectionDataset,
    pictures: Sequence[RawPicture],
    hashes: np.ndarray,
    cases: Cases,
    *,
    shares: Mapping[str, float] | None,
    seed: int,
    group_by: re.Pattern[str] | None,
) -> tuple[dict[str, DetectionDataset], str]:
    """Split `data`, whose pictures came from `pictures` and have `hashes`, (N, 128) bool.

    Returns the splits, and where they come from. Splits of the source stay as they are, even where pictures on
    both sides look alike; new ones keep those together. Raises ConfigError when the pattern fits no name, DatasetError
    where there are too few pictures.
    """
    groupings = {"nearly the same picture in two splits": group_hashes(hashes)}
    if group_by is not None:
        groupings["one group of --group-by in two splits"] = _group(pictures, group_by)
    if shares is not None or not any(picture.split for picture in pictures):
        asked, shares = shares, shares or DEFAULT_SHARES
        together, *others = groupings.values()
        for other in others:
            together = merge_groups(together, other)
        shown = ", ".join(f"{name}={share:g}" for name, share in shares.items())
        if asked is None and len(set(together)) < len(shares):
            found = f"{len(set(together))} x pictures that look alike"
            expected = f"the source has none, and {found} cannot fill {shown}; --split all=1 makes one"
            raise DatasetError([Fault(file="splits", expected=expected)])
        return split_set(data, shares, seed, together), f"made: {shown}, seed {seed}"
    names = [picture.split or UNLISTED for picture in pictures]
    if count := names.count(UNLISTED):
        cases.kept(".", f"pictures that are in no split of the source: they are in '{UNLISTED}'", count)
    for what, groups in groupings.items():
        members: defaultdict[int, list[int]] = defaultdict(list)
        for position, group in enumerate(groups):
            members[group].append(position)
        for positions in members.values():
            if len({names[position] for position in positions}) > 1:
                shown = ", ".join(f"{pictures[position].path} ({names[position]})" for position in positions)
                cases.kept(".", what, shown)
    first = [name for name in _FIRST if name in names]
    last = [UNLISTED] if UNLISTED in names else []
    order = [*first, *sorted({*names}.difference(first, last)), *last]
    splits = {split: data.choose(number for number, name in enumerate(names) if name == split) for split in order}
    return splits, "as the source has them"


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
