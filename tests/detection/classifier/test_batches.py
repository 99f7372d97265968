from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from detection.classifier.batches import Batches, fixed_views
from detection.classifier.crops import Crops, cut_crops
from detection.classifier.settings import ClassifierSettings
from detection.datasets.read import read_detection_set
from generator.foundation.errors import BoxpaintError

SIDE_PX = 16


@pytest.fixture(scope="module")
def real(discs: Path) -> Crops:
    return cut_crops(read_detection_set(discs, split="train"), margin=0.15, side_px=SIDE_PX)


@pytest.fixture(scope="module")
def synthetic(painted: Path) -> Crops:
    return cut_crops(read_detection_set(painted), margin=0.15, side_px=SIDE_PX)


def batches(real: Crops | None, synthetic: Crops | None, seed: int = 3, **options: object) -> Batches:
    settings = ClassifierSettings.model_validate({"batch_size": 10, **options})
    return Batches(real, synthetic, settings, side_px=SIDE_PX, seed=seed)


def test_classes_are_equally_frequent_however_rare_they_are(real: Crops) -> None:
    rare = real.choose([*np.flatnonzero(real.labels == 0), *np.flatnonzero(real.labels == 1)[:1]])
    for step in range(5):
        _, labels = batches(rare, None).batch(step)
        assert Counter(labels.tolist()) == {0: 5, 1: 5}


@pytest.mark.parametrize(
    ("counts", "real_share", "expected"),
    # By default a class has the more places the more real crops there are: 1 / 5 for one, half for four
    [((1, 1), 0.2, (0.2, 0.2)), ((1, 1), 0.9, (0.9, 0.9)), ((1, 4), None, (0.2, 0.5))],
)
def test_each_class_has_its_share_of_real_crops(
    real: Crops, synthetic: Crops, counts: tuple[int, int], real_share: float | None, expected: tuple[float, float]
) -> None:
    few = real.choose([n for label in (0, 1) for n in np.flatnonzero(real.labels == label)[: counts[label]].tolist()])
    drawn = [crop for step in range(100) for crop in batches(few, synthetic, real_share=real_share).crops(step)]
    pictures = {item.picture for item in few.items}
    shares = [np.mean([crop.picture in pictures for crop in drawn if crop.label == label]) for label in (0, 1)]
    assert shares == pytest.approx(expected, abs=0.06)


def test_a_class_that_only_one_side_has_is_taken_from_there(real: Crops, synthetic: Crops) -> None:
    first = synthetic.choose(np.flatnonzero(synthetic.labels == 0).tolist())
    drawn = [crop for step in range(20) for crop in batches(real, first).crops(step)]
    from_real = {crop.picture for crop in drawn if crop.label == 1}
    assert from_real <= {item.picture for item in real.items}
    assert Counter(crop.label for crop in drawn) == {0: 100, 1: 100}


def test_a_batch_depends_on_seed_and_step_alone(real: Crops, synthetic: Crops) -> None:
    first, second = batches(real, synthetic), batches(real, synthetic)
    pixels, labels = first.batch(7)
    assert pixels.shape == (10, SIDE_PX, SIDE_PX, 3)
    assert pixels.dtype == np.uint8
    for step in (0, 1, 7):
        later = second.batch(step)
    assert np.array_equal(pixels, later[0])
    assert np.array_equal(labels, later[1])
    assert not np.array_equal(pixels, first.batch(8)[0])
    assert not np.array_equal(pixels, batches(real, synthetic, seed=4).batch(7)[0])


def test_without_augmentation_crops_are_as_they_are_scored(real: Crops) -> None:
    one = batches(real, None, augment="none")
    assert np.array_equal(one.batch(0)[0], fixed_views(one.crops(0), margin=0.15, side_px=SIDE_PX))
    assert fixed_views([], margin=0, side_px=8).shape == (0, 8, 8, 3)
    with pytest.raises(BoxpaintError, match="no crops"):
        batches(real.choose([]), None)
