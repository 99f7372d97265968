"""`boxpaint merge` as a user meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.dataset.validation import validate_dataset
from tests.boxpaint.commands import assert_help_is_light
from tests.boxpaint.terminal import Terminal
from tests.boxpaint.test_cli_export import HEAVY
from tests.detection.formats.sets import write_set


@pytest.fixture()
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """In a folder with two data sets of the same names and ids, a/ and b/."""
    write_set(tmp_path / "a")
    write_set(tmp_path / "b")
    return Terminal(monkeypatch, capsys, tmp_path)


def test_help_loads_no_heavy_package() -> None:
    assert_help_is_light("merge", heavy=HEAVY)


def test_two_become_one(terminal: Terminal) -> None:
    code, out, errors = terminal.boxpaint("merge", "a", "b", "--out", "c", "--rename", "house cat=tiger")
    assert code == 0, errors
    for words in ("4 pictures and 5 labels got new ids", "8 pictures got new names", "source: 8 real", "tiger"):
        assert words in out, out
    assert not validate_dataset("c").faults
    assert terminal.boxpaint("merge", "a", "b", "--out", "c")[0] == 2
    assert terminal.boxpaint("merge", "a", "b", "--out", "c", "--overwrite", "--no-duplicates", "--copy")[0] == 0


def test_classes_that_not_all_label_are_shown_or_left_out(terminal: Terminal) -> None:
    for file in Path("b/annotations").iterdir():
        file.write_text(file.read_text("utf-8").replace("house cat", "tiger"), "utf-8")
    code, out, errors = terminal.boxpaint("merge", "a", "b", "--out", "c", "--no-duplicates")
    assert code == 0, errors
    for words in ("not labelled", "tiger: labelled in b, not in a", "not_exhaustive_category_ids", "--only-common"):
        assert words in out, out
    code, out, errors = terminal.boxpaint("merge", "a", "b", "--out", "d", "--no-duplicates", "--only-common")
    assert code == 0, errors
    assert "tiger: labelled in b, not in a (left out)" in out
    assert not validate_dataset("d").faults


WRONG = {
    "one": (["a"], "two data sets or more"),
    "missing": (["a", "gone"], "gone"),
    "rename": (["a", "b", "--rename", "wolf=x"], "there is no category wolf"),
    "no rename": (["a", "b", "--rename", "wolf"], "OLD=NEW is needed"),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_mistakes_end_with_one_message_and_nothing_written(
    terminal: Terminal, arguments: list[str], words: str
) -> None:
    code, _, errors = terminal.boxpaint("merge", *arguments, "--out", "c")
    assert code == 2
    assert words in errors
    assert sorted(path.name for path in Path().iterdir()) == ["a", "b"]
