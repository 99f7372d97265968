from pathlib import Path

import numpy as np
import pytest

from detection.datasets.types import DetectionDataset, Detections, Sample
from detection.evaluation.mistakes import WorkingPoint, best_working_point, find_mistakes, match_pictures
from tests.detection.drawn import boxes


@pytest.fixture()
def data() -> DetectionDataset:
    """An empty picture, one with an object of a, one with an object of b and two of a."""
    far, near, third = [60, 60, 90, 90], [0, 0, 20, 20], [0, 60, 30, 90]
    return DetectionDataset(
        categories=("a", "b"),
        samples=(
            Sample.of(Path("0.png"), (100, 100), [], []),
            Sample.of(Path("1.png"), (100, 100), [near], [1]),
            Sample.of(Path("2.png"), (100, 100), [far, near, third], [2, 1, 1]),
        ),
    )


@pytest.fixture()
def found() -> list[Detections]:
    return [
        boxes(([10, 10, 20, 20], 1, 0.35)),
        # The right place, but the wrong category; then the right one, twice.
        boxes(([0, 0, 20, 20], 2, 0.9), ([0, 0, 20, 19], 1, 0.8), ([0, 0, 20, 20], 1, 0.2)),
        boxes(([0, 0, 20, 20], 1, 0.7), ([60, 60, 90, 90], 2, 0.6)),
    ]


def test_a_box_of_a_class_that_its_picture_does_not_label_is_neither_right_nor_wrong(found: list[Detections]) -> None:
    near = [[0, 0, 20, 20]]
    samples = [Sample.of(Path(f"{n}.png"), (100, 100), near, [1], not_exhaustive=[1, 2]) for n in range(3)]
    data = DetectionDataset(categories=("a", "b"), samples=tuple(samples))
    matches = match_pictures(data, found)
    assert [match.ignored.tolist() for match in matches] == [[True], [True, False, True], [False, True]]
    expected = WorkingPoint(min_score=float(np.float32(0.7)), precision=1.0, recall=2 / 3, f1=0.8)
    assert best_working_point(data, found, matches) == expected
    assert [item.wrong for item in find_mistakes(data, found, matches, min_score=0.1)] == [(), (), ()]


def test_each_object_is_found_once_by_the_surest_box_of_its_category(
    data: DetectionDataset, found: list[Detections]
) -> None:
    matches = match_pictures(data, found)
    assert [match.label_of.tolist() for match in matches] == [[-1], [-1, 0, -1], [1, 0]]
    assert [match.right.tolist() for match in matches] == [[False], [False, True, False], [True, True]]


def test_the_best_score_to_ask_for(data: DetectionDataset, found: list[Detections]) -> None:
    # Best first: wrong, right, right, right, wrong, wrong; four objects. F1 = 2 hits / (taken + 4):
    # 0/5, 2/6, 4/7, 6/8, 6/9, 6/10.
    point = best_working_point(data, found, match_pictures(data, found))
    assert point is not None
    assert point.min_score == pytest.approx(0.6)
    assert (point.precision, point.recall, point.f1) == (0.75, 0.75, 0.75)


def test_of_equal_scores_all_are_taken() -> None:
    data = DetectionDataset(categories=("a",), samples=(Sample.of(Path("0.png"), (99, 99), [[0, 0, 9, 9]], [1]),))
    found = [boxes(([0, 0, 9, 9], 1, 0.5), ([50, 50, 60, 60], 1, 0.5))]
    point = best_working_point(data, found, match_pictures(data, found))
    assert point is not None
    assert (point.precision, point.recall) == (0.5, 1.0)


def test_nothing_right_has_no_best_score(data: DetectionDataset) -> None:
    nothing = [boxes()] * 3
    assert best_working_point(data, nothing, match_pictures(data, nothing)) is None


def test_mistakes_worst_picture_first(data: DetectionDataset, found: list[Detections]) -> None:
    mistakes = find_mistakes(data, found, match_pictures(data, found), min_score=0.3)
    assert [(item.picture, item.right, item.wrong, item.missed) for item in mistakes] == [
        (0, (), (0,), ()),
        (1, (1,), (0,), ()),
        (2, (0, 1), (), (2,)),
    ]
    surer = find_mistakes(data, found, match_pictures(data, found), min_score=0.65)
    assert [(item.picture, item.right, item.wrong, item.missed, item.count) for item in surer] == [
        (2, (0,), (), (0, 2), 2),
        (1, (1,), (0,), (), 1),
        (0, (), (), (), 0),
    ]
