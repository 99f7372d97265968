"""Crops for classifiers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detection.datasets.picture_set import Category
from detection.formats.crops import crop_of, folder_names
from detection.formats.exporting import export_set
from detection.formats.target import ExportOptions
from generator.foundation.errors import DatasetError
from tests.detection.formats.sets import NAMES
from tests.detection.formats.sources import draw


@pytest.mark.parametrize(
    ("box", "margin", "crop"),
    [
        ((10, 10, 20, 20), 0, (10, 10, 20, 20)),
        ((10.2, 10.2, 19.5, 19.5), 0, (10, 10, 20, 20)),
        ((10, 10, 20, 30), 0.1, (9, 8, 21, 30)),
        ((0, 0, 40, 30), 1, (0, 0, 40, 30)),
    ],
)
def test_whole_pixels_with_a_margin(
    box: tuple[float, float, float, float], margin: float, crop: tuple[int, int, int, int]
) -> None:
    assert crop_of(box, (40, 30), margin) == crop


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        (["cat", "dog"], ["cat", "dog"]),
        (["a/b", "A_B", ".x", "y. "], ["a_b", "A_B_2", "x_3", "y"]),
        (["weißer Hund", " "], ["weißer Hund", "_"]),
        (["a_b_3", "a_b", "a/b"], ["a_b_3", "a_b", "a_b_3_3"]),
        (["a_b", "a/b", "a_b_2"], ["a_b", "a_b_2_2", "a_b_2"]),
        (["\u732b" * 90 + "a", "\u732b" * 90 + "b"], ["\u732b" * 66, "\u732b" * 66 + "_2"]),
    ],
)
def test_names_of_folders(names: list[str], folders: list[str]) -> None:
    categories = [Category(id=number, name=name, content={}) for number, name in enumerate(names, start=1)]
    assert list(folder_names(categories).values()) == folders


def test_image_folder(pets: Path, tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    report = export_set(pets, tmp_path / "out", "crops", ExportOptions(margin=0.5))
    read = ImageFolder(str(tmp_path / "out" / "train"))
    assert read.classes == sorted(NAMES)
    assert [(Path(path).name, label) for path, label in read.samples] == [
        ("a b-11.png", 0),
        ("a b-12.png", 1),
        ("x.y-13.png", 1),
    ]
    with Image.open(tmp_path / "out" / "train" / NAMES[1] / "a b-12.png") as crop:
        assert np.array_equal(np.asarray(crop), np.asarray(draw(0))[0:20, 0:19])
    assert report.notes == (
        f"there is no crop of {NAMES[1]} in val: ImageFolder numbers the classes of each folder by themselves",
    )


def test_a_picture_of_another_size_than_its_labels_is_named(pets: Path, tmp_path: Path) -> None:
    draw(1, (41, 30)).save(pets / "images" / "ä.png")
    with pytest.raises(DatasetError, match=r"ä\.png: found '41 x 30'; its labels are for 40 x 30 px"):
        export_set(pets, tmp_path / "out", "crops")
    assert not (tmp_path / "out").exists()
