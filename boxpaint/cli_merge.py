"""`boxpaint merge`: several data sets as one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from boxpaint.cli_export import CopyOption, OverwriteOption, picture_progress, show_report
from boxpaint.console import Table, console
from boxpaint.detect_inputs import parse_renames
from generator.foundation.errors import BoxpaintError

if TYPE_CHECKING:
    from detection.formats.exporting import ExportReport


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR ...", help="Data sets, ours or any COCO: two or more.")],
    out: Annotated[Path, typer.Option(help="Folder of the whole, in COCO form; it appears at the end.")],
    rename: Annotated[
        list[str] | None,
        typer.Option("--rename", metavar="OLD=NEW", help="A class of any of them is called NEW here; repeatable."),
    ] = None,
    only_common: Annotated[
        bool, typer.Option("--only-common", help="Keep only classes that all of them label, on every picture.")
    ] = False,
    duplicates: Annotated[
        bool, typer.Option(help="Look for nearly the same picture in two splits; every picture is read for it.")
    ] = True,
    copy: CopyOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Make one data set of several; classes are matched by name, and each picture says if it is synthetic."""
    from detection.formats.merging import merge_sets
    from detection.formats.target import ExportOptions

    if len(folders) < 2:
        raise BoxpaintError(f"merge what with {folders[0]}? Name two data sets or more")
    options = ExportOptions(copy=copy, overwrite=overwrite)
    with picture_progress("going through pictures", out) as on_picture:
        report = merge_sets(
            folders,
            out,
            parse_renames(rename),
            options,
            only_common=only_common,
            find_duplicates=duplicates,
            on_picture=on_picture,
        )
    _show_labelled(folders, report)
    show_report(report)
    console.print(f"  source: {', '.join(f'{count} {name}' for name, count in report.sources.items())}")


def _show_labelled(folders: list[Path], report: ExportReport) -> None:
    """Show labels by class and data set, where not all of them label the same classes."""
    names = dict.fromkeys(name for of_set in report.labelled for name in of_set)
    if all(name in of_set for of_set in report.labelled for name in names):
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("labels in")
    for name in names:
        table.add_column(Text(name), justify="right")
    for folder, of_set in zip(folders, report.labelled, strict=True):
        counts = [str(of_set[name]) if name in of_set else "not labelled" for name in names]
        table.add_row(Text(str(folder)), *counts)
    console.print(table)
