"""`boxpaint import` as a user meets it."""

import json
from pathlib import Path

import pytest

from tests.boxpaint.commands import assert_help_is_light
from tests.boxpaint.terminal import Terminal
from tests.detection.formats.sources import voc_xml, write, write_pictures


@pytest.fixture()
def workplace(tmp_path: Path) -> Path:
    """A folder with pets/: five photos with XML, a box without an area among them, and one that is missing."""
    source = tmp_path / "pets"
    write_pictures(source, *(f"{name}.jpg" for name in "abcde"))
    for name in "abcde":
        write(source / f"{name}.xml", voc_xml(f"{name}.jpg", [("cat", (4, 5, 14, 25)), ("dog", (3, 3, 9, 9))]))
    write(source / "e.xml", voc_xml("e.jpg", [("cat", (4, 5, 4, 25))]))
    write(source / "gone.xml", voc_xml("gone.jpg", [("cat", (4, 5, 14, 25))] * 2))
    return tmp_path


@pytest.fixture()
def terminal(workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capsys, workplace)


def test_help_loads_no_heavy_package() -> None:
    assert_help_is_light("import", heavy={"torch", "transformers", "pandas", "imagehash", "scipy", "PIL", "cv2"})


def test_what_came_in_what_is_in_and_what_is_not(workplace: Path, terminal: Terminal) -> None:
    arguments = ["import", "pets", "--out", "real", "--rename", "cat=house cat", "--split", "train=0.5,val=0.5"]
    code, out, errors = terminal.boxpaint(*arguments, "--seed", "3")
    assert code == 0, errors
    for words in (
        "read as voc: 6 XML files",
        "a picture that is missing",
        "gone.xml: gone.jpg",
        "a box without an area",
        "e.xml: object 1 cat: cat [4, 5, 4, 25]",
        "house cat",
        "made: train=0.5, val=0.5, seed 3",
        "6 pictures came in: 5 are in, 1 are dropped and listed",
        "11 objects came in: 8 are in, 3 are dropped and listed",
        "boxpaint validate real",
    ):
        assert words in out, out
    content = json.loads((workplace / "real" / "import.json").read_bytes())
    assert content["options"]["rename"] == {"cat": "house cat"}
    code, out, _ = terminal.boxpaint("validate", "real")
    assert code == 0, out
    assert "5 pictures" in out
    code, _, errors = terminal.boxpaint(*arguments)
    assert code == 2
    assert "--overwrite" in errors


WRONG = {
    "no source": (["import", "gone", "--out", "real"], ["gone", "no such file or folder"]),
    "unknown format": (
        ["import", "pets", "--out", "real", "--format", "vok"],
        ["did you mean 'voc'", "coco, hf, webdataset, voc, yolo, csv"],
    ),
    "not that format": (
        ["import", "pets", "--out", "real", "--format", "coco"],
        ["Looked for coco: JSON files", "Found 6 .xml, 5 .jpg"],
    ),
    "empty": (["import", "empty", "--out", "real"], ["empty", "this folder is empty"]),
    "taken": (["import", "pets", "--out", "pets"], ["is not an imported data set", "a.jpg"]),
    "rename": (["import", "pets", "--out", "real", "--rename", "cats=x"], ["'cats'", "did you mean 'cat'"]),
    "rename without =": (["import", "pets", "--out", "real", "--rename", "cat"], ["OLD=NEW is needed"]),
    "rename twice": (
        ["import", "pets", "--out", "real", "--rename", "cat=x", "--rename", "cat=y"],
        ["cat=y", "each OLD once"],
    ),
    "column": (
        ["import", "pets", "--out", "real", "--column", "clas=kind"],
        ["'clas=kind'", "unknown key; did you mean 'class'?", "x_min"],
    ),
    "column without =": (["import", "pets", "--out", "real", "--column", "image"], ["KEY=COLUMN is needed"]),
    "no such column": (
        ["import", "pets", "--out", "real", "--column", "image=file"],
        ["image=file", "no CSV file has such a column"],
    ),
    "keep": (["import", "pets", "--out", "real", "--keep", "dgo"], ["'dgo'", "did you mean 'dog'"]),
    "split": (["import", "pets", "--out", "real", "--split", "80/20"], ["80/20", "train=0.7,val=0.15,test=0.15"]),
    "pattern": (["import", "pets", "--out", "real", "--group-by", "["], ["--group-by", "no regular expression"]),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_mistakes_end_with_one_message_and_nothing_written(
    workplace: Path, terminal: Terminal, arguments: list[str], words: list[str]
) -> None:
    (workplace / "empty").mkdir()
    code, _, errors = terminal.boxpaint(*arguments)
    assert code == 2
    assert all(word in errors for word in words), errors
    assert sorted(path.name for path in workplace.iterdir()) == ["empty", "pets"]


def test_stopped_in_the_middle_it_leaves_nothing(workplace: Path, terminal: Terminal) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    terminal.monkeypatch.setattr("detection.formats.importing.mend_objects", stop)
    code, out, _ = terminal.boxpaint("import", "pets", "--out", "real")
    assert code == 130
    assert "stopped; real is as it was" in out
    assert not (workplace / "real").exists()
