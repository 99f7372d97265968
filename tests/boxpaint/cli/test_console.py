"""Help loads nothing heavy; nothing that a command prints is cut; and what is said when a signal stops one."""

import errno
import io
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

from boxpaint.cli import COMMANDS, REFINE, TRAIN, app
from boxpaint.cli.console import Commands, Table, console, resumable
from generator.foundation.stopping import Stopped
from generator.foundation.version import __version__
from tests.boxpaint.terminal import Ended, boxpaint

ALL = ["", *COMMANDS, "train", "refine", *(f"train {name}" for name in TRAIN), *(f"refine {name}" for name in REFINE)]
HEAVY = {
    *("torch", "torchvision", "torchmetrics", "diffusers", "transformers", "ultralytics", "onnx", "sklearn", "scipy"),
    *("pandas", "polars", "matplotlib", "cv2", "PIL", "albumentations", "imagehash", "nltk", "pycocotools", "ray"),
}
HEADINGS = ("class", "objects", "AP small", "AP medium", "seen in")
ROWS = (
    ("white blood cell [large]", "1234", "0.123", "0.456", "runs/a_rather_long_name_of_a_folder/model"),
    ("platelet", "7", "–", "1.000", "runs/b"),
)


def test_help_of_every_command_loads_no_heavy_package() -> None:
    code = (
        "import sys, boxpaint.__main__\n"
        "from boxpaint.cli import app\n"
        "from typer.testing import CliRunner\n"
        f"for words in {ALL!r}:\n"
        "    assert CliRunner().invoke(app, [*words.split(), '--help']).exit_code == 0, words\n"
        f"loaded = {HEAVY!r} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_cuts_no_word_and_no_sentence() -> None:
    shown = {words: CliRunner().invoke(app, [*words.split(), "--help"], terminal_width=60).output for words in ALL}
    assert not [words for words, text in shown.items() if "…" in text]
    assert "say in one table what came of it." in " ".join(shown[""].split())
    assert "train=0.7,val=0.15,test=0.15" in shown["import"]


def test_the_version(tmp_path: Path) -> None:
    assert boxpaint("--version", cwd=tmp_path) == Ended(code=0, out=f"boxpaint {__version__}\n", err="")


def printed(width: int | None) -> str:
    """What a terminal of so many columns shows, or, without any, the file that a command's output is sent to."""
    stream = io.StringIO()
    terminal = Console(
        file=stream, width=width or console.width, force_terminal=bool(width), color_system=None, markup=False
    )
    rows = [[*map(Text, row)] for row in ROWS]
    terminal.print(Table.of(HEADINGS, rows, title="scores of the weights of step 40", numbers_from=1))
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


def test_a_closed_folder_is_one_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def look(*_: object) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", "closed/run.json")

    monkeypatch.setattr(Path, "is_dir", look)  # root may look anywhere
    ended = boxpaint("app", "closed", cwd=tmp_path)
    ended.refuses("closed/run.json: reading or writing here is not allowed")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("kept", "overwrite", "said"),
    [
        (False, False, "nothing is kept, the same command starts anew"),
        (True, False, "the same command goes on from what is kept in out"),
        (True, True, "the same command without --overwrite goes on from what is kept in out"),
    ],
)
def test_it_goes_on_only_where_something_is_kept(
    kept: bool, overwrite: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as end, resumable(Path("out"), lambda _: kept, overwrite=overwrite):
        raise Stopped(signal.SIGTERM)
    assert capsys.readouterr().out == f"stopped; {said}\n"
    assert end.value.exit_code == 143


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (Stopped(signal.SIGTERM), 143)])
def test_a_command_without_words_of_its_own_starts_anew(error: KeyboardInterrupt, code: int) -> None:
    stopped = typer.Typer(cls=Commands)

    @stopped.command()
    def work() -> None:
        raise error

    @stopped.command()
    def rest() -> None: ...

    result = CliRunner().invoke(stopped, ["work"])
    assert (result.exit_code, result.stderr) == (code, "stopped; the same command starts anew\n")
