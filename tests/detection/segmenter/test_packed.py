"""Detections with encoded masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detection.detectors.types import Detections
from detection.segmenter.maps import masks_of
from detection.segmenter.packed import PackedDetections
from tests.detection.segmenter.drawn import found, mask, nothing


@settings(derandomize=True, max_examples=30, deadline=None)
@given(arrays(bool, st.tuples(st.integers(0, 3), st.integers(1, 7), st.integers(1, 7))))
def test_masks_come_back_as_they_were(masks: np.ndarray) -> None:
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


def test_it_is_a_sequence() -> None:
    packed = PackedDetections([nothing((1, 2)), found([mask("#.")], [1], [0.5])])
    assert len(packed) == 2
    assert [len(each.labels) for each in packed] == [0, 1]
    assert packed[-1].labels.tolist() == packed[1:][0].labels.tolist() == [1]
    with pytest.raises(IndexError):
        packed[2]
