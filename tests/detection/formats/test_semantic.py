"""Label maps: the smaller object in front, void where nobody knows."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detection.formats.exporting import export_set
from detection.formats.semantic import VOID, voc_palette
from generator.foundation.errors import DatasetError
from tests.detection.formats.sets import NAMES, edited, label


def test_maps_and_legend(pets: Path, tmp_path: Path) -> None:
    report = export_set(pets, tmp_path / "out", "semantic")
    with Image.open(tmp_path / "out" / "masks" / "train" / "a b.png") as picture:
        assert (picture.mode, picture.size) == ("P", (40, 30))
        drawn = np.asarray(picture)
        colours = np.asarray(picture.convert("RGB"))
    expected = np.zeros((30, 40), np.uint8)
    expected[2:6, 20:24] = expected[2:6, 30:34] = 1
    expected[5:15, 4:14] = 2
    assert np.array_equal(drawn, expected)
    assert colours[3, 21].tolist() == [128, 0, 0]
    with Image.open(tmp_path / "out" / "masks" / "train" / "x.y.png") as picture:
        assert set(np.asarray(picture).flat) == {VOID}  # a crowd, and a box without a mask
    with (tmp_path / "out" / "legend.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["value"], row["id"], row["name"]) for row in rows] == [("1", "1", NAMES[0]), ("2", "5", NAMES[1])]
    legend = json.loads((tmp_path / "out" / "legend.json").read_bytes())
    assert (legend["void"], [item["name"] for item in legend["legend"]]) == (VOID, [*NAMES])
    assert report.notes == ("1 labels have no mask: their boxes are 255, void, where no other mask is",)


def test_the_smaller_object_is_in_front(pets: Path, tmp_path: Path) -> None:
    large = [[0.0, 0.0, 30.0, 0.0, 30.0, 20.0, 0.0, 20.0]]
    with edited(pets, "val") as content:
        content["annotations"].append(label(22, 9, 5, [0, 0, 30, 20], segmentation=large))
    export_set(pets, tmp_path / "out", "semantic")
    with Image.open(tmp_path / "out" / "masks" / "val" / "ä.png") as picture:
        drawn = np.asarray(picture)
    assert (drawn[7, 7], drawn[1, 1], drawn[25, 35]) == (1, 2, 0)


def test_a_mask_of_another_picture_is_named(pets: Path, tmp_path: Path) -> None:
    with edited(pets, "val") as content:
        content["annotations"][0]["segmentation"] = {"size": [10, 10], "counts": [0, 100]}
    with pytest.raises(DatasetError, match="annotation 21: its mask is not of its picture of 40 x 30 px"):
        export_set(pets, tmp_path / "out", "semantic")


def test_the_palette_is_that_of_voc() -> None:
    palette = voc_palette()
    assert palette[[0, 1, 2, 15, 255]].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [192, 128, 128],
        [224, 224, 192],
    ]
