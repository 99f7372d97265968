"""Masks that overlap, drawn into one map."""

from pathlib import Path

import numpy as np
import pytest

from detection.datasets.types import Sample
from detection.detectors.types import Detections
from detection.segmenter.maps import front_object, labelled_map, masks_of, semantic_map
from tests.detection.segmenter.drawn import mask

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
    polygon = [[0, 0, 4, 0, 4, 2, 0, 2]]
    small = [[1, 0, 2, 0, 2, 2, 1, 2]]
    boxes = [[0, 0, 4, 2], [1, 0, 2, 2]]
    for order in ([0, 1], [1, 0]):
        sample = Sample.of(
            Path("x.png"),
            (4, 2),
            [boxes[each] for each in order],
            [[1, 2][each] for each in order],
            [[polygon, small][each] for each in order],
        )
        assert labelled_map(sample).tolist() == [[1, 2, 1, 1]] * 2


def test_a_label_without_a_mask_is_refused() -> None:
    with pytest.raises(ValueError, match=r"x\.png: object 1 has no mask"):
        labelled_map(Sample.of(Path("x.png"), (4, 2), [[0, 0, 2, 2]], [1]))


def test_a_detector_without_masks_is_refused() -> None:
    boxes_only = Detections(
        boxes_xyxy=np.zeros((0, 4), np.float32), labels=np.zeros(0, np.int64), scores=np.zeros(0, np.float32)
    )
    with pytest.raises(ValueError, match="without masks"):
        masks_of(boxes_only)
