from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from detection.datasets.types import Sample
from detection.detectors.batches import Augmentation, MixOrder, Picture, PictureStore, read_picture, resize
from generator.foundation.errors import DatasetError


def drawn(order: MixOrder, steps: int, batch_size: int) -> list[tuple[int, int]]:
    return [pick for step in range(steps) for pick in order.batch(step, batch_size)]


def test_one_set_is_gone_through_in_shuffled_rounds() -> None:
    picks = drawn(MixOrder([5], [1.0], seed=3), 4, 5)
    rounds = [[number for _, number in picks[start : start + 5]] for start in range(0, 20, 5)]
    assert all(sorted(each) == [0, 1, 2, 3, 4] for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1


def test_shares_are_met_over_time_even_where_a_batch_cannot_hold_them() -> None:
    picks = drawn(MixOrder([100, 3], [0.9, 0.1], seed=0), 50, 4)  # 0.4 pictures of the small set in a batch
    assert Counter(which for which, _ in picks) == {0: 180, 1: 20}
    assert sorted(Counter(number for which, number in picks if which == 1).values()) == [6, 7, 7]


@settings(derandomize=True, max_examples=50, deadline=None)
@given(
    parts=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    batch_size=st.integers(1, 7),
    steps=st.integers(1, 30),
)
def test_no_set_is_ever_a_picture_behind_or_ahead_by_more_than_there_are_sets(
    parts: list[int], batch_size: int, steps: int
) -> None:
    shares = [part / sum(parts) for part in parts]
    counts = Counter[int]()
    order = MixOrder([7] * len(parts), shares, seed=1)
    for number, (which, _) in enumerate(drawn(order, steps, batch_size), start=1):
        counts[which] += 1
        assert all(abs(counts[each] - share * number) < len(parts) for each, share in enumerate(shares))


def test_a_batch_depends_on_its_step_alone() -> None:
    in_order = MixOrder([11, 4], [0.7, 0.3], seed=9)
    batches = [in_order.batch(step, 3) for step in range(12)]
    other = MixOrder([11, 4], [0.7, 0.3], seed=9)
    assert [other.batch(step, 3) for step in (11, 4, 0, 7)] == [batches[step] for step in (11, 4, 0, 7)]
    assert MixOrder([11, 4], [0.7, 0.3], seed=8).batch(0, 3) != batches[0]


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


@pytest.fixture(scope="module")
def augment() -> Augmentation:
    return Augmentation(vertical_flip=True)


def quarters() -> Picture:
    """Four quarters of different light, and a box with its mask in each."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24] += 60
    image[:, :32] += 120
    boxes = [[8, 8, 20, 18], [40, 6, 56, 20], [10, 30, 24, 40], [44, 28, 60, 44]]
    masks = np.zeros((4, 48, 64), np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = 1
    return Picture(
        image=image, boxes_xyxy=np.array(boxes, np.float32), labels=np.array([1, 2, 3, 4], np.int64), masks=masks
    )


def test_the_same_seed_gives_the_same_picture_whatever_came_before(augment: Augmentation) -> None:
    first = [augment(quarters(), seed) for seed in range(8)]
    second = {seed: augment(quarters(), seed) for seed in reversed(range(8))}
    for seed, picture in enumerate(first):
        assert np.array_equal(picture.image, second[seed].image)
        assert np.array_equal(picture.boxes_xyxy, second[seed].boxes_xyxy)
    assert len({picture.image.tobytes() for picture in first}) == 8


def test_boxes_labels_and_masks_stay_together(augment: Augmentation) -> None:
    seen = 0
    for seed in range(40):
        picture = augment(quarters(), seed)
        assert picture.masks is not None
        assert len(picture.labels) == len(picture.boxes_xyxy) == len(picture.masks)
        assert np.all(picture.boxes_xyxy >= 0)
        assert np.all(picture.boxes_xyxy <= [64, 48, 64, 48])
        for box, mask in zip(picture.boxes_xyxy, picture.masks, strict=True):
            rows, columns = np.nonzero(mask)
            around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert np.abs(around - box).max() < 1.5
            seen += 1
    assert seen > 120


def test_an_object_that_is_mostly_outside_is_dropped(augment: Augmentation) -> None:
    corner = Picture(
        image=quarters().image, boxes_xyxy=np.array([[0, 0, 6, 6]], np.float32), labels=np.array([1], np.int64)
    )
    counts = [len(augment(corner, seed).labels) for seed in range(60)]
    assert set(counts) == {0, 1}


def test_flips_are_drawn_independently_and_vertical_ones_only_when_asked_for() -> None:
    found = {vertical: np.zeros((2, 2), int) for vertical in (False, True)}
    for vertical, table in found.items():
        augment = Augmentation(vertical_flip=vertical)
        for seed in range(200):
            light = augment(quarters(), seed).image.mean(2)
            table[int(light[:, :10].mean() < light[:, -10:].mean()), int(light[:10].mean() < light[-10:].mean())] += 1
    assert found[False][:, 1].tolist() == [0, 0]
    assert found[False][:, 0].min() > 70
    assert found[True].min() > 30  # about 50 each


def test_a_picture_without_objects_passes(augment: Augmentation) -> None:
    empty = Picture(
        image=quarters().image,
        boxes_xyxy=np.zeros((0, 4), np.float32),
        labels=np.zeros(0, np.int64),
        masks=np.zeros((0, 48, 64), np.uint8),
    )
    picture = augment(empty, 1)
    assert picture.boxes_xyxy.shape == (0, 4)
    assert picture.masks is not None
    assert picture.masks.shape == (0, 48, 64)
