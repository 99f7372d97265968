"""A detector against labels: the files, the page, and the mistakes that it shows."""

import json
from pathlib import Path

from PIL import Image

from detection.datasets.types import DetectionDataset, Sample
from detection.evaluation.mistakes import PictureMistakes
from detection.inference.report import MISSED, RIGHT, WRONG, draw_mistakes, evaluate_found, write_evaluation
from tests.detection.discs import disc_set, found_as_labelled
from tests.detection.drawn import boxes


def test_files_of_an_evaluation(tmp_path: Path) -> None:
    data = disc_set(tmp_path, 6, seed=2)
    renamed = DetectionDataset(categories=("red", "<blue> & $x$"), samples=data.samples)
    found = found_as_labelled(renamed, score=0.8)
    found[2] = boxes()  # the picture of both discs
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
    found = [boxes(([1, 1, 9, 9], 1, 1.0))]
    page = write_evaluation(evaluate_found(data, found), data, found, tmp_path / "out", about={}, worst=3)
    assert "No box is right" in page.read_text()
    content = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert (content["scores"]["ap"], content["working_point"]) == (None, None)


def test_mistakes_are_drawn_in_their_colours() -> None:
    picture = Image.new("RGB", (120, 120))
    sample = Sample.of(Path("a.png"), (120, 120), [[70, 80, 100, 110], [10, 80, 40, 110]], [1, 1])
    found = boxes(([10.2, 79.8, 39.9, 110], 1, 0.9), ([70, 20, 100, 50], 1, 0.4))
    mistakes = PictureMistakes(picture=0, right=(0,), wrong=(1,), missed=(0,))
    drawn = draw_mistakes(picture, sample, found, mistakes, ("red",))
    assert drawn.size == (720, 720)  # six times as large: wide enough for names
    corners = [drawn.getpixel(place) for place in ((238, 659), (599, 299), (599, 659))]
    assert corners == [tuple(bytes.fromhex(colour[1:])) for colour in (RIGHT, WRONG, MISSED)]
    assert picture.getpixel((39, 109)) == (0, 0, 0)
