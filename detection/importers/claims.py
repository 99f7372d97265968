"""Which annotation of a picture is taken, where several name it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from detection.datasets.picture_names import portable_path
from detection.datasets.split_names import rank_of_split
from detection.importers.types import Case, RawPicture, RawSet

TWICE = "a picture annotated twice: the other annotation is taken"


def join_entries(raw: RawSet) -> RawSet:
    """Make one picture of the entries that one file has under one name: some COCO files list a picture for each box."""
    entries: defaultdict[object, list[RawPicture]] = defaultdict(list)
    for picture in raw.pictures:
        entries[picture.file, portable_path(picture.name)].append(picture)
    pictures, cases = [], []
    for first, *others in entries.values():
        if others:
            what, found = "a picture listed several times: its objects are joined", f"{first.name}: {len(others) + 1}"
            cases.append(Case(file=first.file, place=first.place, what=what, found=found, done="mended"))
        objects = tuple(item for picture in (first, *others) for item in picture.objects)
        unlabelled = tuple(name for picture in (first, *others) for name in picture.unlabelled)
        pictures.append(replace(first, objects=objects, unlabelled=unlabelled))
    return replace(raw, pictures=tuple(pictures), cases=(*raw.cases, *cases))


def choose_pictures(raw: RawSet) -> tuple[list[RawPicture], list[Case]]:
    """Leave out pictures that are not there, and all but one of the annotations that claim the same picture.

    The name that is the picture's counts before one that is only like it, then the split to measure on. Two different
    names of equal right are of two pictures, of which one is not there: nobody knows which.
    """
    claims: defaultdict[object, list[RawPicture]] = defaultdict(list)
    for picture in raw.pictures:
        claims[picture.path].append(picture)
    chosen, cases = [], []
    for picture in raw.pictures:
        if picture.path is None:
            what, found = "a picture that is missing", picture.name
            if picture.rivals:
                what = "a name that several pictures have: nobody knows which one is meant"
                found = f"{picture.name}: {', '.join(map(str, picture.rivals))}"
            cases.append(lost_picture(picture, what, found))
            continue
        best = _best(claims[picture.path])
        if best[0].looseness < picture.looseness:
            found = f"{picture.name}: {picture.path} is another, named in {best[0].file}"
            cases.append(lost_picture(picture, "a picture that is missing", found))
        elif any(each is picture for each in best) and _are_of_several(best):
            what = "a picture that several names may mean: nobody knows whose labels these are"
            found = f"{picture.path}: {', '.join(each.file for each in best)}"
            cases.append(lost_picture(picture, what, found))
        elif picture is not best[0]:
            cases.append(lost_picture(picture, TWICE, f"{picture.path}, also in {best[0].file}"))
        else:
            chosen.append(picture)
    return chosen, cases


def lost_picture(picture: RawPicture, what: str, found: str) -> Case:
    """List a picture that is dropped with its objects."""
    return Case(
        file=picture.file,
        place=picture.place,
        what=what,
        found=found,
        done="dropped",
        lost_pictures=1,
        lost_objects=len(picture.objects),
    )


def _best(claims: Sequence[RawPicture]) -> list[RawPicture]:
    ranks = [(picture.looseness, rank_of_split(picture.split)) for picture in claims]
    return [picture for picture, rank in zip(claims, ranks, strict=True) if rank == min(ranks)]


def _are_of_several(claims: Sequence[RawPicture]) -> bool:
    names = {portable_path(picture.name) for picture in claims}
    objects = {tuple((item.category, item.box) for item in picture.objects) for picture in claims}
    return len(names) > 1 and len(objects) > 1
