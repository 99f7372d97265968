"""Which pictures are looked at, what is found in them, and what becomes of those that cannot be read."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detection.datasets.types import DetectionDataset, Detections, Sample
from detection.inference.finding import (
    ChosenClasses,
    WordPredictor,
    find_each,
    find_objects,
    find_pictures,
    is_data_set,
    labelled_pictures,
)
from generator.foundation.errors import DatasetError
from generator.foundation.geometry import Box
from tests.detection.discs import disc_set
from tests.detection.drawn import ColourDetector


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a/c.JPG", ".hidden/d.png", "a/.e.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6)).save(tmp_path / name, "PNG")
    return tmp_path


@pytest.mark.parametrize(
    ("place", "skip", "names"),
    [
        pytest.param("", None, ["a/c.JPG", "b.png"], id="without what is hidden"),
        pytest.param("", "a", ["b.png"], id="results of before are no pictures"),
        pytest.param("notes.txt", None, ["notes.txt"], id="one picture may have any name"),
        pytest.param(".hidden", None, ["d.png"], id="a folder in a hidden one"),
    ],
)
def test_pictures_of_a_folder(folder: Path, place: str, skip: str | None, names: list[str]) -> None:
    found = find_pictures(folder / place, skip=folder / skip if skip else None)
    assert [each.name for each in found] == names
    assert all(each.path.is_relative_to(folder / place) for each in found)


def test_of_a_data_set_only_its_pictures_are_looked_at(tmp_path: Path) -> None:
    disc_set(tmp_path, 1, seed=0)
    Image.new("RGB", (8, 6)).save(tmp_path / "contact_sheet.jpg")
    assert [each.name for each in find_pictures(tmp_path)] == ["images/disc_train_000.png"]


@pytest.mark.parametrize(
    ("place", "words"),
    [("gone", "there is no such picture or folder"), ("empty", "no pictures"), ("a", "no pictures are in it")],
)
def test_without_pictures_it_says_so(folder: Path, place: str, words: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(DatasetError, match=words):
        find_pictures(folder / place, skip=folder)


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


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["images/train/a.png", "images/val/a.png"], ["train/a.png", "val/a.png"]),
        (["images/val/a.png"], ["a.png"]),
        # Names of results are made of these: none may lead out of their folder.
        (["ds/images/a.png", "ds/images/../../photos/b.png"], ["ds/images/a.png", "photos/b.png"]),
    ],
)
def test_names_of_labelled_pictures_are_below_what_holds_them_all(
    tmp_path: Path, paths: list[str], names: list[str]
) -> None:
    samples = tuple(Sample.of(tmp_path / path, (8, 6), [], []) for path in paths)
    found = labelled_pictures(DetectionDataset(categories=("cell",), samples=samples))
    assert [each.name for each in found] == names
    assert found[0].size_wh == (8, 6)


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    disc_set(tmp_path, 6, seed=0)
    (tmp_path / "images" / "disc_train_002.png").write_bytes(b"no picture")
    unreadable: dict[str, str] = {}
    found = list(find_each(ColourDetector(), find_pictures(tmp_path / "images"), unreadable))
    assert [picture.name for picture, _, _ in found] == [f"disc_train_00{number}.png" for number in (0, 1, 3, 4, 5)]
    assert [answer.labels.tolist() for _, _, answer in found] == [[1], [2], [1], [2], [1, 2]]
    assert all(np.asarray(pixels).shape == (48, 64, 3) for _, pixels, _ in found)
    assert unreadable == {"disc_train_002.png": "is no picture, or a damaged one"}


@pytest.mark.parametrize(
    ("damage", "words"), [("torn", "is no picture"), ("turned", "found '48 x 64'; its labels are for 64 x 48 px")]
)
def test_of_labelled_pictures_none_may_be_missing(tmp_path: Path, damage: str, words: str) -> None:
    data = disc_set(tmp_path, 3, seed=0)
    path = data.samples[1].path
    if damage == "torn":
        path.write_bytes(b"no picture")
    else:
        with Image.open(path) as picture:
            picture.rotate(90, expand=True).save(path)
    for look in (
        lambda: list(find_each(ColourDetector(), labelled_pictures(data), {})),
        lambda: find_objects(ColourDetector(), data),
    ):
        with pytest.raises(DatasetError, match=words) as error:
            look()
        assert path.name in str(error.value)


def test_objects_of_a_data_set_are_found_picture_by_picture_without_masks(tmp_path: Path) -> None:
    data = disc_set(tmp_path, 20, seed=1)
    told: list[int] = []
    found = find_objects(ColourDetector(), data, told.append)
    assert told == list(range(1, 21))
    assert [each.labels.tolist() for each in found] == [sample.labels.tolist() for sample in data.samples]
    assert all(each.masks is None for each in found)
    assert find_objects(ColourDetector(), data.choose([])) == []


PICTURE = np.zeros((60, 80, 3), np.uint8)


class Known:
    """Finds what it was told that words mean."""

    def __init__(self, found: dict[str, list[tuple[tuple[int, int, int, int], float]]]):
        self.found = found

    def find(self, picture: np.ndarray, texts: Sequence[str]) -> list[tuple[Box, float]]:
        assert picture is PICTURE
        return [(Box.from_xyxy(*box), score) for text in texts for box, score in self.found.get(text, [])]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param(
            {"a lion": [((0, 0, 10, 10), 0.4)], "a zebra": [((30, 0, 50, 20), 0.9)]},
            [(2, 0.9, [30, 0, 50, 20]), (1, 0.4, [0, 0, 10, 10])],
            id="the surest first",
        ),
        pytest.param(
            {"a lion": [((0, 0, 10, 10), 0.4)], "a zebra": [((0, 0, 10, 9), 0.5)]},
            [(2, 0.5, [0, 0, 10, 9])],
            id="one object as two classes is what fits better",
        ),
        pytest.param(
            {"a zebra": [((0, 0, 10, 10), 0.4)], "a zebra from behind": [((5, 0, 15, 10), 0.3)]},
            [(2, 0.4, [0, 0, 10, 10]), (2, 0.3, [5, 0, 15, 10])],
            id="two objects that overlap a little stay two",
        ),
    ],
)
def test_words_find_objects(found: dict, expected: list[tuple[int, float, list[int]]]) -> None:
    predictor = WordPredictor(Known(found), {"lion": ["a lion"], "zebra": ["a zebra", "a zebra from behind"]})
    assert predictor.categories == ("lion", "zebra")
    (answer,) = predictor.predict([PICTURE])
    assert answer.masks is None
    assert answer.boxes_xyxy.shape == (len(expected), 4)
    rows = zip(answer.labels.tolist(), answer.scores.tolist(), answer.boxes_xyxy.tolist(), strict=True)
    assert [(label, pytest.approx(score), box) for label, score, box in rows] == expected


class Three:
    """One object of each of three classes, with masks."""

    categories = ("ant", "bee", "cat")

    def predict(self, pictures: Sequence[np.ndarray], *, with_masks: bool = True) -> list[Detections]:
        boxes = np.array([[0, 0, 4, 4], [10, 0, 14, 4], [20, 0, 24, 4]], np.float32)
        masks = np.zeros((3, 60, 80), bool)
        masks[0, 0] = masks[2, 2] = True
        scores = np.array([0.9, 0.8, 0.7], np.float32)
        found = Detections(boxes_xyxy=boxes, labels=np.array([1, 2, 3]), scores=scores, masks=masks)
        return [found] * len(pictures)


def test_some_classes_alone_in_the_order_asked_for() -> None:
    chosen = ChosenClasses(Three(), ["CAT", "ant"])
    assert chosen.categories == ("cat", "ant")
    (found,) = chosen.predict([PICTURE])
    assert found.labels.tolist() == [2, 1]
    assert found.scores.tolist() == pytest.approx([0.9, 0.7])
    assert found.masks is not None
    assert found.masks[1, 2].all()
    with pytest.raises(DatasetError, match="--classes: found 'dog'; no class of this run; its classes: ant, bee, cat"):
        ChosenClasses(Three(), ["dog", "cat"])
