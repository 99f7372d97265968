"""A data set without masks is refused, with what is missing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from detection.datasets.types import DetectionDataset
from detection.segmenter.labels import check_masks
from generator.foundation.errors import DatasetError
from tests.detection.discs import disc_set


@pytest.fixture()
def discs(tmp_path: Path) -> DetectionDataset:
    """Six pictures, eight discs."""
    return disc_set(tmp_path, 6, seed=0)


def with_mask(discs: DetectionDataset, segmentation: Any) -> DetectionDataset:
    """Give the first object another mask."""
    first = discs.samples[0]
    return replace(
        discs, samples=(replace(first, segmentations=(segmentation, *first.segmentations[1:])), *discs.samples[1:])
    )


def test_masks_everywhere_are_fine(discs: DetectionDataset) -> None:
    check_masks(discs, where="discs")
    check_masks(discs.choose([]), where="nothing")


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        (None, "column 'segmentation': 1 of 8 objects have no segmentation, and a segmenter is trained and scored by"),
        ([[1, 2, 3, 4]], "the mask cannot be used: it is neither polygons nor"),
        ({"size": [48, 64], "counts": [48 * 64]}, "the mask cannot be used: it is empty"),
        ({"size": [10, 20], "counts": [0, 200]}, "the mask cannot be used: it is 20 x 10 px, its picture 64 x 48"),
        ("rubbish", "the mask cannot be used: it is neither polygons nor"),
    ],
)
def test_a_mask_that_cannot_be_used_is_named(discs: DetectionDataset, segmentation: Any, words: str) -> None:
    with pytest.raises(DatasetError) as error:
        check_masks(with_mask(discs, segmentation), where="discs:train")
    x, y = discs.samples[0].boxes_xyxy[0, :2]
    for each in (words, f"red at x {x:.0f}, y {y:.0f} in disc_train_000.png"):
        assert each in str(error.value)
    assert str(error.value).startswith("discs:train: column ")


def test_a_long_list_is_cut(discs: DetectionDataset) -> None:
    bare = with_mask(discs, None).samples[0]
    with pytest.raises(DatasetError, match=r"30 of 30 objects .*disc_train_000\.png; and 10 more$"):
        check_masks(replace(discs, samples=(bare,) * 30), where="discs")
