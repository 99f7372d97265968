"""`boxpaint init --from` as a user meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.bundles import BUNDLES, load_card
from generator.config import Config
from tests.boxpaint.terminal import Terminal
from tests.detection.formats.sets import NAMES, write_set
from tests.detection.formats.sources import draw, encode, write


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """In a folder with a data set in COCO form, real/."""
    write_set(tmp_path / "real")
    return Terminal(monkeypatch, capsys, tmp_path)


def test_what_is_laid_down_passes_its_own_check(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, errors = terminal.boxpaint("init", "mine", "--from", "real")
    assert code == 0, errors
    for words in ("measured real:train, 3 pictures", "edit: background.csv says", *NAMES):
        assert words in out
    monkeypatch.chdir("mine")
    code, out, errors = terminal.boxpaint("check-spec")
    assert code == 0, errors
    assert "good: 100 pictures" in out
    assert sorted(path.name for path in Path().iterdir()) == ["background.csv", "classes.csv", "config.yaml"]


@pytest.mark.parametrize("bundle", BUNDLES)
def test_the_config_is_that_of_the_bundle_which_paints(terminal: Terminal, bundle: str) -> None:
    code, _, errors = terminal.boxpaint("init", "mine", "--from", "real", "--bundle", bundle)
    assert code == 0, errors
    config = Config.load("mine/config.yaml")
    own = load_card(bundle).defaults["canvas"]
    assert config.bundle == bundle
    assert "\ncanvas: {width: " in Path("mine/config.yaml").read_text()
    assert 0.8 < config.canvas.width * config.canvas.height / (own["width"] * own["height"]) < 1.25


def test_a_set_in_another_form_is_imported_first(terminal: Terminal) -> None:
    for number in range(4):
        write(Path(f"yolo/images/{number}.png"), encode(draw(number), "PNG"))
        write(Path(f"yolo/labels/{number}.txt"), "0 0.5 0.5 0.3 0.3\n")
    write(Path("yolo/data.yaml"), "names: [weiße Zelle]\ntrain: images\n")
    code, out, errors = terminal.boxpaint("init", "mine", "--from", "yolo")
    assert code == 0, errors
    assert "4 pictures came in" in out
    assert "coco:real/annotations/instances_train.json#weiße Zelle" in Path("mine/classes.csv").read_text("utf-8")


def test_what_was_imported_for_nothing_is_gone_again(terminal: Terminal) -> None:
    write(Path("yolo/images/1.png"), encode(draw(1), "PNG"))
    write(Path("yolo/labels/1.txt"), "")
    write(Path("yolo/data.yaml"), "names: [cell]\ntrain: images\n")
    write(Path("mine/notes.txt"), "mine")
    for folder, left in (("mine", ["notes.txt"]), ("new", None)):
        code, _, errors = terminal.boxpaint("init", folder, "--from", "yolo")
        assert (code, "no picture of it has a box to measure" in errors) == (2, True)
        assert (sorted(path.name for path in Path(folder).iterdir()) if Path(folder).exists() else None) == left


WRONG = {
    "both": (["--from", "real", "--scenario", "safari"], "exclude each other"),
    "missing": (["--from", "gone"], "gone"),
    "no such bundle": (["--from", "real", "--bundle", "sd3"], "there is no 'sd3'; known: pocket, sd21"),
    "a bundle alone": (["--bundle", "pocket"], "--bundle goes with --from"),
    "no boxes": (["--from", "real:empty"], "no picture of it has a box"),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_mistakes_end_with_one_message_and_nothing_written(
    terminal: Terminal, arguments: list[str], words: str
) -> None:
    content = Path("real/annotations/instances_val.json").read_text()
    write(Path("real/annotations/instances_empty.json"), content.replace('"image_id": 9', '"image_id": 99'))
    code, _, errors = terminal.boxpaint("init", "mine", *arguments)
    assert code == 2
    assert words in errors
    assert not Path("mine").exists()


def test_files_that_are_there_stay(terminal: Terminal) -> None:
    write(Path("mine/classes.csv"), "mine")
    code, _, errors = terminal.boxpaint("init", "mine", "--from", "real")
    assert code == 2
    assert "classes.csv is already there" in errors
    assert [path.name for path in Path("mine").iterdir()] == ["classes.csv"]


def test_what_would_be_imported_takes_no_place(terminal: Terminal) -> None:
    write(Path("yolo/images/1.png"), encode(draw(1), "PNG"))
    write(Path("yolo/labels/1.txt"), "0 0.5 0.5 0.3 0.3\n")
    code, _, errors = terminal.boxpaint("init", ".", "--from", "yolo")
    assert code == 2
    assert "real is already there and stays as it is" in errors
