"""`boxpaint import`: a data set of other people becomes one of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from boxpaint.console import Table, console
from boxpaint.detect_inputs import parse_pairs, parse_renames
from boxpaint.interrupts import end
from generator.foundation.seeds import MAX_SEED

if TYPE_CHECKING:
    from detection.formats.importing import ImportOptions, ImportReport

_SHOWN_EXAMPLE = 110


def import_command(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A data set's folder, or its one annotation file.")],
    out: Annotated[Path, typer.Option(help="Folder for images/, annotations/ and import.json.")],
    form: Annotated[
        str | None, typer.Option("--format", help="coco, hf, webdataset, voc, yolo or csv (default: found by content).")
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option("--rename", metavar="OLD=NEW", help="Give a category another name; repeatable.")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="NAME", help="Keep only such categories (by their new names); repeatable."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            help="Make splits, such as train=0.7,val=0.15,test=0.15 (default: those of the source; where it has none, "
            "train=0.8,val=0.2).",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Another seed makes other splits.")] = 0,
    group_by: Annotated[
        str | None,
        typer.Option(
            "--group-by",
            help="Regular expression over paths: pictures in which it (or its first group) finds the same stay "
            "together.",
        ),
    ] = None,
    first_pixel: Annotated[
        int | None,
        typer.Option(min=0, max=1, help="Whether boxes in pixels count from 0 or 1 (default: found out)."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="KEY=COLUMN",
            help="Name a column of a CSV file; repeatable. Keys: image, class, x_min, y_min, x_max, y_max, x, y, "
            "box_width, box_height, width, height (of the picture), split.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier import.")] = False,
) -> None:
    """Import a COCO, Hugging Face, WebDataset, VOC, YOLO or CSV set; what is mended or dropped is listed.

    Near-duplicates stay on one side of the splits that are made; in splits of the source they are listed.
    """
    from detection.datasets.splits import parse_shares
    from detection.formats.importing import ImportOptions

    first: Literal[0, 1] | None = None if first_pixel is None else 1 if first_pixel else 0
    options = ImportOptions(
        format=form,
        rename=parse_renames(rename),
        keep=tuple(keep or ()),
        shares=parse_shares(split) if split is not None else None,
        seed=seed,
        group_by=group_by,
        first_pixel=first,
        columns=parse_pairs("--column", "KEY=COLUMN", "image=file", column),
        overwrite=overwrite,
    )
    run_import(source, out, options)


def run_import(source: Path, out: Path, options: ImportOptions) -> None:
    """Import with a bar, and say what came of it. Raises BoxpaintError."""
    from detection.formats.importing import import_set

    columns = (TextColumn("reading pictures"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=None)
            report = import_set(
                source, out, options, on_picture=lambda done, total: bar.update(task, completed=done, total=total)
            )
    except KeyboardInterrupt as error:
        raise end(console, f"stopped; {out} is as it was", error) from None
    _show(report)


def _show(report: ImportReport) -> None:
    console.print(f"read as {report.format}: {report.evidence}", soft_wrap=True)
    for name, evidence in report.other_formats.items():
        console.print(f"it could be read as {name}, too ({evidence}): --format {name}", style="yellow", soft_wrap=True)
    if report.cases:
        console.print(_case_table(report))
    splits = Table(box=None, pad_edge=False)
    for heading in ("split", "pictures", *report.categories):
        splits.add_column(Text(heading), justify="left" if heading == "split" else "right")
    for name, data in report.splits.items():
        splits.add_row(Text(name), str(len(data)), *(str(count) for count in data.counts().values()))
    console.print(splits)
    console.print(f"splits: {report.splits_are}", soft_wrap=True)
    for what, found in (("pictures", report.pictures), ("objects", report.objects)):
        lost = found.source - found.written
        console.print(f"{found.source} {what} came in: {found.written} are in, {lost} are dropped and listed")
    console.print(f"wrote {report.folder}; every case: {report.folder / 'import.json'}", soft_wrap=True)
    console.print(f"  check: boxpaint validate {report.folder}", soft_wrap=True)


def _case_table(report: ImportReport) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("done", "cases", "lost pictures", "lost objects", "what, and an example"):
        counts = heading not in ("done", "what, and an example")
        table.add_column(
            heading, justify="right" if counts else "left", overflow="fold", max_width=8 if counts else None
        )
    for what, done, cases, pictures, objects, example in report.kinds():
        lost = (str(count) if count else "" for count in (pictures, objects))
        shown = example if len(example) <= _SHOWN_EXAMPLE else f"{example[: _SHOWN_EXAMPLE - 4]} ..."
        table.add_row(done, str(cases), *lost, Text.assemble(what, "\n", (shown, "dim")))
    return table
