"""What an arm owns, as photos to paint into."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from detection.datasets.photos import photo_set
from detection.datasets.types import DetectionDataset, Sample
from generator.foundation.errors import DatasetError
from generator.spec import BackgroundSpec, ClassSpec, Spec


def sample_at(path: Path) -> Sample:
    Image.new("RGB", (40, 30), "teal").save(path)
    boxes, outline = [(5, 6, 20, 18), (1, 2, 3, 4)], [[5.0, 6.0, 20.0, 6.0, 12.0, 18.0]]
    return Sample.of(path, (40, 30), boxes, [2, 1], [outline, None], not_exhaustive=[1])


def test_pictures_come_with_their_labels_and_make_scenes(tmp_path: Path) -> None:
    data = DetectionDataset(categories=("lion", "Zebra"), samples=(sample_at(tmp_path / "a.png"),))
    zebra = ClassSpec(prompt="a zebra", name="zebra", min_appear=1, max_appear=1)
    spec = Spec(backgrounds=(BackgroundSpec(prompt="a savanna", num_imgs=4),), classes=(zebra,))
    (row,) = spec.in_photos(photo_set(data), 12, min_crop=0.7, flip="horizontal").backgrounds
    assert (row.prompt, row.num_imgs, row.min_crop, row.flip) == ("a savanna", 12, 0.7, "horizontal")
    assert row.photos is not None
    (photo,) = row.photos.photos
    assert (photo.size_wh, photo.not_exhaustive) == ((40, 30), ("lion",))
    assert [(item.category, item.box_xyxy) for item in photo.objects] == [
        ("zebra", (5, 6, 20, 18)),
        ("lion", (1, 2, 3, 4)),
    ]
    assert [bool(item.segmentation) for item in photo.objects] == [True, False]


def test_a_picture_that_its_labels_do_not_fit_is_refused(tmp_path: Path) -> None:
    wrong = replace(sample_at(tmp_path / "a.png"), width=41)
    with pytest.raises(DatasetError, match=r"a\.png: found '40 x 30'; its labels are for 41 x 30 px"):
        photo_set(DetectionDataset(categories=("lion", "zebra"), samples=(wrong,)))
