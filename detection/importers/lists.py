"""Lists of pictures (train.txt, val.txt ...) and folders that say which split a picture belongs to."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from detection.datasets.split_names import rank_of_split, split_of_word
from detection.importers.files import SourceFiles
from detection.importers.matching import PICTURE_SUFFIXES, loose_stem
from detection.importers.types import Case, RawPicture
from generator.foundation.text import decode_text

# VOC has a number behind a name, Keras boxes behind a path.
_LABELLED = re.compile(rf"(.+?(?:{'|'.join(map(re.escape, PICTURE_SUFFIXES))}))\s.*|(\S+)\s+-?\d+$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One line of a list, or one picture of a folder, that puts `name` into `split`."""

    split: str
    name: str
    file: PurePosixPath
    place: str = ""


def find_lists(files: SourceFiles, names: Iterable[str]) -> list[PurePosixPath]:
    """Find the files train.txt, val.txt ... of which at least half of the lines name a picture, or one of `names`."""
    known = {loose_stem(name) for name in names}
    found = []
    for path in files.files:
        if path.suffix.lower() != ".txt" or split_of_word(path.stem) is None:
            continue
        claims = claims_of_list(files, path, "")
        hits = sum(bool(_meant(files, claim)) or loose_stem(claim.name) in known for claim in claims)
        if claims and 2 * hits >= len(claims):
            found.append(path)
    return found


def claims_of_list(files: SourceFiles, path: PurePosixPath, split: str) -> list[Claim]:
    """Read a list: a name or path on each line. VOC's lists of one class have a number behind it."""
    # A name of a file need not be text.
    lines = decode_text(files.read_bytes(path), errors="surrogateescape").splitlines()
    return [
        Claim(split=split, name=line.strip(), file=path, place=f"line {number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def claims_of_lists(files: SourceFiles, names: Iterable[str]) -> list[Claim]:
    """Read all lists that find_lists finds."""
    lists = find_lists(files, names)
    return [claim for path in lists for claim in claims_of_list(files, path, split_of_word(path.stem) or "")]


def claims_of_folder(files: SourceFiles, folder: PurePosixPath, split: str) -> list[Claim]:
    """Claim every picture below a folder."""
    return [Claim(split=split, name=str(path), file=folder) for path in files.pictures if folder in path.parents]


def apply_claims(
    files: SourceFiles, pictures: Sequence[RawPicture], claims: Iterable[Claim], lost: Collection[PurePosixPath] = ()
) -> tuple[list[RawPicture], list[Case]]:
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
            result.append(RawPicture(name=claim.name, path=None, file=str(claim.file), place=claim.place))
        splits[number].append(claim)
    cases = []
    for number, claimed in splits.items():
        best = min(claimed, key=lambda claim: rank_of_split(claim.split))
        result[number] = replace(result[number], split=best.split)
        names = list(dict.fromkeys(claim.split for claim in claimed))
        if len(names) > 1:
            found_in = f"{', '.join(names)}: taken as {best.split}"
            what = "a picture in two splits"
            file = str(result[number].path or result[number].name)
            cases.append(Case(file=file, what=what, found=found_in, done="mended"))
    return result, cases


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
