"""Nothing that a command prints is cut, on a narrow terminal or in a pipe."""

import errno
import io
import re
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

from boxpaint.cli import app
from boxpaint.cli.console import Table, console
from generator.foundation.version import __version__
from tests.boxpaint.terminal import Terminal

HEADINGS = ("class", "objects", "AP small", "AP medium", "seen in")
ROWS = (
    ("white blood cell [large]", "1234", "0.123", "0.456", "runs/a_rather_long_name_of_a_folder/model"),
    ("platelet", "7", "–", "1.000", "runs/b"),
)


def printed(width: int | None) -> str:
    """What a terminal of so many columns shows, or, without any, the file that a command's output is sent to."""
    stream = io.StringIO()
    terminal = Console(
        file=stream, width=width or console.width, force_terminal=bool(width), color_system=None, markup=False
    )
    table = Table(title="scores of the weights of step 40")
    for heading in HEADINGS:
        table.add_column(Text(heading))
    for row in ROWS:
        table.add_row(*map(Text, row))
    terminal.print(table)
    return stream.getvalue()


@pytest.mark.parametrize("width", [12, 20, 40, 60, 72, 80, 100, None])
def test_a_table_loses_nothing(width: int | None) -> None:
    text = printed(width)
    assert "…" not in text
    kept = "".join(re.findall(r"[^\s│┃━─┏┓┡┩└┘┳╇┴]", text))
    for value in ("1234", "0.123", "0.456", "1.000"):
        assert value in kept
    assert width is None or max(map(len, text.splitlines())) <= width


def test_numbers_stay_whole_where_columns_do_not_fit() -> None:
    assert "AP small: 0.123\nAP medium: 0.456\n" in printed(40)


def test_a_table_in_a_file_is_as_wide_as_it_is_and_ends_without_blanks() -> None:
    rows = [line for line in printed(None).splitlines() if line.startswith("│")]
    assert len(rows) == 2
    assert "runs/a_rather_long_name_of_a_folder/model" in rows[0]
    assert all(line == line.rstrip() for line in printed(None).splitlines())


def test_the_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert Terminal(monkeypatch, capsys, tmp_path).boxpaint("--version") == (0, f"boxpaint {__version__}\n", "")


def test_help_cuts_no_word_and_no_sentence() -> None:
    shown = {
        words: CliRunner().invoke(app, [*words, "--help"], terminal_width=60).output
        for words in ((), ("train",), ("import",), ("export",), ("train", "classifier"))
    }
    assert not [words for words, text in shown.items() if "…" in text]
    assert "say in one table what came of it." in " ".join(shown[()].split())
    assert "train=0.7,val=0.15,test=0.15" in shown["import",]


def test_a_closed_folder_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def look(*_: object) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", "closed/run.json")

    terminal = Terminal(monkeypatch, capsys, tmp_path)
    monkeypatch.setattr(Path, "is_dir", look)  # root may look anywhere
    code, _, stderr = terminal.boxpaint("app", "closed")
    assert (code, stderr.count("\n")) == (2, 1)
    assert "closed/run.json: reading or writing here is not allowed" in stderr
