"""What is said, and what the command ends with, when a signal has stopped it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from boxpaint.cli.console import Commands, resumable
from generator.foundation.stopping import Stopped


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
    app = typer.Typer(cls=Commands)

    @app.command()
    def work() -> None:
        raise error

    @app.command()
    def rest() -> None: ...

    result = CliRunner().invoke(app, ["work"])
    assert (result.exit_code, result.stderr) == (code, "stopped; the same command starts anew\n")
