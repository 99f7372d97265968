"""Splits: right shares of every category, groups whole, the same for the same seed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detection.datasets.splits import parse_shares, split_set
from detection.datasets.types import DetectionDataset, Sample
from generator.foundation.errors import ConfigError, DatasetError


def make_set(labels: list[list[int]], categories: int = 3) -> DetectionDataset:
    """A picture for each list: objects of these categories."""
    samples = tuple(
        Sample.of(Path(f"{number}.png"), (10, 10), [[0, 0, 5, 5]] * len(found), found)
        for number, found in enumerate(labels)
    )
    return DetectionDataset(categories=tuple("abcdef"[:categories]), samples=samples)


def names(data: DetectionDataset) -> list[int]:
    return [int(sample.path.stem) for sample in data.samples]


def presence(data: DetectionDataset) -> list[int]:
    """Pictures with each category, then those without any."""
    found = [sum(number in sample.labels for sample in data.samples) for number in range(1, len(data.categories) + 1)]
    return [*found, sum(len(sample.labels) == 0 for sample in data.samples)]


def test_every_category_has_its_share_the_rare_ones_too() -> None:
    # 100 pictures: a in all but the 10 empty ones, b in 30, c in 10.
    labels = [[1] + [2] * (number % 3 == 0) + [3] * (number % 9 == 0) for number in range(90)] + [[]] * 10
    data = make_set(labels)
    assert presence(data) == [90, 30, 10, 10]
    splits = split_set(data, {"train": 0.7, "val": 0.2, "test": 0.1}, seed=1)
    assert {name: presence(found) for name, found in splits.items()} == {
        "train": [63, 21, 7, 7],
        "val": [18, 6, 2, 2],
        "test": [9, 3, 1, 1],
    }
    assert all(names(found) == sorted(names(found)) for found in splits.values())


def test_the_seed_decides() -> None:
    data = make_set([[1], [1, 2], [2], [3]] * 10)
    shares = {"train": 0.5, "val": 0.5}
    assert names(split_set(data, shares, 3)["val"]) == names(split_set(data, shares, 3)["val"])
    assert names(split_set(data, shares, 3)["val"]) != names(split_set(data, shares, 4)["val"])


def test_groups_stay_whole_and_the_shares_still_hold() -> None:
    data = make_set([[1 + number % 3] for number in range(60)])
    groups = [number // 4 for number in range(60)]
    splits = split_set(data, {"train": 0.6, "val": 0.4}, 0, groups)
    sides = [{groups[number] for number in names(found)} for found in splits.values()]
    assert not sides[0] & sides[1]
    assert abs(len(splits["train"]) - 36) <= 4


@pytest.mark.parametrize("seed", range(5))
def test_large_groups_find_room(seed: int) -> None:
    groups = [0] * 10 + [1] * 5 + [2] * 4 + [3]
    splits = split_set(make_set([[1]] * 20), {"train": 0.5, "val": 0.5}, seed, groups)
    assert [len(found) for found in splits.values()] == [10, 10]


def test_fewer_groups_than_splits() -> None:
    with pytest.raises(DatasetError, match="1 x pictures that stay together cannot fill 2 splits"):
        split_set(make_set([[1]] * 3), {"train": 0.5, "val": 0.5}, 0, [0, 0, 0])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    pictures=st.lists(st.tuples(st.lists(st.integers(1, 3), max_size=3), st.integers(0, 8)), min_size=2, max_size=40),
    share=st.sampled_from([0.6, 0.9]),
    seed=st.integers(0, 5),
)
def test_whatever_the_set_every_picture_is_on_one_side(
    pictures: list[tuple[list[int], int]], share: float, seed: int
) -> None:
    data = make_set([labels for labels, _ in pictures])
    groups = [group for _, group in pictures]
    shares = {"a": share, "b": 1 - share}
    if len(set(groups)) < 2:
        groups = list(range(len(pictures)))
    splits = split_set(data, shares, seed, groups)
    assert sorted(names(splits["a"]) + names(splits["b"])) == list(range(len(pictures)))
    assert not {groups[number] for number in names(splits["a"])} & {groups[number] for number in names(splits["b"])}
    assert all(names(found) for found in splits.values())


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("train=0.7,val=0.15,test=0.15", {"train": 0.7, "val": 0.15, "test": 0.15}),
        (" train = 0.5 , val=.5", {"train": 0.5, "val": 0.5}),
        ("all=1", {"all": 1.0}),
    ],
)
def test_shares(text: str, shares: dict[str, float]) -> None:
    assert parse_shares(text) == shares


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'' is no name of a split"),
        ("0.8,0.2", "'0.8' is no name of a split"),
        ("train/x=1", "'train/x' is no name of a split"),
        ("train=0.8,val", "'' is no number"),
        ("train=most", "'most' is no number"),
        ("train=0.8,val=0.3", "they sum to 1.1"),
        ("train=0.5,train=0.5", "'train' is named twice"),
        ("train=1,val=0", "0 is not above 0"),
        ("train=nan,val=1", "nan is not above 0"),
        ("train=80,val=20", "80 is not above 0 and at most 1"),
    ],
)
def test_shares_that_are_none(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_shares(text)
    assert words in str(raised.value)
    assert "train=0.7,val=0.15,test=0.15" in str(raised.value)
    assert np.isclose(sum(parse_shares("train=0.7,val=0.15,test=0.15").values()), 1)
