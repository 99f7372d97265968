"""Several data sets as one: categories matched by name, splits kept, and on every picture where it came from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

from detection.datasets.categories import check_rename
from detection.datasets.names import unique_stems
from detection.datasets.near_duplicates import near_duplicate_groups
from detection.datasets.picture_set import (
    Category,
    Picture,
    PictureSet,
    not_exhaustive_ids,
    read_picture_set,
    with_category_ids,
)
from detection.formats.exporting import ExportReport, write_export
from detection.formats.filters import apply_filters
from detection.formats.target import ExportOptions, OnPicture
from generator.dataset.provenance import says_synthetic
from generator.foundation.coco import NOT_EXHAUSTIVE, folder_of
from generator.foundation.errors import BoxpaintError, DatasetError, Fault
from generator.foundation.run_folder import EXPORT, check_outside
from generator.foundation.split_names import split_of_name

SYNTHETIC, REAL = "synthetic", "real"
_SHOWN_GROUPS = 3


def merge_sets(
    sources: Sequence[str | Path],
    out: str | Path,
    rename: Mapping[str, str] | None = None,
    options: ExportOptions | None = None,
    *,
    only_common: bool = False,
    find_duplicates: bool = True,
    on_picture: OnPicture | None = None,
) -> ExportReport:
    """Write several data sets as one in COCO form.

    `rename` gives categories of any of them another name first. A picture says which categories its data set does not
    label (`not_exhaustive_category_ids`, as LVIS has it); with `only_common` only categories stay that every picture
    labels. Raises DatasetError when there is nothing to merge, BoxpaintError for a name to be changed that none of them
    has or where no category is common, RunMismatchError when `out` is taken, StorageError.
    """
    options, out = options or ExportOptions(), Path(out)
    paths = [Path(source) for source in sources]
    folders = tuple(folder_of(path) for path in paths)
    check_outside(out, *folders)
    EXPORT.check_free(out, overwrite=options.overwrite)
    names = tuple(folder.resolve().name for folder in folders)
    sets = [read_picture_set(path) for path in paths]
    data = join_sets(sets, names, rename or {})
    if not data.pictures:
        raise DatasetError([Fault(file=" ".join(map(str, sources)), expected="no pictures are in them")])
    labelled = _labelled(data, [len(each.pictures) for each in sets])
    if only_common:
        options = replace(options, classes=_common(data, names, labelled))
        where = " ".join(map(str, sources))
        data = apply_filters(data, ExportOptions(classes=options.classes), where=where)
    data = data.with_pictures(data.pictures, *_unlabelled(data, names, labelled), *_mixed(data))
    if find_duplicates and len(data.heads) > 1:
        data = data.with_pictures(data.pictures, *_leaks(data.pictures, on_picture))
    report = write_export(data, out, "coco", options, made_of=names, on_picture=on_picture)
    return replace(report, labelled=labelled)


def join_sets(sets: Sequence[PictureSet], names: Sequence[str], rename: Mapping[str, str]) -> PictureSet:
    """Join data sets, called `names`; of two pictures of one name each gets that of its set before its own.

    Ids stay where nothing before has them. A category is the first one of its name, in any case; those that a picture's
    data set does not have are in the picture's `not_exhaustive_category_ids`. Raises BoxpaintError.
    """
    categories, new_categories = _join_categories(sets, rename)
    licences, new_licences = _join_licences(sets)
    pictures = []
    for number, data in enumerate(sets):
        ids = {category.id: new_categories[number, category.id].id for category in data.categories}
        unlabelled = {category.id for category in categories} - {*ids.values()}
        for picture in data.pictures:
            content = with_category_ids(picture.content, ids)
            if unlabelled:
                content[NOT_EXHAUSTIVE] = sorted({*unlabelled, *not_exhaustive_ids(content)})
            picture = replace(picture, content=content)
            pictures.append(_translated(picture, number, new_categories, new_licences))
    owners = [name for name, data in zip(names, sets, strict=True) for _ in data.pictures]
    paths = [PurePosixPath(owner) / picture.name for owner, picture in zip(owners, pictures, strict=True)]
    picture_ids = unique_ids(picture.id for picture in pictures)
    label_ids = iter(unique_ids(item.id for picture in pictures for item in picture.annotations))
    merged = [
        replace(
            picture,
            id=number,
            name=f"{stem}{path.suffix}",
            annotations=tuple(replace(item, id=next(label_ids)) for item in picture.annotations),
            source=picture.source or (SYNTHETIC if says_synthetic(picture.path) else REAL),
        )
        for picture, number, stem, path in zip(pictures, picture_ids, unique_stems(paths), paths, strict=True)
    ]
    head = {"info": {"description": f"Merged by boxpaint: {', '.join(names)}", "version": "1"}, "licenses": licences}
    heads = {split: head for data in sets for split in data.heads}
    notes = [note for data in sets for note in data.notes]
    notes += _changes(pictures, merged)
    return PictureSet(categories=categories, pictures=tuple(merged), heads=heads, notes=tuple(notes))


def unique_ids(ids: Iterable[int]) -> list[int]:
    """Keep every id the first time; where it comes again, go on behind the largest.

    >>> unique_ids([1, 2, 1, 5])
    [1, 2, 6, 5]
    """
    found = list(ids)
    fresh = count(max(found, default=0) + 1)
    seen: set[int] = set()
    result = []
    for number in found:
        result.append(number if number not in seen else next(fresh))
        seen.add(number)
    return result


def _join_categories(
    sets: Sequence[PictureSet], rename: Mapping[str, str]
) -> tuple[tuple[Category, ...], dict[tuple[int, int], Category]]:
    """Return the categories, and which one it is by number of the data set and id there."""
    check_rename(rename, (category.name for data in sets for category in data.categories))
    new_names = {old.casefold(): new for old, new in rename.items()}
    found: dict[str, Category] = {}
    keys: dict[tuple[int, int], str] = {}
    for number, data in enumerate(sets):
        for category in data.categories:
            name = new_names.get(category.name.casefold(), category.name)
            keys[number, category.id] = name.casefold()
            found.setdefault(name.casefold(), replace(category, name=name))
    ids = unique_ids(category.id for category in found.values())
    merged = {key: replace(found[key], id=number) for key, number in zip(found, ids, strict=True)}
    return tuple(merged.values()), {place: merged[key] for place, key in keys.items()}


def _join_licences(sets: Sequence[PictureSet]) -> tuple[list[dict[str, Any]], dict[tuple[int, str, str], int]]:
    """Return the licences, equal ones once, and the new id by number of the data set, split and old id."""
    found: dict[str, dict[str, Any]] = {}
    new_ids: dict[tuple[int, str, str], int] = {}
    for number, data in enumerate(sets):
        for split, head in data.heads.items():
            for item in head.get("licenses") or ():
                if not isinstance(item, dict):
                    continue
                key = json.dumps({name: value for name, value in item.items() if name != "id"}, sort_keys=True)
                licence = found.setdefault(key, {**item, "id": len(found) + 1})
                new_ids[number, split, str(item.get("id"))] = licence["id"]
    return list(found.values()), new_ids


def _translated(
    picture: Picture,
    number: int,
    categories: Mapping[tuple[int, int], Category],
    licences: Mapping[tuple[int, str, str], int],
) -> Picture:
    """Give a picture of data set `number` the categories and the licence of the whole."""
    content = dict(picture.content)
    licence = licences.get((number, picture.split, str(content.pop("license", None))))
    if licence is not None:
        content["license"] = licence
    labels = [replace(item, category=categories[number, item.category.id]) for item in picture.annotations]
    return replace(picture, content=content, annotations=tuple(labels))


def _labelled(data: PictureSet, sizes: Sequence[int]) -> tuple[dict[str, int], ...]:
    """Count, for each of the data sets (their pictures in a row, so many each), labels of the categories it labels."""
    found, start = [], 0
    for size in sizes:
        pictures, start = data.pictures[start : start + size], start + size
        counts = Counter(item.category.id for picture in pictures for item in picture.annotations)
        lacking = Counter(number for picture in pictures for number in not_exhaustive_ids(picture.content))
        found.append({item.name: counts[item.id] for item in data.categories if lacking[item.id] < size or not size})
    return tuple(found)


def _common(data: PictureSet, names: Sequence[str], labelled: Sequence[Mapping[str, int]]) -> tuple[str, ...]:
    lacking = {number for picture in data.pictures for number in not_exhaustive_ids(picture.content)}
    common = tuple(item.name for item in data.categories if item.id not in lacking)
    if not common:
        lists = [f"  {name}: {', '.join(of_set)}" for name, of_set in zip(names, labelled, strict=True)]
        advice = "match them with --rename OLD=NEW"
        raise BoxpaintError("\n".join(["--only-common: no class is labelled on every picture:", *lists, advice]))
    return common


def _unlabelled(data: PictureSet, names: Sequence[str], labelled: Sequence[Mapping[str, int]]) -> Iterator[str]:
    """Say which categories not all of the data sets label, and what comes of it."""
    kept = {item.name for item in data.categories}
    groups: dict[tuple[str, ...], list[str]] = {}
    for item in dict.fromkeys(name for of_set in labelled for name in of_set):
        lacking = tuple(name for name, of_set in zip(names, labelled, strict=True) if item not in of_set)
        if lacking:
            groups.setdefault(lacking, []).append(item)
    for lacking, items in groups.items():
        gone = " (left out)" if not kept.intersection(items) else ""
        having = ", ".join(name for name, of_set in zip(names, labelled, strict=True) if items[0] in of_set)
        yield f"warning: {', '.join(items)}: labelled in {having}, not in {', '.join(lacking)}{gone}"
    pictures = sum(bool(not_exhaustive_ids(picture.content)) for picture in data.pictures)
    if pictures:
        yield (
            f"  {pictures} pictures say so ({NOT_EXHAUSTIVE}): `boxpaint evaluate` counts no box of such a class there "
            "as wrong, but a training takes what is not labelled for background. Train on what all label: --only-common"
        )


def _mixed(data: PictureSet) -> Iterator[str]:
    """Say where real and painted pictures would be scored together."""
    for split, pictures in data.splits().items():
        counts = Counter(picture.source for picture in pictures)
        if split_of_name(split) in ("val", "test") and counts[SYNTHETIC] and counts[SYNTHETIC] < len(pictures):
            yield (
                f"warning: {split} holds {counts[REAL]} real and {counts[SYNTHETIC]} painted pictures: scores on it, "
                "and weights that a training chooses by it, are not for real pictures alone"
            )


def _changes(before: Sequence[Picture], after: Sequence[Picture]) -> Iterator[str]:
    pairs = list(zip(before, after, strict=True))
    pictures = sum(old.id != new.id for old, new in pairs)
    labels = sum(
        one.id != two.id for old, new in pairs for one, two in zip(old.annotations, new.annotations, strict=True)
    )
    if pictures or labels:
        yield f"{pictures} pictures and {labels} labels got new ids: others had theirs"
    renamed = [f"{old.name} is {new.name}" for old, new in pairs if old.name != new.name]
    if renamed:
        yield f"{len(renamed)} pictures got new names: others had theirs, such as {renamed[0]}"


def _leaks(pictures: Sequence[Picture], on_picture: OnPicture | None) -> Iterator[str]:
    """Say which pictures of different splits show nearly the same. Raises DatasetError for a damaged picture."""

    def paths() -> Iterator[Path]:
        for number, picture in enumerate(pictures):
            if on_picture is not None:
                on_picture(number, len(pictures))
            yield picture.path

    groups: dict[int, list[Picture]] = {}
    for picture, group in zip(pictures, near_duplicate_groups(paths()), strict=True):
        groups.setdefault(group, []).append(picture)
    across = [found for found in groups.values() if len({picture.split for picture in found}) > 1]
    if across:
        yield f"warning: {len(across)} times nearly the same picture is in two splits"
    for found in across[:_SHOWN_GROUPS]:
        yield "  " + ", ".join(f"{picture.name} ({picture.split})" for picture in found[:4])
