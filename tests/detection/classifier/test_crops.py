from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from detection.classifier.crops import BACKGROUND, cut_crops, fixed_view
from detection.datasets.types import DetectionDataset, Sample
from generator.foundation.errors import DatasetError
from generator.foundation.geometry import Box, intersection_area, square_around
from generator.painting.crop import resize

SIZE_WH = (80, 60)


def picture(folder: Path, boxes: list[list[float]], labels: list[int], **options: object) -> DetectionDataset:
    """A picture in which red is the column and green the row of a pixel."""
    rows, columns = np.mgrid[: SIZE_WH[1], : SIZE_WH[0]].astype(np.uint8)
    path = folder / "picture.png"
    Image.fromarray(np.stack([columns, rows, np.zeros_like(rows)], axis=2)).save(path)
    sample = Sample.of(path, SIZE_WH, boxes, labels, **options)  # type: ignore[arg-type]
    return DetectionDataset(categories=("cell", "platelet"), samples=(sample,))


def test_a_crop_shows_the_object_and_its_margin(tmp_path: Path) -> None:
    data = picture(tmp_path, [[30, 20, 50, 30]], [2])
    (crop,) = cut_crops(data, margin=0.1, side_px=24).items
    assert (crop.label, crop.box_xyxy) == (1, (30.0, 20.0, 50.0, 30.0))
    # 20 px and 10 % on each side are 24 px about (40, 25): columns 28 to 51, rows 13 to 36
    view = fixed_view(crop, margin=0.1, side_px=24)
    assert view[0, 0].tolist() == [28, 13, 0]
    assert view[-1, -1].tolist() == [51, 36, 0]


@given(
    x=st.integers(0, 70),
    y=st.integers(0, 50),
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    margin=st.floats(0, 1),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_patch_gives_the_crop_that_the_picture_gives(
    tmp_path_factory: pytest.TempPathFactory, x: int, y: int, width: int, height: int, margin: float
) -> None:
    box = Box.from_xyxy(x, y, min(x + width, SIZE_WH[0]), min(y + height, SIZE_WH[1]))
    data = picture(tmp_path_factory.getbasetemp(), [list(map(float, box.xyxy))], [1])
    (crop,) = cut_crops(data, margin=margin, side_px=60).items
    window = square_around(box, margin=margin, size_wh=SIZE_WH)
    whole = np.asarray(Image.open(data.samples[0].path))
    wanted = resize(whole[window.slices], (60, 60)).astype(int)
    # Halves are rounded to even numbers, so that a window may lie one pixel beside; cubic resizing adds one.
    assert np.abs(fixed_view(crop, margin=margin, side_px=60).astype(int) - wanted).max() <= 2
    assert not crop.patch.flags.writeable


def test_large_objects_are_kept_no_finer_than_needed(tmp_path: Path) -> None:
    (crop,) = cut_crops(picture(tmp_path, [[10, 10, 50, 50]], [1]), margin=0, side_px=8).items
    # 2 x 8 px for the box, and 35 % of that on each side
    assert crop.patch.shape == (28, 28, 3)
    assert crop.box.width == pytest.approx(16, abs=3)


def test_painted_objects_have_a_box_that_was_asked_for(tmp_path: Path) -> None:
    asked = np.array([[10, 10, 40, 40], [np.nan] * 4], np.float32)
    data = picture(tmp_path, [[20, 20, 30, 30], [50, 5, 60, 15]], [1, 1], requested_xyxy=asked)
    boxes = {kind: [crop.box_xyxy for crop in cut_crops(data, margin=0, side_px=8, boxes=kind).items] for kind in KINDS}
    assert boxes["tight"] == [(20, 20, 30, 30), (50, 5, 60, 15)]
    assert boxes["requested"] == [(10, 10, 40, 40), (50, 5, 60, 15)]


KINDS = ("tight", "requested")


def test_background_crops_show_no_object_and_have_the_size_of_one(tmp_path: Path) -> None:
    data = picture(tmp_path, [[0, 0, 20, 20], [30, 30, 42, 36], [60, 40, 72, 46]], [1, 2, 2])
    crops = cut_crops(data, margin=0.1, side_px=16, background_seed=4)
    assert crops.classes == ("cell", "platelet", BACKGROUND)
    assert crops.counts() == {"cell": 1, "platelet": 2, BACKGROUND: 2}
    objects = [Box.from_xyxy(*map(int, box)) for box in data.samples[0].boxes_xyxy]
    for crop in crops.items[3:]:
        box = Box.from_xyxy(*map(int, crop.box_xyxy))
        assert (box.width, box.height) in {(20, 20), (12, 6)}
        view = square_around(box, margin=0.1, size_wh=SIZE_WH)
        assert not any(intersection_area(view, other) for other in objects)
    unlabelled = replace(data, samples=tuple(replace(item, not_exhaustive=frozenset({1})) for item in data.samples))
    labels = {crop.label for crop in cut_crops(unlabelled, margin=0.1, side_px=16, background_seed=4).items}
    assert labels == {crop.label for crop in crops.items} - {len(data.categories)}
    again = cut_crops(data, margin=0.1, side_px=16, background_seed=4)
    assert again.digest() == crops.digest()
    assert cut_crops(data, margin=0.1, side_px=16, background_seed=5).digest() != crops.digest()
    full = cut_crops(picture(tmp_path, [[0, 0, 80, 60]], [1]), margin=0, side_px=8, background_seed=0)
    assert full.counts() == {"cell": 1, "platelet": 0, BACKGROUND: 0}


def test_crops_are_chosen_and_renumbered(tmp_path: Path) -> None:
    crops = cut_crops(picture(tmp_path, [[0, 0, 9, 9], [20, 20, 30, 30]], [1, 2]), margin=0, side_px=8)
    other = crops.choose([1]).relabelled(("red", "platelet", "cell"))
    assert other.labels.tolist() == [1]
    assert other.counts() == {"red": 0, "platelet": 1, "cell": 0}
    assert crops.choose([1]).digest() != other.digest()


def test_faults_of_the_data_are_said(tmp_path: Path) -> None:
    data = picture(tmp_path, [[0, 0, 9, 9]], [1])
    Image.new("RGB", (60, 80)).save(data.samples[0].path)
    with pytest.raises(DatasetError, match=r"picture\.png: found '60 x 80'.*for 80 x 60 px"):
        cut_crops(data, margin=0, side_px=8)
    named = DetectionDataset(categories=("cell", BACKGROUND), samples=data.samples)
    with pytest.raises(DatasetError, match="--no-background"):
        cut_crops(named, margin=0, side_px=8, background_seed=0)


def test_real_objects_of_a_photo_that_was_painted_into_are_no_painted_crops_and_no_background(tmp_path: Path) -> None:
    unknown = [float("nan")] * 4
    boxes = [[0.0, 0.0, 40.0, 60.0], [50.0, 10.0, 60.0, 20.0]]
    data = picture(tmp_path, boxes, [1, 2], tight_xyxy=np.array([unknown, boxes[1]]))
    crops = cut_crops(data, margin=0, side_px=8, background_seed=0, painted_only=True)
    (painted,) = (crop for crop in crops.items if crop.label < 2)
    assert painted.box_xyxy == (50.0, 10.0, 60.0, 20.0)
    assert all(crop.box_xyxy[0] >= 40 for crop in crops.items)
    assert len(cut_crops(data, margin=0, side_px=8).items) == 2
