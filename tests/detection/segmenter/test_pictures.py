"""Which pictures are segmented, and what becomes of those that cannot be read."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detection.datasets.types import DetectionDataset, Sample
from detection.segmenter.pictures import find_masks, find_pictures, is_data_set, labelled_pictures
from generator.foundation.errors import DatasetError
from tests.detection.discs import disc_set
from tests.detection.segmenter.drawn import ColourDetector


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a/c.JPG", ".hidden/d.png", "a/.e.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6)).save(tmp_path / name, "PNG")
    return tmp_path


def test_a_folder_is_gone_through_without_what_is_hidden(folder: Path) -> None:
    found = find_pictures(folder)
    assert [(each.name, each.path) for each in found] == [("a/c.JPG", folder / "a/c.JPG"), ("b.png", folder / "b.png")]


def test_results_of_before_are_no_pictures(folder: Path) -> None:
    assert [each.name for each in find_pictures(folder, skip=folder / "a")] == ["b.png"]
    with pytest.raises(DatasetError, match="no pictures are in it"):
        find_pictures(folder / "a", skip=folder)


def test_one_picture_may_have_any_name(folder: Path) -> None:
    assert [each.name for each in find_pictures(folder / "notes.txt")] == ["notes.txt"]


def test_a_folder_in_a_hidden_one_is_gone_through(folder: Path) -> None:
    assert [each.name for each in find_pictures(folder / ".hidden")] == ["d.png"]


@pytest.mark.parametrize(("place", "words"), [("gone", "there is no such picture or folder"), ("empty", "no pictures")])
def test_without_pictures_it_says_so(tmp_path: Path, place: str, words: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=words):
        find_pictures(tmp_path / place)


def test_a_data_set_is_told_from_a_folder_of_pictures(tmp_path: Path) -> None:
    disc_set(tmp_path / "discs", 1, seed=0)
    places = {
        "discs": True,
        "discs:train": True,
        "discs/annotations/instances_train.json": True,
        "discs/images": False,
        "gone": False,
        "gone:train": False,
    }
    assert {place: is_data_set(str(tmp_path / place)) for place in places} == places


def test_names_of_labelled_pictures_are_below_what_holds_them_all(tmp_path: Path) -> None:
    paths = [tmp_path / "images" / "train" / "a.png", tmp_path / "images" / "val" / "a.png"]
    data = DetectionDataset(categories=("cell",), samples=tuple(Sample.of(path, (8, 6), [], []) for path in paths))
    assert [each.name for each in labelled_pictures(data)] == ["train/a.png", "val/a.png"]
    assert [each.name for each in labelled_pictures(data.choose([1]))] == ["a.png"]
    assert labelled_pictures(data)[0].size_wh == (8, 6)
    # Names of results are made of these: none may lead out of their folder.
    outside = Sample.of(tmp_path / "ds" / "images" / ".." / ".." / "photos" / "b.png", (8, 6), [], [])
    inside = Sample.of(tmp_path / "ds" / "images" / "a.png", (8, 6), [], [])
    both = DetectionDataset(categories=("cell",), samples=(inside, outside))
    assert [each.name for each in labelled_pictures(both)] == ["ds/images/a.png", "photos/b.png"]


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    disc_set(tmp_path, 6, seed=0)
    (tmp_path / "images" / "disc_train_002.png").write_bytes(b"no picture")
    unreadable: dict[str, str] = {}
    found = list(find_masks(ColourDetector(), find_pictures(tmp_path / "images"), unreadable))
    assert [picture.name for picture, _, _ in found] == [f"disc_train_00{number}.png" for number in (0, 1, 3, 4, 5)]
    assert [answer.labels.tolist() for _, _, answer in found] == [[1], [2], [1], [2], [1, 2]]
    assert all(np.asarray(pixels).shape == (48, 64, 3) for _, pixels, _ in found)
    assert unreadable == {"disc_train_002.png": "is no picture, or a damaged one"}


@pytest.mark.parametrize("damage", ["torn", "small"])
def test_of_labelled_pictures_none_may_be_missing(tmp_path: Path, damage: str) -> None:
    data = disc_set(tmp_path, 3, seed=0)
    if damage == "torn":
        data.samples[1].path.write_bytes(b"no picture")
    else:
        Image.new("RGB", (8, 6)).save(data.samples[1].path)
    words = "is no picture" if damage == "torn" else "found '8 x 6'; its labels are for 64 x 48 px"
    with pytest.raises(DatasetError, match=words):
        list(find_masks(ColourDetector(), labelled_pictures(data), {}))
