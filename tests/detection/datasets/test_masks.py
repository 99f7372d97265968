"""Masks that overlap drawn into one map, packed, checked, and outlined where a detector gives none."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detection.datasets.masks import (
    PackedDetections,
    check_masks,
    front_object,
    labelled_map,
    masks_of,
    outline,
    semantic_map,
)
from detection.datasets.types import DetectionDataset, Detections, Sample
from generator.foundation.errors import DatasetError
from tests.detection.discs import disc_set
from tests.detection.drawn import boxes, found, mask, nothing

LEFT = mask("##..", "##..")
MIDDLE = mask(".##.", ".##.")


@pytest.mark.parametrize(
    ("masks", "objects", "categories"),
    [
        pytest.param([], [[0, 0, 0, 0]] * 2, [[0, 0, 0, 0]] * 2, id="nothing"),
        pytest.param([LEFT], [[1, 1, 0, 0]] * 2, [[3, 3, 0, 0]] * 2, id="one"),
        pytest.param([LEFT, MIDDLE], [[1, 1, 2, 0]] * 2, [[3, 3, 1, 0]] * 2, id="the first is in front"),
        pytest.param([MIDDLE, LEFT], [[2, 1, 1, 0]] * 2, [[1, 3, 3, 0]] * 2, id="the other way round"),
        pytest.param([LEFT, LEFT], [[1, 1, 0, 0]] * 2, [[3, 3, 0, 0]] * 2, id="hidden"),
    ],
)
def test_the_first_mask_is_in_front(
    masks: list[np.ndarray], objects: list[list[int]], categories: list[list[int]]
) -> None:
    stacked = np.array(masks, bool).reshape(-1, 2, 4)
    labels = np.array([3, 1][: len(masks)], np.int64)
    assert front_object(stacked).tolist() == objects
    drawn = semantic_map(stacked, labels)
    assert drawn.tolist() == categories
    assert drawn.dtype == front_object(stacked).dtype == np.uint16


def test_many_objects_keep_their_numbers() -> None:
    masks = np.eye(300, dtype=bool).reshape(300, 15, 20)
    assert front_object(masks).reshape(-1).tolist() == list(range(1, 301))


def test_of_labels_the_smaller_object_is_in_front() -> None:
    objects = [([0, 0, 4, 2], 1, [[0, 0, 4, 0, 4, 2, 0, 2]]), ([1, 0, 2, 2], 2, [[1, 0, 2, 0, 2, 2, 1, 2]])]
    for order in (objects, objects[::-1]):
        sample = Sample.of(Path("x.png"), (4, 2), *map(list, zip(*order, strict=True)))
        assert labelled_map(sample).tolist() == [[1, 2, 1, 1]] * 2


def test_what_has_no_masks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"x\.png: object 1 has no mask"):
        labelled_map(Sample.of(Path("x.png"), (4, 2), [[0, 0, 2, 2]], [1]))
    with pytest.raises(ValueError, match="without masks"):
        masks_of(boxes())


@settings(derandomize=True, max_examples=30, deadline=None)
@given(arrays(bool, st.tuples(st.integers(0, 3), st.integers(1, 7), st.integers(1, 7))))
def test_packed_masks_come_back_as_they_were(masks: np.ndarray) -> None:
    count = len(masks)
    answer = Detections(
        boxes_xyxy=np.zeros((count, 4), np.float32),
        labels=np.arange(count),
        scores=np.ones(count, np.float32),
        masks=masks,
    )
    (back,) = PackedDetections([answer])
    assert np.array_equal(masks_of(back), masks)
    assert back.masks is not None and back.masks.dtype == bool
    assert back.labels is answer.labels


def test_packed_detections_are_a_sequence() -> None:
    packed = PackedDetections([nothing((1, 2)), found([mask("#.")], [1], [0.5])])
    assert len(packed) == 2
    assert [len(each.labels) for each in packed] == [0, 1]
    assert packed[-1].labels.tolist() == packed[1:][0].labels.tolist() == [1]
    with pytest.raises(IndexError):
        packed[2]


def disc_on_grey(centre_xy: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A picture of 80 x 60 px with a red disc of 24 px, and the disc's mask."""
    y, x = np.mgrid[:60, :80]
    disc = (x - centre_xy[0]) ** 2 + (y - centre_xy[1]) ** 2 < 12**2
    noise = np.random.default_rng(0).integers(-8, 9, (60, 80, 3))
    picture = np.where(disc[..., None], (200, 40, 60), (150, 150, 150)) + noise
    return np.clip(picture, 0, 255).astype(np.uint8), disc


@pytest.mark.parametrize("centre_xy", [(40, 30), (14, 14), (66, 46)])
def test_what_stands_out_in_a_box_is_outlined(centre_xy: tuple[int, int]) -> None:
    picture, disc = disc_on_grey(centre_xy)
    x, y = centre_xy
    box = np.array([x - 14, y - 14, x + 14, y + 14], np.float32)
    traced = outline(picture, box)
    assert traced is not None
    assert (traced & disc).sum() / (traced | disc).sum() > 0.9
    assert np.array_equal(traced, outline(picture, box))


@pytest.mark.parametrize(
    "box",
    [
        pytest.param([10, 10, 12, 40], id="too thin to tell"),
        pytest.param([0, 0, 80, 60], id="the whole picture: nothing lies around it"),
        pytest.param([-5, -5, 200, 100], id="more than the picture"),
    ],
)
def test_where_nothing_can_stand_out_there_is_no_mask(box: list[float]) -> None:
    assert outline(disc_on_grey((40, 30))[0], np.array(box, np.float32)) is None


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
