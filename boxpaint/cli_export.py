"""`boxpaint export`: a data set as other programs read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from boxpaint.console import Table, console
from boxpaint.interrupts import end
from generator.foundation.errors import BoxpaintError
from generator.foundation.seeds import MAX_SEED

if TYPE_CHECKING:
    from detection.formats.exporting import ExportReport
    from detection.formats.target import OnPicture

CopyOption = Annotated[
    bool, typer.Option("--copy", help="Copy pictures (default: hard links where possible; they take no space).")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")]


def export(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A data set's folder, ours or any COCO, or a COCO file.")
    ],
    form: Annotated[
        str, typer.Option("--format", help="coco, yolo, yolo-seg, voc, hf, webdataset, crops or semantic.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the export; it appears whole at the end.")],
    classes: Annotated[
        str | None, typer.Option("--classes", metavar="A,B", help="Only these classes, in this order.")
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Only labels that a second model was so sure of (verified_score)."),
    ] = None,
    max_images: Annotated[int | None, typer.Option(min=1, help="So many pictures, evenly spread.")] = None,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="Choose pictures so that classes are as even as they can be.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Another seed chooses other pictures.")] = 0,
    margin: Annotated[
        float | None, typer.Option(min=0, max=10, help="crops: room around the box, as a share of its sides.")
    ] = None,
    shard_size: Annotated[
        int | None, typer.Option(min=1, help="webdataset: pictures in a tar file (default: 1000).")
    ] = None,
    copy: CopyOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Write a data set as other programs read it; splits and ids stay."""
    from detection.formats.exporting import export_set
    from detection.formats.target import ExportOptions

    for option, value, needed in (("--margin", margin, "crops"), ("--shard-size", shard_size, "webdataset")):
        if value is not None and form != needed:
            raise BoxpaintError(f"{option} goes with --format {needed}, not with {form}")
    default = ExportOptions()
    options = ExportOptions(
        classes=_parse_classes(classes),
        min_score=min_score,
        max_images=max_images,
        balanced=balanced,
        seed=seed,
        margin=default.margin if margin is None else margin,
        shard_size=default.shard_size if shard_size is None else shard_size,
        copy=copy,
        overwrite=overwrite,
    )
    with picture_progress("writing pictures", out) as on_picture:
        report = export_set(folder, out, form, options, on_picture=on_picture)
    show_report(report)


def _parse_classes(text: str | None) -> tuple[str, ...]:
    """'a, b' -> ('a', 'b'). Raises BoxpaintError for none at all."""
    names = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    if text is not None and not names:
        raise BoxpaintError(f"--classes: found {text!r}; names with commas between them are needed")
    return names


@contextmanager
def picture_progress(what: str, out: Path) -> Iterator[OnPicture]:
    """Show a bar of pictures; after Ctrl-C say that nothing changed, and exit."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
    except KeyboardInterrupt as error:
        raise end(console, f"stopped; {out} is as it was", error) from None


def show_report(report: ExportReport) -> None:
    """Say what an export holds, what was left out, and where it is."""
    names = next(iter(report.splits.values()))
    table = Table(box=None, pad_edge=False)
    for heading in ("split", "pictures", *names):
        table.add_column(Text(heading), justify="left" if heading == "split" else "right")
    for split, labels in report.splits.items():
        table.add_row(Text(split), str(report.pictures[split]), *(str(count) for count in labels.values()))
    console.print(table)
    for note in report.notes:
        console.print(note, style="yellow", soft_wrap=True)
    pictures = sum(report.pictures.values())
    kept = [f"{report.linked} linked" if report.linked else "", f"{report.copied} copied" if report.copied else ""]
    shown = ", ".join(text for text in kept if text)
    console.print(
        f"wrote {report.folder} as {report.format}: {pictures} pictures{f', {shown}' if shown else ''}", soft_wrap=True
    )
    console.print(f"  how to open it: {report.folder / 'README.md'}", soft_wrap=True)
