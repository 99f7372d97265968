from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detection.calibration.scale import WINDOW_PX, BoxScaleEstimator, Patch, cut_patches, cut_window, vary, with_boxes
from detection.datasets.boxes import BoxMode, BoxScale, painted_only, rescale, tight_boxes
from detection.datasets.types import DetectionDataset, Sample

NAMES = ("disc", "spot")
UNKNOWN = (np.nan,) * 4


def test_labels_grow_about_their_centre_and_stay_inside(tmp_path: Path) -> None:
    sample = Sample.of(tmp_path / "a.png", (100, 80), [[10, 20, 30, 40], [0, 0, 20, 10]], [1, 2])
    data = DetectionDataset(categories=NAMES, samples=(sample,))
    scales = {
        "disc": BoxScale(factor=1.5, real_boxes=1, painted_boxes=1),
        "spot": BoxScale(factor=1.2, real_boxes=1, painted_boxes=1),
    }
    np.testing.assert_allclose(rescale(data, scales).samples[0].boxes_xyxy, [[5, 15, 35, 45], [0, 0, 22, 11]])


@pytest.fixture
def painted(tmp_path: Path) -> DetectionDataset:
    """One picture: all is known of the first object, of the second only its label, of the third not what was asked."""
    labelled = [[8, 18, 32, 42], [0, 0, 20, 10], [50, 50, 70, 70]]
    tight = np.array([[10, 20, 30, 40], UNKNOWN, [52, 52, 68, 68]])
    asked = np.array([[-5, 10, 45, 90], UNKNOWN, UNKNOWN])
    sample = Sample.of(tmp_path / "a.png", (100, 80), labelled, [1, 2, 1], requested_xyxy=asked, tight_xyxy=tight)
    return DetectionDataset(categories=NAMES, samples=(sample,))


def test_labels_of_real_objects_in_a_photo_stay_as_people_drew_them(painted: DetectionDataset) -> None:
    scales = dict.fromkeys(NAMES, BoxScale(factor=1.5, real_boxes=1, painted_boxes=1))
    expected = [[2, 12, 38, 48], [0, 0, 20, 10], [45, 45, 75, 75]]
    np.testing.assert_allclose(rescale(painted, scales).samples[0].boxes_xyxy, expected)
    assert painted_only(painted).samples[0].labels.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("labelled", [[8, 18, 32, 42], [0, 0, 20, 10], [50, 50, 70, 70]]),
        ("tight", [[10, 20, 30, 40], [0, 0, 20, 10], [52, 52, 68, 68]]),
        # What was asked for may reach over the border; a label may not.
        ("requested", [[0, 10, 45, 80], [0, 0, 20, 10], [50, 50, 70, 70]]),
        # Without real pictures there is nothing to measure by.
        ("calibrated", [[10, 20, 30, 40], [0, 0, 20, 10], [52, 52, 68, 68]]),
    ],
)
def test_each_mode_gives_its_boxes_and_the_label_where_one_is_unknown(
    painted: DetectionDataset, mode: BoxMode, expected: list[list[float]]
) -> None:
    # Nobody looks at this picture, which is not there, not even beside a real set, but to calibrate.
    changed, scales = with_boxes(painted, mode, None if mode == "calibrated" else painted)
    (before,), (after,) = painted.samples, changed.samples
    np.testing.assert_array_equal(after.boxes_xyxy, expected)
    assert scales == {}
    # Nothing else changes, so that one mode can follow another.
    assert (after.path, after.labels.tolist()) == (before.path, before.labels.tolist())
    np.testing.assert_array_equal(after.tight_xyxy, before.tight_xyxy)
    np.testing.assert_array_equal(after.requested_xyxy, before.requested_xyxy)


def test_a_tight_set_is_tight_already(painted: DetectionDataset) -> None:
    once = tight_boxes(painted)
    np.testing.assert_array_equal(tight_boxes(once).samples[0].boxes_xyxy, once.samples[0].boxes_xyxy)


def test_calibrated_boxes_stay_tight_where_real_pictures_hold_no_object(painted: DetectionDataset) -> None:
    Image.new("RGB", (100, 80)).save(painted.samples[0].path)
    changed, scales = with_boxes(painted, "calibrated", painted.choose([]))
    np.testing.assert_array_equal(changed.samples[0].boxes_xyxy, tight_boxes(painted).samples[0].boxes_xyxy)
    assert scales == {
        "disc": BoxScale(factor=1.0, real_boxes=0, painted_boxes=2),
        "spot": BoxScale(factor=1.0, real_boxes=0, painted_boxes=0),  # a border cuts it,
    }


def _set(folder: Path, boxes: list[list[float]]) -> DetectionDataset:
    """One picture, black, with white boxes."""
    picture = np.zeros((100, 140, 3), np.uint8)
    for x_min, y_min, x_max, y_max in boxes:
        picture[int(y_min) : int(y_max), int(x_min) : int(x_max)] = 255
    path = folder / "a.png"
    Image.fromarray(picture).save(path)
    return DetectionDataset(categories=("box",), samples=(Sample.of(path, (140, 100), boxes, [1] * len(boxes)),))


def white_box(window: np.ndarray) -> np.ndarray:
    """Box around what is white, in shares of the window."""
    light = window.mean(axis=2)
    rows, columns = np.nonzero(light > light.max() / 2)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / WINDOW_PX


@pytest.mark.parametrize("scale", [1.2, 2.0, 3.5])
@pytest.mark.parametrize("box", [[40, 30, 70, 50], [4, 60, 12, 76], [30, 10, 120, 90]])
def test_a_window_shows_its_box_where_it_says(tmp_path: Path, box: list[float], scale: float) -> None:
    (patch,) = cut_patches(_set(tmp_path, [box]), 1, most=10)
    window, place = cut_window(patch, scale, (0.05, -0.1))
    np.testing.assert_allclose(white_box(window), place.clip(0, 1), atol=1.5 / WINDOW_PX)
    longer = max(place[2] - place[0], place[3] - place[1])
    assert longer == pytest.approx(1 / scale, rel=0.05)


def test_varied_windows_still_show_their_box(tmp_path: Path) -> None:
    (patch,) = cut_patches(_set(tmp_path, [[40, 30, 70, 50]]), 1, most=10)
    for seed in range(12):
        window, place = vary(*cut_window(patch, 2.0, (0.1, -0.05)), np.random.default_rng(seed))
        np.testing.assert_allclose(white_box(window), place, atol=2.5 / WINDOW_PX)


def test_objects_at_the_edge_are_left_out_and_the_rest_is_spread(tmp_path: Path) -> None:
    edge = [[0, 40, 20, 60], [120, 40, 140, 60], [60, 0, 80, 20], [60, 80, 80, 100]]
    whole = [[30, 30, 40, 40], [50, 30, 62, 40], [70, 30, 84, 40], [90, 30, 106, 40]]
    data = _set(tmp_path, [*edge, *whole])
    assert len(cut_patches(data, 1, most=10)) == 4
    shapes = [patch.box_xyxy[2:] - patch.box_xyxy[:2] for patch in cut_patches(data, 1, most=2)]
    assert [round(float(height / width), 2) for width, height in shapes] == [1.0, 0.71]
    assert cut_patches(data, 2, most=10) == []


def test_the_same_patches_and_seed_give_the_same_estimator() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (224, 224, 3)).astype(np.uint8)
    patches = [Patch(image=image, box_xyxy=np.array([90.0, 95.0, 135.0, 130.0], np.float32))]
    ratios = [BoxScaleEstimator.fit([patches], seed=3, steps=3).measure(patches).log_ratios for _ in range(2)]
    np.testing.assert_array_equal(ratios[0], ratios[1])
    assert ratios[0].shape == (1,)
