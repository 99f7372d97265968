"""`boxpaint init`, `doctor` and `--version`: files to begin with, and what this machine can do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from boxpaint.console import Table, console
from generator.version import __version__


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print(f"boxpaint {__version__}")
        raise typer.Exit


def show_version(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Two CSV files in, an annotated object-detection data set out."""


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to lay the files down in.")],
    scenario: Annotated[str, typer.Option(help="Which one; a name that is not there lists them all.")] = (
        "blood_smear"
    ),
) -> None:
    """Lay down the CSV files and a config to edit."""
    from boxpaint.scenarios import lay_down

    for path in lay_down(scenario, folder):
        console.print(f"wrote {path}")
    console.print(f"next: cd {folder} && boxpaint generate --limit 4")


def doctor(
    get: Annotated[
        str | None, typer.Option("--get", metavar="BUNDLE", help="First download the models of a bundle (sd21).")
    ] = None,
) -> None:
    """Say what this machine can do: versions, devices, memory, bundles, licences, and which bundle is ready."""
    from boxpaint.doctor import examine, models_of
    from generator.weights import get_models

    if get is not None:
        get_models(models_of(get), on_model=lambda name: console.print(f"downloading {name}"))
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for topic, finding in examine():
        table.add_row(topic, Text(finding))
    console.print(table)
