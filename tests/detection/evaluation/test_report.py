import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detection.datasets.types import DetectionDataset, Sample
from detection.detectors.types import Detections
from detection.evaluation.drawing import MISSED, RIGHT, WRONG, draw_found, draw_mistakes, pixel_box
from detection.evaluation.finding import find_objects
from detection.evaluation.mistakes import PictureMistakes
from detection.evaluation.report import evaluate_found, write_evaluation
from generator.foundation.errors import DatasetError
from tests.detection.discs import disc_set, found_as_labelled


class Knowing:
    """Answers with the labels of pictures that it was shown before."""

    def __init__(self, data: DetectionDataset):
        self.categories = data.categories
        self._answers = {
            np.asarray(Image.open(sample.path)).tobytes(): answer
            for sample, answer in zip(data.samples, found_as_labelled(data), strict=True)
        }

    def predict(self, pictures: list[np.ndarray], *, with_masks: bool = True) -> list[Detections]:
        assert not with_masks  # of large pictures they fill the memory, and only boxes are asked for
        return [self._answers[picture.tobytes()] for picture in pictures]


def test_objects_are_found_picture_by_picture(tmp_path: Path) -> None:
    data = disc_set(tmp_path, 20, seed=1)
    told: list[int] = []
    detector = Knowing(data)
    found = find_objects(detector, data, told.append)
    assert told == [16, 20]
    assert evaluate_found(data, found).scores.ap == 1.0
    data.samples[3].path.write_bytes(b"torn")
    with pytest.raises(DatasetError, match=data.samples[3].path.name):
        find_objects(detector, data)


def test_a_picture_of_another_size_than_its_labels_is_not_scored(tmp_path: Path) -> None:
    data = disc_set(tmp_path, 3, seed=1)
    detector = Knowing(data)
    with Image.open(data.samples[1].path) as picture:
        picture.rotate(90, expand=True).save(data.samples[1].path)
    with pytest.raises(DatasetError, match=r"found '48 x 64'; its labels are for 64 x 48 px"):
        find_objects(detector, data)


def test_files_of_an_evaluation(tmp_path: Path) -> None:
    data = disc_set(tmp_path, 6, seed=2)
    renamed = DetectionDataset(categories=("red", "<blue> & $x$"), samples=data.samples)
    found = found_as_labelled(renamed, score=0.8)
    nothing = Detections(
        boxes_xyxy=np.zeros((0, 4), np.float32), labels=np.zeros(0, np.int64), scores=np.zeros(0, np.float32)
    )
    found[2] = nothing  # the picture of both discs
    evaluation = evaluate_found(renamed, found)
    assert (evaluation.mistakes[0].picture, evaluation.mistakes[0].count) == (2, 2)
    out = tmp_path / "out"
    page = write_evaluation(evaluation, renamed, found, out, about={"model": "runs/a", "data": "<discs>"}, worst=5)
    assert sorted(path.name for path in out.iterdir()) == ["pr_curves.png", "report.html", "scores.json"]
    text = page.read_text()
    for words in ("&lt;discs&gt;", "&lt;blue&gt; &amp; $x$", "1 of 6 pictures have a mistake", "2 missed, 0 wrong"):
        assert words in text
    assert text.count("<figure>") == 1
    content = json.loads((out / "scores.json").read_text())
    assert content["model"] == "runs/a"
    assert content["scores"]["ap"] == evaluation.scores.ap
    assert content["working_point"]["recall"] == 0.75
    with Image.open(out / "pr_curves.png") as curves:
        assert curves.width > 600
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    write_evaluation(evaluation, renamed, found, out, about={"model": "runs/a", "data": "<discs>"}, worst=5)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_without_a_label_or_a_right_box(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    data = DetectionDataset(categories=("red",), samples=(Sample.of(tmp_path / "a.png", (40, 30), [], []),))
    found = [
        Detections(
            boxes_xyxy=np.array([[1, 1, 9, 9]], np.float32),
            labels=np.ones(1, np.int64),
            scores=np.ones(1, np.float32),
        )
    ]
    page = write_evaluation(evaluate_found(data, found), data, found, tmp_path / "out", about={}, worst=3)
    assert "No box is right" in page.read_text()
    content = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert (content["scores"]["ap"], content["working_point"]) == (None, None)


def test_boxes_are_drawn_in_their_colours() -> None:
    picture = Image.new("RGB", (120, 120))
    sample = Sample.of(Path("a.png"), (120, 120), [[70, 80, 100, 110], [10, 80, 40, 110]], [1, 1])
    found = Detections(
        boxes_xyxy=np.array([[10.2, 79.8, 39.9, 110], [70, 20, 100, 50]], np.float32),
        labels=np.ones(2, np.int64),
        scores=np.array([0.9, 0.4], np.float32),
    )
    mistakes = PictureMistakes(picture=0, right=(0,), wrong=(1,), missed=(0,))
    drawn = draw_mistakes(picture, sample, found, mistakes, ("red",))
    assert drawn.size == (720, 720)  # six times as large: wide enough for names
    corners = [drawn.getpixel(place) for place in ((238, 659), (599, 299), (599, 659))]
    assert corners == [tuple(bytes.fromhex(colour[1:])) for colour in (RIGHT, WRONG, MISSED)]
    assert picture.getpixel((39, 109)) == (0, 0, 0)
    assert draw_found(picture, found, ("red",)).getpixel((238, 659)) != (0, 0, 0)
    assert draw_found(Image.new("RGB", (800, 100)), found, ("red",)).size == (800, 100)


@pytest.mark.parametrize(
    ("box", "whole"), [([1.4, 2.6, 9.5, 8.2], (1, 3, 10, 8)), ([5.1, 5.1, 5.3, 5.3], (5, 5, 6, 6))]
)
def test_whole_pixels(box: list[float], whole: tuple[int, int, int, int]) -> None:
    assert pixel_box(np.array(box)).xyxy == whole
