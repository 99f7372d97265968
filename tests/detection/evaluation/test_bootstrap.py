from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detection.datasets.types import DetectionDataset, Detections, Sample
from detection.evaluation.bootstrap import ResampledAp, draw_resamples
from detection.evaluation.coco_metrics import score_sets
from tests.detection.drawn import boxes


def scattered(pictures: int, seed: int) -> tuple[DetectionDataset, list[Detections]]:
    """Random boxes of three categories (the last is rare), most of them found, shifted, among wrong ones."""
    rng = np.random.default_rng(seed)
    samples, found = [], []
    for number in range(pictures):
        count, wrong = int(rng.integers(0, 5)), int(rng.integers(0, 8))
        corner, size = rng.uniform(0, 300, (count + wrong, 2)), rng.uniform(25, 99, (count + wrong, 2))
        corners = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
        labels = rng.choice([1, 2, 3], count + wrong, p=[0.6, 0.35, 0.05])
        samples.append(Sample.of(Path(f"{number}.png"), (400, 400), corners[:count], labels[:count]))
        kept = np.flatnonzero(rng.random(count + wrong) < 0.8)
        moved = corners[kept] + rng.normal(0, 4, (len(kept), 4))
        scores = rng.uniform(0, 1, len(kept)).astype(np.float32)
        found.append(Detections(boxes_xyxy=moved.astype(np.float32), labels=labels[kept], scores=scores))
    return DetectionDataset(categories=("a", "b", "c"), samples=tuple(samples)), found


@pytest.mark.parametrize(("seed", "unlabelled"), [(0, ()), (1, ()), (2, ()), (2, (1, 2))])
def test_all_pictures_once_is_pycocotools_own_score(seed: int, unlabelled: tuple[int, ...]) -> None:
    data, found = scattered(20, seed)
    # Half of the pictures do not label some categories: what else is found of them there does not count.
    samples = [replace(item, not_exhaustive=frozenset(unlabelled)) for item in data.samples[:10]]
    data = replace(data, samples=(*samples, *data.samples[10:]))
    resampled, expected = ResampledAp(data, found), score_sets(data, found)
    once = np.arange(20)[None]
    assert resampled.ap_of(once) == pytest.approx([expected.ap], abs=1e-9)
    of_categories = [scores.ap for scores in expected.of_category.values()]
    assert resampled.ap_of_categories(once)[0] == pytest.approx(of_categories, abs=1e-9, nan_ok=True)


def test_repeated_pictures_score_as_a_set_that_repeats_them() -> None:
    data, found = scattered(15, 3)
    resamples = draw_resamples(15, count=12, seed=7)
    resampled = ResampledAp(data, found)
    whole, of_categories = resampled.ap_of(resamples), resampled.ap_of_categories(resamples)
    assert np.isnan(of_categories[:, 2]).any()  # in some drawings the rare category is missing
    for number, positions in enumerate(resamples):
        expected = score_sets(data.choose(positions), [found[position] for position in positions])
        assert whole[number] == pytest.approx(expected.ap, abs=1e-9)
        per_category = [scores.ap for scores in expected.of_category.values()]
        assert of_categories[number] == pytest.approx(per_category, abs=1e-9, nan_ok=True)


def test_worked_by_hand() -> None:
    # Picture 0: its object is found. Picture 1: its object is missed, and a wrong box is surer than picture 0's.
    samples = tuple(Sample.of(Path(f"{n}.png"), (100, 100), [[0, 0, 50, 50]], [1]) for n in range(2))
    found = [boxes(([0, 0, 50, 50], 1, 0.5)), boxes(([50, 50, 90, 90], 1, 0.9))]
    resampled = ResampledAp(DetectionDataset(categories=("a",), samples=samples), found)
    # Both: precision 1/2 up to recall 1/2, 51 of 101 thresholds. Picture 0 twice and picture 1 once: two of three found
    # behind one wrong box, precision 2/3 up to recall 2/3, 67 thresholds.
    assert resampled.ap_of(np.array([[0, 1], [0, 0], [1, 1]])) == pytest.approx([0.5 * 51 / 101, 1.0, 0.0])
    assert resampled.ap_of(np.array([[0, 1, 0]])) == pytest.approx([2 / 3 * 67 / 101])


def test_nothing_to_find_and_nothing_found() -> None:
    samples = (
        Sample.of(Path("0.png"), (100, 100), [[0, 0, 50, 50]], [1]),
        Sample.of(Path("1.png"), (100, 100), [], []),
    )
    resampled = ResampledAp(DetectionDataset(categories=("a", "b"), samples=samples), [boxes(), boxes()])
    assert resampled.ap_of(np.array([[0, 1], [0, 0]])).tolist() == [0.0, 0.0]
    assert np.isnan(resampled.ap_of(np.array([[1, 1]]))).all()
    assert resampled.ap_of(np.zeros((0, 2), int)).shape == (0,)


@pytest.mark.parametrize("position", [-1, 2])
def test_a_position_that_is_no_picture(position: int) -> None:
    data, found = scattered(2, 0)
    with pytest.raises(ValueError, match="from 0 to 1"):
        ResampledAp(data, found).ap_of(np.array([[0, position]]))


def test_many_drawings_are_worked_through_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    data, found = scattered(10, 5)
    resamples = draw_resamples(10, count=50, seed=1)
    at_once = ResampledAp(data, found).ap_of(resamples)
    monkeypatch.setattr("detection.evaluation.bootstrap._BLOCK", 60)
    assert ResampledAp(data, found).ap_of(resamples).tolist() == at_once.tolist()


def test_drawings_are_the_seeds() -> None:
    first = draw_resamples(6, count=3, seed=4)
    assert first.shape == (3, 6)
    assert first.tolist() == draw_resamples(6, count=3, seed=4).tolist() != draw_resamples(6, count=3, seed=5).tolist()
    assert 0 <= first.min() <= first.max() <= 5
