"""`boxpaint init` and `boxpaint doctor`: files to begin with, and what this machine can do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

# No markup: a path or a name may hold square brackets.
console = Console(highlight=False, markup=False, emoji=False)


def init(
    folder: Annotated[Path, typer.Argument(help="Folder to lay the files down in.")],
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
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for topic, finding in examine():
        table.add_row(topic, Text(finding))
    console.print(table)
