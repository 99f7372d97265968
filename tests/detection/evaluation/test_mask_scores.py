"""Mask AP and semantic IoU against numbers worked by hand."""

import math
from pathlib import Path

import pytest

from detection.datasets.types import DetectionDataset, Sample
from detection.evaluation.mask_scores import score_maps, score_masks
from tests.detection.drawn import found, mask, nothing

# 4 x 4 px; a "cell" of 2 x 4 on the left, a "dot" of 1 x 1 at the lower right.
CELL = mask("##..", "##..", "##..", "##..")
DOT = mask("....", "....", "....", "...#")
HALF_CELL = mask("##..", "##..", "....", "....")
NEAR_DOT = mask("....", "....", "...#", "....")


def one_picture(categories: tuple[str, ...] = ("cell", "dot")) -> DetectionDataset:
    sample = Sample.of(
        Path("a.png"),
        (4, 4),
        [[0, 0, 2, 4], [3, 3, 4, 4]],
        [1, 2],
        [[[0, 0, 2, 0, 2, 4, 0, 4]], [[3, 3, 4, 3, 4, 4, 3, 4]]],
    )
    return DetectionDataset(categories=categories, samples=(sample,))


def test_all_right_is_one() -> None:
    scores = score_masks(one_picture(), [found([CELL, DOT], [1, 2], [0.9, 0.8])])
    assert scores.instances.ap == pytest.approx(1)
    assert scores.semantic.mean == 1
    assert scores.semantic.background == 1
    assert dict(scores.semantic.of_category) == {"cell": 1, "dot": 1}


def test_half_a_cell_and_a_dot_beside_its_place() -> None:
    scores = score_masks(one_picture(), [found([HALF_CELL, NEAR_DOT], [1, 2], [0.9, 0.8])])
    # The cell has IoU 4/8: right at the threshold of 0.50, wrong at the nine above. The dot is always wrong.
    assert scores.instances.of_category["cell"].ap == pytest.approx(0.1)
    assert scores.instances.of_category["dot"].ap == 0
    assert scores.instances.ap == pytest.approx(0.05)
    # Background: 16 - 8 - 1 = 7 labelled, 16 - 4 - 1 = 11 found, 6 of both: 6 / 12.
    assert scores.semantic.of_category["cell"] == pytest.approx(4 / 8)
    assert scores.semantic.of_category["dot"] == 0
    assert scores.semantic.background == pytest.approx(6 / 12)
    assert scores.semantic.mean == pytest.approx((6 / 12 + 4 / 8 + 0) / 3)


def test_the_semantic_map_takes_only_what_is_sure() -> None:
    answer = found([CELL, DOT], [1, 2], [0.9, 0.3])
    assert score_maps(one_picture(), [answer]).of_category["dot"] == 0
    assert score_maps(one_picture(), [answer], min_score=0.3).of_category["dot"] == 1


def test_pixels_are_counted_over_all_pictures() -> None:
    data = one_picture().choose([0, 0])
    answers = [found([CELL, DOT], [1, 2], [0.9, 0.8]), nothing((4, 4))]
    # Not the mean of 1 and 0: 8 of 16 labelled pixels of cells; background 7 + 7 of 7 + 16 pixels.
    scores = score_maps(data, answers)
    assert scores.of_category["cell"] == pytest.approx(8 / 16)
    assert scores.background == pytest.approx(14 / 23)


def test_a_category_that_is_nowhere_does_not_count() -> None:
    scores = score_maps(one_picture(("cell", "dot", "rod")), [found([CELL, DOT], [1, 2], [0.9, 0.8])])
    assert math.isnan(scores.of_category["rod"])
    assert scores.mean == 1
    assert scores.to_json() == {
        "min_score": 0.5,
        "mean_iou": 1.0,
        "background": 1.0,
        "categories": {"cell": 1.0, "dot": 1.0, "rod": None},
    }


def test_numbers_of_pictures_must_agree() -> None:
    with pytest.raises(ValueError):
        score_maps(one_picture(), [])
