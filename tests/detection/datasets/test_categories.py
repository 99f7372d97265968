from pathlib import Path

import pytest

from detection.datasets.categories import check_same_categories, choose_categories, rename_categories
from detection.datasets.types import DetectionDataset, Sample
from generator.foundation.errors import BoxpaintError, DatasetError


@pytest.fixture()
def cells() -> DetectionDataset:
    boxes = [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]]
    sample = Sample.of(Path("a.png"), (99, 99), boxes, [1, 2, 3], ["first", "second", "third"])
    return DetectionDataset(categories=("RBC", "wbc", "Platelets"), samples=(sample,))


def test_chosen_categories_take_the_wanted_names_and_order(cells: DetectionDataset) -> None:
    chosen = choose_categories(cells, ("Platelets", "WBC"), where="x")
    assert chosen.categories == ("Platelets", "WBC")
    (sample,) = chosen.samples
    assert sample.labels.tolist() == [2, 1]
    assert sample.boxes_xyxy[:, 0].tolist() == [20, 40]
    assert sample.segmentations == ("second", "third")
    assert cells.samples[0].labels.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("names", "wanted", "words"),
    [
        (("a", "b"), ("a", "c", "d"), ["no category 'c', 'd'", "its categories: a, b", "needed: a, c, d", "--rename"]),
        (("wbc", "Wbc"), ("WBC",), ["more than one category 'WBC'", "wbc, Wbc"]),
    ],
)
def test_what_does_not_fit_names_both_lists(names: tuple[str, ...], wanted: tuple[str, ...], words: list[str]) -> None:
    with pytest.raises(DatasetError) as caught:
        choose_categories(DetectionDataset(categories=names, samples=()), wanted, where="discs")
    for word in ("discs", *words):
        assert word in str(caught.value)


def test_a_name_in_the_right_case_goes_before_one_in_another() -> None:
    sample = Sample.of(Path("a.png"), (9, 9), [[0, 0, 4, 4], [0, 0, 5, 5]], [1, 2])
    both = DetectionDataset(categories=("wbc", "WBC"), samples=(sample,))
    assert choose_categories(both, ("WBC",), where="x").samples[0].boxes_xyxy.tolist() == [[0, 0, 5, 5]]


def test_renaming_may_join_two_categories(cells: DetectionDataset) -> None:
    renamed = rename_categories(cells, {"rbc": "cell", "WBC": "cell", "nothing": "x"})
    assert renamed.categories == ("cell", "Platelets")
    assert renamed.samples[0].labels.tolist() == [1, 1, 2]
    assert rename_categories(cells, {}).categories == cells.categories


def test_the_same_categories_in_any_order_and_case() -> None:
    def named(*names: str) -> DetectionDataset:
        return DetectionDataset(categories=names, samples=())

    check_same_categories({"real": named("a", "B"), "painted": named("b", "A")})
    with pytest.raises(BoxpaintError) as caught:
        check_same_categories({"real": named("a", "b", "c"), "painted": named("B", "c")})
    message = str(caught.value)
    for words in ("real: a, b, c", "painted: B, c", "--categories b,c", "--rename"):
        assert words in message
    with pytest.raises(BoxpaintError) as caught:
        check_same_categories({"real": named("a"), "painted": named("b")})
    assert "--categories" not in str(caught.value)
