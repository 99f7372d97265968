"""`boxpaint validate`, `import`, `export` and `merge`: data sets, ours and those of other people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.text import Text

from boxpaint.cli import options as opt
from boxpaint.cli.console import Table, console, say
from boxpaint.cli.progress import picture_bar
from generator.foundation.errors import USER_ERROR, BoxpaintError

if TYPE_CHECKING:
    from detection.formats.exporting import ExportReport
    from detection.formats.importing import ImportOptions, ImportReport

_SHOWN_EXAMPLE = 110


def validate(
    path: Annotated[
        Path, typer.Argument(metavar="DATASET", help="A data set's folder, ours or any COCO, or one COCO file.")
    ],
) -> None:
    """Check a COCO data set and explain each fault; exit code 2 when there is one."""
    from detection.evaluation.coco_metrics import score_against_itself
    from generator.dataset.validation import validate_dataset

    report = validate_dataset(path)
    for fault in report.faults:
        say(str(fault), style="red")
    labels = ", ".join(f"{count} {name}" for name, count in report.labels_per_category.items()) or "no labels"
    console.print(f"{report.num_images} pictures, {labels}")
    if report.faults:
        console.print(f"{len(report.faults)} fault{'s' * (len(report.faults) > 1)}", style="bold red")
        raise typer.Exit(USER_ERROR)
    for file in report.annotation_files:
        scores = score_against_itself(file)
        shown = "no labels to score" if not scores.objects else f"AP {scores.ap:.3f}"
        say(f"{file}: sound; scored against itself by pycocotools: {shown}")


def import_command(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A data set's folder, or its one annotation file.")],
    out: Annotated[Path, typer.Option(help="Folder for images/, annotations/ and import.json.")],
    form: Annotated[
        str | None, typer.Option("--format", help="coco, hf, webdataset, voc, yolo or csv (default: found by content).")
    ] = None,
    rename: Annotated[list[str] | None, opt.rename("Give a category another name; repeatable.")] = None,
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
    seed: Annotated[int, opt.seed("Another seed makes other splits.")] = 0,
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
    overwrite: Annotated[bool, opt.overwrite("Replace an earlier import.")] = False,
) -> None:
    """Import a COCO, Hugging Face, WebDataset, VOC, YOLO or CSV set; what is mended or dropped is listed.

    Near-duplicates stay on one side of the splits that are made; in splits of the source they are listed.
    """
    from detection.datasets.splits import parse_shares
    from detection.formats.importing import ImportOptions

    first: Literal[0, 1] | None = None if first_pixel is None else 1 if first_pixel else 0
    options = ImportOptions(
        format=form,
        rename=opt.parse_renames(rename),
        keep=tuple(keep or ()),
        shares=parse_shares(split) if split is not None else None,
        seed=seed,
        group_by=group_by,
        first_pixel=first,
        columns=opt.parse_pairs("--column", "KEY=COLUMN", "image=file", column),
        overwrite=overwrite,
    )
    run_import(source, out, options)


def run_import(source: Path, out: Path, options: ImportOptions) -> None:
    """Import with a bar, and say what came of it. Raises BoxpaintError."""
    from detection.formats.importing import import_set

    with picture_bar("reading pictures", out) as on_picture:
        report = import_set(source, out, options, on_picture=on_picture)
    say(f"read as {report.format}: {report.evidence}")
    for name, evidence in report.other_formats.items():
        say(f"it could be read as {name}, too ({evidence}): --format {name}", style="yellow")
    if report.cases:
        console.print(_case_table(report))
    rows = [(name, len(data), *data.counts().values()) for name, data in report.splits.items()]
    console.print(Table.of(("split", "pictures", *report.categories), rows, numbers_from=1, framed=False))
    say(f"splits: {report.splits_are}")
    for what, found in (("pictures", report.pictures), ("objects", report.objects)):
        lost = found.source - found.written
        console.print(f"{found.source} {what} came in: {found.written} are in, {lost} are dropped and listed")
    say(f"wrote {report.folder}; every case: {report.folder / 'import.json'}")
    say(f"  check: boxpaint validate {report.folder}")


def _case_table(report: ImportReport) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("done", "cases", "lost pictures", "lost objects", "what, and an example"):
        counts = heading not in ("done", "what, and an example")
        table.add_column(heading, justify="right" if counts else "left", max_width=8 if counts else None)
    for what, done, cases, pictures, objects, example in report.kinds():
        lost = (str(count) if count else "" for count in (pictures, objects))
        shown = example if len(example) <= _SHOWN_EXAMPLE else f"{example[: _SHOWN_EXAMPLE - 4]} ..."
        table.add_row(done, str(cases), *lost, Text.assemble(what, "\n", (shown, "dim")))
    return table


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
        float | None, opt.min_score("Only labels that a second model was so sure of (verified_score).")
    ] = None,
    max_images: Annotated[int | None, typer.Option(min=1, help="So many pictures, evenly spread.")] = None,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="Choose pictures so that classes are as even as they can be.")
    ] = False,
    seed: Annotated[int, opt.seed("Another seed chooses other pictures.")] = 0,
    margin: Annotated[
        float | None, typer.Option(min=0, max=10, help="crops: room around the box, as a share of its sides.")
    ] = None,
    shard_size: Annotated[
        int | None, typer.Option(min=1, help="webdataset: pictures in a tar file (default: 1000).")
    ] = None,
    copy: opt.Copy = False,
    overwrite: opt.ReplaceExport = False,
) -> None:
    """Write a data set as other programs read it; splits and ids stay."""
    from detection.formats.exporting import export_set
    from detection.formats.target import ExportOptions

    for option, value, needed in (("--margin", margin, "crops"), ("--shard-size", shard_size, "webdataset")):
        if value is not None and form != needed:
            raise BoxpaintError(f"{option} goes with --format {needed}, not with {form}")
    default = ExportOptions()
    options = ExportOptions(
        classes=tuple(opt.parse_names("--classes", classes) or ()),
        min_score=min_score,
        max_images=max_images,
        balanced=balanced,
        seed=seed,
        margin=default.margin if margin is None else margin,
        shard_size=default.shard_size if shard_size is None else shard_size,
        copy=copy,
        overwrite=overwrite,
    )
    with picture_bar("writing pictures", out) as on_picture:
        report = export_set(folder, out, form, options, on_picture=on_picture)
    show_export(report)


def show_export(report: ExportReport) -> None:
    """Say what an export holds, what was left out, and where it is."""
    names = next(iter(report.splits.values()))
    rows = [(split, report.pictures[split], *labels.values()) for split, labels in report.splits.items()]
    console.print(Table.of(("split", "pictures", *names), rows, numbers_from=1, framed=False))
    for note in report.notes:
        say(note, style="yellow")
    kept = ((report.linked, "linked"), (report.copied, "copied"))
    pictures = ", ".join([f"{sum(report.pictures.values())} pictures", *(f"{n} {how}" for n, how in kept if n)])
    say(f"wrote {report.folder} as {report.format}: {pictures}")
    say(f"  how to open it: {report.folder / 'README.md'}")


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR ...", help="Data sets, ours or any COCO: two or more.")],
    out: Annotated[Path, typer.Option(help="Folder of the whole, in COCO form; it appears at the end.")],
    rename: Annotated[list[str] | None, opt.rename("A class of any of them is called NEW here; repeatable.")] = None,
    only_common: Annotated[
        bool, typer.Option("--only-common", help="Keep only classes that all of them label, on every picture.")
    ] = False,
    duplicates: Annotated[
        bool, typer.Option(help="Look for nearly the same picture in two splits; every picture is read for it.")
    ] = True,
    copy: opt.Copy = False,
    overwrite: opt.ReplaceExport = False,
) -> None:
    """Make one data set of several; classes are matched by name, and each picture says if it is synthetic."""
    from detection.formats.merging import merge_sets
    from detection.formats.target import ExportOptions

    if len(folders) < 2:
        raise BoxpaintError(f"merge what with {folders[0]}? Name two data sets or more")
    options = ExportOptions(copy=copy, overwrite=overwrite)
    with picture_bar("going through pictures", out) as on_picture:
        report = merge_sets(
            folders,
            out,
            opt.parse_renames(rename),
            options,
            only_common=only_common,
            find_duplicates=duplicates,
            on_picture=on_picture,
        )
    # By class and data set, where not all of them label the same classes.
    names = dict.fromkeys(name for labels in report.labelled for name in labels)
    if not all(name in labels for labels in report.labelled for name in names):
        rows = [
            (folder, *(labels.get(name, "not labelled") for name in names))
            for folder, labels in zip(folders, report.labelled, strict=True)
        ]
        console.print(Table.of(("labels in", *names), rows, numbers_from=1, framed=False))
    show_export(report)
    console.print(f"  source: {', '.join(f'{count} {name}' for name, count in report.sources.items())}")
