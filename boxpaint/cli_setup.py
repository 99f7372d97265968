"""`boxpaint init`, `doctor` and `--version`: files to begin with, and what this machine can do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from boxpaint.console import Table, console
from generator.foundation.errors import BoxpaintError, DatasetError, Fault
from generator.foundation.version import __version__

if TYPE_CHECKING:
    from detection.runs.sources import Source

# Squares laid down at random, one after the other, jam where they fill .56 of a plane; boxes of many classes before.
_CROWDED = 0.3


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
    scenario: Annotated[
        str | None, typer.Option(help="Which one (default: blood_smear); a name that is not there lists them all.")
    ] = None,
    real: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="DATASET[:SPLIT]",
            help="Measure real pictures instead (split: train): COCO, or what `boxpaint import` reads.",
        ),
    ] = None,
    bundle: Annotated[
        str | None,
        typer.Option(help="With --from, who is to paint: sd21 (default), or pocket (stained blood smears; no GPU)."),
    ] = None,
) -> None:
    """Lay down the CSV files and a config to edit: those of a scenario, or made from real pictures."""
    from boxpaint.scenarios import DEFAULT_SCENARIO, lay_down

    if real is not None:
        if scenario is not None:
            raise BoxpaintError("--scenario and --from exclude each other")
        with _whole_or_absent(folder):
            _init_from(real, folder, bundle or "sd21")
        return
    if bundle is not None:
        raise BoxpaintError("--bundle goes with --from; a scenario brings its own")
    for path in lay_down(scenario or DEFAULT_SCENARIO, folder):
        console.print(f"wrote {path}")
    console.print(f"next: cd {folder} && boxpaint generate --limit 4")


@contextlib.contextmanager
def _whole_or_absent(folder: Path) -> Iterator[None]:
    """Remove what came into a folder where the block fails, and the folder if it was not there."""
    from generator.foundation.storage import list_folder, remove

    was_there, before = folder.exists(), {entry.name for entry in list_folder(folder)}
    try:
        yield
    except BaseException:
        for entry in list_folder(folder):
            if entry.name not in before:
                remove(Path(entry))
        if not was_there and folder.exists():
            folder.rmdir()
        raise


def _init_from(real: str, folder: Path, bundle: str) -> None:
    """Measure a data set, and write a scenario like it. Raises BoxpaintError."""
    from boxpaint.scenarios import canvas_area_px, check_free, config_with_canvas, write_files
    from detection.calibration.scenario import BACKGROUND_PROMPT, canvas_like, class_rows, tables
    from generator.foundation.storage import make_folder
    from generator.spec import load_spec

    check_free(folder, ("background.csv", "classes.csv", "config.yaml", "attributes.csv", "calibration.json"))
    area_px = canvas_area_px(bundle)
    source = _real_source(real, folder)
    if not any(source.data.counts().values()):
        raise DatasetError([Fault(file=source.name, expected="no picture of it has a box to measure")])
    canvas_wh = canvas_like(source.data, area_px)
    make_folder(folder)  # the way to the references counts from it
    rows = class_rows(source, folder, canvas_wh)
    contents = {name: text.encode() for name, text in tables(rows).items()}
    paths = write_files(folder, {**contents, "config.yaml": config_with_canvas(bundle, canvas_wh)})
    load_spec(*paths[:2], canvas_wh=canvas_wh)
    table = Table(box=None, pad_edge=False)
    for heading in ("class", "boxes measured", "pictures", "in a scene", "width", "height", "band"):
        table.add_column(heading)
    for row in rows:
        cells = row.cells
        spans = [
            f"{cells[low]} to {cells[high]}" if low in cells else ""
            for low, high in (("width_min", "width_max"), ("height_min", "height_max"), ("y_min", "y_max"))
        ]
        appear = f"{cells['min_appear']} to {cells['max_appear']}"
        table.add_row(Text(cells["name"]), str(row.boxes), str(row.pictures), appear, *spans)
    console.print(f"measured {source.name}, {len(source.data)} pictures", soft_wrap=True)
    console.print(table)
    for row in rows:
        if not row.boxes:
            console.print(
                f"warning: these pictures show no {row.cells['name']}: none is asked for; give it max_appear and sizes",
                style="yellow",
                soft_wrap=True,
            )
        elif row.cover > _CROWDED:
            console.print(
                f"warning: {row.cells['name']} takes {row.cover:.0%} of a picture; so many may not all find a place. "
                "If it belongs to your scenes rather than to what you look for, say it in background.csv and take its "
                "row out",
                style="yellow",
                soft_wrap=True,
            )
    for path in paths:
        console.print(f"wrote {path}", soft_wrap=True)
    console.print(
        f"edit: background.csv says {BACKGROUND_PROMPT!r}: describe your scenes without the objects, in English; "
        "classes.csv: say of each class how it looks, and take out what you do not look for",
        soft_wrap=True,
    )
    console.print(f"next: cd {folder} && boxpaint check-spec && boxpaint prompts", soft_wrap=True)


def _real_source(real: str, folder: Path) -> Source:
    """Read a data set in COCO form; what is in another one is imported into the folder first, as real/."""
    from boxpaint.cli_import import run_import
    from boxpaint.scenarios import check_free
    from detection.formats.importing import ImportOptions
    from detection.runs.sources import read_source

    try:
        return read_source(real, "real")
    except DatasetError:
        if not Path(real).exists():
            raise
    check_free(folder, ["real"])
    run_import(Path(real), folder / "real", ImportOptions())
    return read_source(str(folder / "real"), "real")


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
