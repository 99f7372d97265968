from __future__ import annotations

import numpy as np
import pytest

from detection.detectors.batches import Augmentation, Picture


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
