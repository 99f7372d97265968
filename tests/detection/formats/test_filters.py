"""Which labels and pictures go out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detection.datasets.picture_set import Category, Picture, PictureSet, read_picture_set
from detection.formats.filters import _pick_even, apply_filters, shares_of
from detection.formats.target import ExportOptions
from generator.foundation.errors import DatasetError
from tests.detection.formats.sets import NAMES, annotation


def made_set(counts: dict[str, list[tuple[int, int]]]) -> PictureSet:
    """Splits with pictures that hold so many objects of each of two classes."""
    categories = tuple(Category(id=number, name=name, content={}) for number, name in ((1, "a"), (2, "b")))
    pictures = []
    for split, rows in counts.items():
        for row in rows:
            labels = [category for category, many in zip(categories, row, strict=True) for _ in range(many)]
            name = f"{len(pictures)}.png"
            picture = Picture(
                id=len(pictures) + 1,
                path=Path(name),
                name=name,
                split=split,
                width=1,
                height=1,
                annotations=tuple(map(annotation, labels)),
                content={},
            )
            pictures.append(picture)
    return PictureSet(categories=categories, pictures=tuple(pictures), heads={split: {} for split in counts})


def labels_of(data: PictureSet) -> Counter[str]:
    return Counter(item.category.name for picture in data.pictures for item in picture.objects)


def test_classes_in_their_order_with_their_ids(pets: Path) -> None:
    data = read_picture_set(pets)
    chosen = apply_filters(data, ExportOptions(classes=("WEISSER HUND",)), where="pets")
    assert [(item.id, item.name) for item in chosen.categories] == [(5, NAMES[1])]
    assert [len(picture.annotations) for picture in chosen.pictures] == [1, 1, 0, 0]
    both = apply_filters(data, ExportOptions(classes=NAMES[::-1]), where="pets")
    assert both.numbers() == {5: 0, 1: 1}


def test_scores_leave_labels_out_and_say_so(pets: Path) -> None:
    data = read_picture_set(pets)
    chosen = apply_filters(data, ExportOptions(min_score=0.5), where="pets")
    assert [item.id for picture in chosen.pictures for item in picture.annotations] == [11, 13, 14, 21]
    assert chosen.notes == ("1 labels with a score below 0.5 are left out", "2 labels have no score and stay")


WRONG = {
    "unknown": (ExportOptions(classes=("rat",)), "'rat'; this class is not in it; classes of pets: house cat"),
    "nothing": (ExportOptions(classes=NAMES[1:], min_score=0.95, max_images=1), "no label is left after --classes"),
}


@pytest.mark.parametrize(("options", "words"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_chosen(pets: Path, options: ExportOptions, words: str) -> None:
    data = read_picture_set(pets)
    data = data.with_pictures([picture for picture in data.pictures if picture.id in (3, 8)])
    with pytest.raises(DatasetError, match=words):
        apply_filters(data, options, where="pets")


@pytest.mark.parametrize(
    ("sizes", "total", "parts"),
    [
        ([], 5, []),
        ([80, 15, 5], 10, [8, 1, 1]),
        ([80, 15, 5], 2, [2, 0, 0]),
        ([3, 1], 10, [3, 1]),
        ([0, 4], 1, [0, 1]),
    ],
)
def test_shares(sizes: list[int], total: int, parts: list[int]) -> None:
    assert shares_of(sizes, total) == parts


@given(sizes=st.lists(st.integers(0, 50), max_size=6), total=st.integers(0, 400))
def test_shares_add_up(sizes: list[int], total: int) -> None:
    parts = shares_of(sizes, total)
    assert sum(parts) == min(total, sum(sizes))
    assert all(0 <= part <= size for part, size in zip(parts, sizes, strict=True))


def test_pictures_are_spread_and_seeded() -> None:
    data = made_set({"train": [(1, 0)] * 100, "val": [(0, 1)] * 20})
    found = [apply_filters(data, ExportOptions(max_images=12, seed=seed), where="x") for seed in (1, 1, 2)]
    ids = [[picture.id for picture in each.pictures] for each in found]
    assert ids[0] == ids[1] != ids[2]
    assert Counter(picture.split for picture in found[0].pictures) == {"train": 10, "val": 2}
    assert set(np.diff(ids[0][:10]).tolist()) == {10}


def test_a_split_that_is_left_empty_is_no_split() -> None:
    data = made_set({"train": [(1, 0)] * 100, "val": [(0, 1)]})
    chosen = apply_filters(data, ExportOptions(max_images=1), where="x")
    assert list(chosen.splits()) == ["train"]
    assert chosen.notes == ("there is no picture in val: left out",)


def test_balanced_takes_what_the_rarest_class_needs() -> None:
    data = made_set({"train": [(5, 0)] * 6 + [(1, 0)] * 10 + [(0, 1)] * 4 + [(0, 0)] * 3})
    chosen = apply_filters(data, ExportOptions(balanced=True), where="x")
    assert labels_of(chosen)["b"] == 4
    assert 4 <= labels_of(chosen)["a"] <= 8
    assert all(picture.objects for picture in chosen.pictures)
    assert "balanced: " in chosen.notes[0]


def test_balanced_with_a_number() -> None:
    data = made_set({"train": [(1, 0)] * 50 + [(0, 1)] * 10, "val": [(2, 0)] * 5 + [(0, 2)] * 5})
    chosen = apply_filters(data, ExportOptions(balanced=True, max_images=14), where="x")
    assert Counter(picture.split for picture in chosen.pictures) == {"train": 12, "val": 2}
    assert labels_of(chosen) == {"a": 8, "b": 8}


@given(
    rows=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=20),
    wanted=st.one_of(st.none(), st.integers(1, 25)),
)
def test_picks_are_different_pictures_with_objects(rows: list[tuple[int, int, int]], wanted: int | None) -> None:
    counts = np.array(rows)
    picked = list(_pick_even(counts, np.arange(len(rows))[::-1], wanted))
    assert len(set(picked)) == len(picked)
    with_objects = int(np.count_nonzero(counts.sum(axis=1)))
    if wanted is not None:
        assert len(picked) == min(wanted, with_objects)
    elif picked:
        totals = counts.sum(axis=0)
        assert (counts[picked].sum(axis=0)[totals > 0] >= totals[totals > 0].min()).all()
