from __future__ import annotations

from pathlib import Path

import pytest

from detection.datasets.types import DetectionDataset, Sample
from detection.experiment.jobs import choose_subset, shuffle_painted, subset_order


def pictures(*labels: tuple[int, ...]) -> DetectionDataset:
    """Pictures named 0, 1, ... with objects of these labels."""
    samples = [
        Sample.of(Path(f"{number:03}.png"), (8, 8), [[0, 0, 4, 4]] * len(each), list(each))
        for number, each in enumerate(labels)
    ]
    return DetectionDataset(categories=("a", "b", "c"), samples=tuple(samples))


def names(data: DetectionDataset) -> list[str]:
    return [sample.path.stem for sample in data.samples]


RARE = pictures(*[(1,)] * 40, (2,), (1, 3), ())


@pytest.mark.parametrize("subset", range(5))
def test_a_small_subset_holds_every_category_and_lies_in_the_larger_one(subset: int) -> None:
    small, middle = choose_subset(RARE, 7, subset, 3), choose_subset(RARE, 7, subset, 10)
    assert set(small.counts().values()) >= {1}
    assert all(small.counts().values())
    assert names(middle)[:3] == names(small)
    assert sorted(subset_order(RARE, 7, subset)) == list(range(43))


def test_subsets_differ_by_number_and_seed_only() -> None:
    chosen = [names(choose_subset(RARE, seed, subset, 10)) for seed in (0, 1) for subset in (0, 1)]
    assert len({tuple(each) for each in chosen}) == 4
    assert names(choose_subset(RARE, 0, 1, 10)) == chosen[1]


def test_a_category_that_no_picture_shows_is_no_obstacle() -> None:
    assert len(choose_subset(pictures((1,), (1,)), 0, 0, 2)) == 2


def test_more_pictures_than_there_are() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        choose_subset(pictures((1,), (2,)), 0, 0, 3)


def test_painted_pictures_are_shuffled_whatever_their_order_on_disk() -> None:
    data = pictures(*[(1,)] * 20)
    shuffled = names(shuffle_painted(data, 3, 20))
    assert sorted(shuffled) == names(data) != shuffled
    assert names(shuffle_painted(data.choose(range(19, -1, -1)), 3, 20)) == shuffled


def test_a_folder_with_more_painted_pictures_gives_what_one_with_so_many_does() -> None:
    data = pictures(*[(1,)] * 20)
    assert names(shuffle_painted(data, 3, 8)) == names(shuffle_painted(data.choose(range(8)), 3, 8))
