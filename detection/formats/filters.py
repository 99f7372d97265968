"""Which labels and pictures go out: by class, by score, and so many of them, seeded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from detection.datasets.categories import matching
from detection.datasets.picture_set import Annotation, Category, Picture, PictureSet, with_category_ids
from detection.formats.target import ExportOptions
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.seeds import derive_rng
from generator.plan.balance import shared_out

# Positions below the seed: generator/foundation/seeds.py.
_SPREAD, _BALANCE = 0, 1


def apply_filters(data: PictureSet, options: ExportOptions, *, where: str) -> PictureSet:
    """Choose labels by class and score, then pictures. Raises DatasetError when none is left, or a class is unknown.

    Pictures of which no label is left stay, as pictures without objects: but for `balanced`, which takes none of them.
    """
    had_objects = any(picture.objects for picture in data.pictures)
    if options.classes:
        data = _of_classes(data, options.classes, where)
    if options.min_score is not None:
        data = _above_score(data, options.min_score)
    if options.balanced:
        data = _balanced(data, options.max_images, options.seed)
    elif options.max_images is not None:
        data = _spread(data, options.max_images, options.seed)
    if not data.pictures or (had_objects and not any(picture.objects for picture in data.pictures)):
        raise DatasetError([Fault(file=where, expected=_nothing(options) if had_objects else "no pictures are in it")])
    return _without_empty_splits(data)


def shares_of(sizes: Sequence[int], total: int) -> list[int]:
    """Part `total` by largest remainders: proportional to the sizes, at most these, at least 1 each where possible.

    >>> shares_of([80, 15, 5], 10)
    [8, 1, 1]
    """
    total = min(total, sum(sizes))
    parts = shared_out(total, sizes) if total else [0] * len(sizes)
    if total >= sum(size > 0 for size in sizes):
        for place in (place for place, size in enumerate(sizes) if size and not parts[place]):
            # From whoever was rounded up most.
            donor = max(
                (other for other, part in enumerate(parts) if part > 1),
                key=lambda other: parts[other] - total * sizes[other] / sum(sizes),
            )
            parts[donor] -= 1
            parts[place] = 1
    return parts


def _of_classes(data: PictureSet, names: Sequence[str], where: str) -> PictureSet:
    known = {item.name: item for item in data.categories}
    found: dict[str, Category] = {}
    for name in names:
        meant = matching(name, [*known])
        if len(meant) != 1:
            what = "is in it more than once, in other cases" if meant else "is not in it"
            expected = f"this class {what}; classes of {where}: {', '.join(known)}"
            raise DatasetError([Fault(file="--classes", found=name, expected=expected)])
        found[name] = known[meant[0]]
    kept = {category.id: category.id for category in found.values()}
    pictures = [
        replace(_keep(picture, lambda item: item.category.id in kept), content=with_category_ids(picture.content, kept))
        for picture in data.pictures
    ]
    return replace(data.with_pictures(pictures), categories=tuple(dict.fromkeys(found.values())))


def _above_score(data: PictureSet, least: float) -> PictureSet:
    items = [item for picture in data.pictures for item in picture.annotations]
    unknown = sum(item.score is None for item in items)
    pictures = [_keep(picture, lambda item: item.score is None or item.score >= least) for picture in data.pictures]
    gone = len(items) - sum(len(picture.annotations) for picture in pictures)
    notes = [f"{gone} labels with a score below {least:g} are left out"]
    if unknown:
        notes.append(f"{unknown} labels have no score and stay")
    return data.with_pictures(pictures, *notes)


def _keep(picture: Picture, wanted: Callable[[Annotation], bool]) -> Picture:
    return replace(picture, annotations=tuple(item for item in picture.annotations if wanted(item)))


def _spread(data: PictureSet, count: int, seed: int) -> PictureSet:
    """Choose a systematic sample with a random start of each split."""
    splits = data.splits()
    chosen: list[Picture] = []
    parts = shares_of([len(pictures) for pictures in splits.values()], count)
    for number, (pictures, part) in enumerate(zip(splits.values(), parts, strict=True)):
        start = derive_rng(seed, _SPREAD, number).random()
        chosen += [pictures[int((start + step) * len(pictures) / part)] for step in range(part)]
    return data.with_pictures(chosen)


def _balanced(data: PictureSet, count: int | None, seed: int) -> PictureSet:
    """Choose pictures of each split so that its classes are as even as they can be.

    Without `count` there are as many pictures as the rarest class needs.
    """
    splits = data.splits()
    with_objects = [[picture for picture in pictures if picture.objects] for pictures in splits.values()]
    sizes = [len(pictures) for pictures in with_objects]
    parts = shares_of(sizes, count) if count is not None else [None] * len(sizes)
    chosen: list[Picture] = []
    for number, (pictures, part) in enumerate(zip(with_objects, parts, strict=True)):
        rows = [_counts(picture, data.numbers()) for picture in pictures]
        counts = np.array(rows, int).reshape(len(pictures), len(data.categories))
        order = derive_rng(seed, _BALANCE, number).permutation(len(pictures))
        chosen += [pictures[place] for place in sorted(_pick_even(counts, order, part))]
    left: Counter[str] = Counter(item.category.name for picture in chosen for item in picture.objects)
    shown = ", ".join(f"{left[category.name]} {category.name}" for category in data.categories)
    return data.with_pictures(chosen, f"balanced: {len(chosen)} of {len(data.pictures)} pictures, with {shown}")


def _without_empty_splits(data: PictureSet) -> PictureSet:
    empty = [split for split, pictures in data.splits().items() if not pictures]
    heads = {split: head for split, head in data.heads.items() if split not in empty}
    notes = [f"there is no picture in {', '.join(empty)}: left out"] if empty else []
    return replace(data.with_pictures(data.pictures, *notes), heads=heads)


def _counts(picture: Picture, numbers: Mapping[int, int]) -> list[int]:
    found = Counter(numbers[item.category.id] for item in picture.objects)
    return [found[number] for number in range(len(numbers))]


def _pick_even(counts: np.ndarray, order: np.ndarray, wanted: int | None) -> Iterator[int]:
    """Pick rows of `counts`, (pictures, classes), so that the sums of the columns grow evenly.

    Each pick is for the class that has least so far, of its pictures the one with the fewest objects of classes that
    are commoner; `order` decides between equals. Without `wanted` it ends when every class has what the rarest has in
    all.
    """
    totals = counts.sum(axis=0)
    present = [int(number) for number in np.flatnonzero(totals)]
    target = min((int(totals[number]) for number in present), default=0)
    queues: dict[int, list[int]] = {}
    for number in present:
        commoner = counts[:, totals > totals[number]].sum(axis=1)
        rows = [int(row) for row in order if counts[row, number]]
        queues[number] = sorted(rows, key=lambda row: -int(commoner[row]))  # taken from the end
    sums = np.zeros(counts.shape[1], int)
    taken: set[int] = set()
    while queues and len(taken) != wanted:
        number = min(queues, key=lambda number: (sums[number], totals[number]))
        if wanted is None and sums[number] >= target:
            return
        row = queues[number].pop() if queues[number] else None
        if row is None:
            del queues[number]
        elif row not in taken:
            taken.add(row)
            sums += counts[row]
            yield row


def _nothing(options: ExportOptions) -> str:
    asked = [
        f"--classes {','.join(options.classes)}" if options.classes else "",
        f"--min-score {options.min_score:g}" if options.min_score is not None else "",
        "--balanced" if options.balanced else "",
        f"--max-images {options.max_images}" if options.max_images is not None else "",
    ]
    return f"no label is left after {' '.join(text for text in asked if text)}; ask for less"
