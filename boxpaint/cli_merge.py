"""`boxpaint merge`: several data sets as one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boxpaint.cli_export import CopyOption, OverwriteOption, picture_progress, show_report
from boxpaint.console import console
from boxpaint.detect_inputs import parse_renames
from generator.errors import BoxpaintError


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR ...", help="Data sets, ours or any COCO: two or more.")],
    out: Annotated[Path, typer.Option(help="Folder of the whole, in COCO form; it appears at the end.")],
    rename: Annotated[
        list[str] | None,
        typer.Option("--rename", metavar="OLD=NEW", help="A class of any of them is called NEW here; repeatable."),
    ] = None,
    duplicates: Annotated[
        bool, typer.Option(help="Look for nearly the same picture in two splits; every picture is read for it.")
    ] = True,
    copy: CopyOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Make one data set of several; classes are matched by name, and each picture says if it is synthetic."""
    from detection.exporters.merging import merge_sets
    from detection.exporters.types import ExportOptions

    if len(folders) < 2:
        raise BoxpaintError(f"merge what with {folders[0]}? Name two data sets or more")
    options = ExportOptions(copy=copy, overwrite=overwrite)
    with picture_progress("going through pictures", out) as on_picture:
        report = merge_sets(
            folders, out, parse_renames(rename), options, find_duplicates=duplicates, on_picture=on_picture
        )
    show_report(report)
    console.print(f"  source: {', '.join(f'{count} {name}' for name, count in report.sources.items())}")
