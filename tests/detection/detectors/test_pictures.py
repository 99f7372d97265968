from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detection.datasets.types import Sample
from detection.detectors.batches import PictureStore, read_picture, resize
from generator.foundation.errors import DatasetError


@pytest.fixture()
def sample(tmp_path: Path) -> Sample:
    """A picture of 40 x 20, white in the box 10 0 20 10, whose mask is the box."""
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:10, 10:20] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return Sample.of(
        tmp_path / "a.png", (40, 20), [[10, 0, 20, 10]], [2], [[[10.0, 0.0, 20.0, 0.0, 20.0, 10.0, 10.0, 10.0]]]
    )


def test_picture_boxes_and_masks_are_scaled_together(sample: Sample) -> None:
    picture = read_picture(sample, (20, 20), with_masks=True)
    assert picture.boxes_xyxy.tolist() == [[5, 0, 10, 10]]
    assert picture.labels.tolist() == [2]
    white = picture.image[..., 0] > 127
    assert picture.masks is not None
    assert np.array_equal(picture.masks[0].astype(bool), white)
    assert white.sum() == 50


def test_smaller_is_by_area_and_larger_is_linear() -> None:
    stripes = np.zeros((2, 4, 3), np.uint8)
    stripes[:, ::2] = 200
    assert resize(stripes, (2, 1)).ravel().tolist() == [100] * 6
    assert resize(stripes[:1, :2], (4, 1))[0, :, 0].tolist() == [200, 150, 50, 0]
    assert resize(stripes, (4, 2)) is stripes


def test_a_picture_that_is_not_as_large_as_its_labels_say_is_refused(sample: Sample) -> None:
    Image.new("RGB", (20, 40)).save(sample.path)
    with pytest.raises(DatasetError, match=r"a\.png: found '20 x 40'; its labels are for 40 x 20 px"):
        read_picture(sample, (20, 20), with_masks=False)


@pytest.mark.parametrize(("mask", "reason"), [(None, "it has none"), ([[1.0, 2.0]], "three points")])
def test_a_segmenter_needs_every_mask(sample: Sample, mask: object, reason: str) -> None:
    broken = Sample.of(sample.path, (40, 20), sample.boxes_xyxy, sample.labels, [mask])
    with pytest.raises(DatasetError, match=f"object 1.*needs a mask of every object: .*{reason}"):
        read_picture(broken, (20, 20), with_masks=True)


def test_a_picture_without_objects_has_empty_arrays(sample: Sample) -> None:
    picture = read_picture(Sample.of(sample.path, (40, 20), [], []), (20, 10), with_masks=True)
    assert picture.boxes_xyxy.shape == (0, 4)
    assert picture.masks is not None
    assert picture.masks.shape == (0, 10, 20)


def test_what_fits_is_read_once_and_the_rest_each_time(sample: Sample) -> None:
    bytes_of_one = read_picture(sample, (20, 20), with_masks=False).nbytes
    store = PictureStore((20, 20), with_masks=False, cache_bytes=bytes_of_one)
    again = Sample.of(sample.path, (40, 20), [], [])  # the same picture with other labels
    kept = store.read(sample)
    assert store.read(sample) is kept
    assert store.read(again).boxes_xyxy.shape == (0, 4)
    assert store.read(again) is not store.read(again)
