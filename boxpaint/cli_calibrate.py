"""`boxpaint calibrate`: measure real objects, so that painted ones are as large and labelled as people would."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from boxpaint.console import Table, console
from boxpaint.detect_inputs import parse_renames
from generator.foundation.errors import BoxpaintError, DatasetError, Fault, SpecError

if TYPE_CHECKING:
    from detection.calibration.boxes import BoxScale
    from detection.calibration.scale import OnProgress
    from generator.spec.calibration import ClassCalibration

FEW_BOXES = 5
# Without a terminal a line is printed at most so often.
_LINE_EVERY_S = 10.0


def calibrate(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Run folder of the same scenario; a hundred scenes are enough.")
    ],
    real: Annotated[
        str, typer.Option("--real", metavar="DATASET[:SPLIT]", help="Real pictures with boxes, COCO (split: train).")
    ],
    classes: Annotated[
        Path, typer.Option("--classes", "-c", help="classes.csv of the scenario; the result goes beside it.")
    ] = Path("classes.csv"),
    rename: Annotated[
        list[str] | None,
        typer.Option("--rename", metavar="OLD=NEW", help="A class of the real set is called NEW here."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed: other first weights of the ruler.")] = 0,
) -> None:
    """Measure how large real objects are, where they lie and how people draw their boxes, from a few of them.

    From then on plans ask for objects of these sizes, and labels are as people draw them.
    """
    from detection.calibration.boxes import tight_boxes
    from detection.calibration.classes import measure_classes
    from detection.calibration.overlay import OVERLAY, write_overlay
    from detection.calibration.scale import measure_scales
    from detection.datasets.categories import choose_categories
    from detection.datasets.read import read_detection_set
    from detection.runs.sources import match_sources, read_source
    from generator.foundation.folder_kinds import PAINTED, add_kind, kind_of
    from generator.foundation.storage import check_writable
    from generator.spec import class_names
    from generator.spec.calibration import CALIBRATION, read_calibration, write_calibration

    if kind_of(folder) != PAINTED:
        expected = add_kind("is no run folder of `boxpaint generate`", folder)
        raise DatasetError([Fault(file=str(folder), expected=expected)])
    if not classes.is_file():
        raise DatasetError([Fault(file=str(classes), expected="there is no such file; name it with --classes")])
    path = classes.parent / CALIBRATION
    check_writable(path.parent)
    painted = read_detection_set(folder)
    wanted = [name for name in class_names(classes) if name in painted.categories]
    if not wanted:
        known = ", ".join(painted.categories)
        raise DatasetError([Fault(file=str(classes), expected=f"has no class that {folder} holds: {known}")])
    (source,) = match_sources([read_source(real, "real")], wanted, parse_renames(rename))
    matched = source.data
    painted = choose_categories(painted, wanted, where=str(folder))
    with _progress() as on_progress:
        readings = measure_scales(matched, tight_boxes(painted), seed=seed, on_progress=on_progress)
        scales = {name: reading.scale for name, reading in readings.items()}
        found = measure_classes(matched, painted, scales, seed=seed, on_progress=on_progress)
    if not found:
        raise BoxpaintError(f"{source.name}: there is no whole object of {', '.join(painted.categories)} to measure")
    overlay = classes.parent / OVERLAY
    write_overlay(overlay, readings)
    earlier: dict[str, ClassCalibration] = {}
    try:
        earlier = read_calibration(path, class_names(classes))
    except SpecError as error:
        if path.exists():
            console.print(f"warning: replaced, since it could not be used: {error}", style="yellow", soft_wrap=True)
    write_calibration(path, {**earlier, **found}, real=source.name)
    _show(found, scales)
    console.print(f"look at the boxes: {overlay}", soft_wrap=True)
    console.print(f"wrote {path}: `boxpaint generate` now follows it; remove the file to go back", soft_wrap=True)


@contextlib.contextmanager
def _progress() -> Iterator[OnProgress]:
    """Show a bar for each step; without a terminal a line when one begins, and by the clock."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    printed = 0.0
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:

        def show(what: str, done: int, total: int) -> None:
            nonlocal printed
            is_new = what not in tasks
            if is_new:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)
            if not console.is_terminal and (is_new or time.monotonic() - printed > _LINE_EVERY_S):
                printed = time.monotonic()
                console.print(f"{what}: {done} of {total}")

        yield show


def _show(found: Mapping[str, ClassCalibration], scales: Mapping[str, BoxScale]) -> None:
    from generator.spec.calibration import DECILES

    table = Table(title="people's boxes, and how the painter does")
    headings = "class", "real boxes", "box / object", "asked / painted", "side, share of picture", "ground lighter than"
    for heading in headings:
        table.add_column(heading)
    for name, each in found.items():
        table.add_row(
            name,
            str(each.real_boxes),
            f"{each.label_scale:.2f}{' (usual)' if scales[name].doubt else ''}",
            f"{each.paint_scale:.2f}",
            f"{each.side:.1%} (x/÷ {1 + each.side_spread:.2f})",
            f"{each.ground[DECILES // 2]:.0%} of places",
        )
    console.print(table)
    for name, scale in scales.items():
        if name in found and scale.doubt:
            console.print(
                f"warning: box / object of {name} is the usual {scale.factor:.2f}, not measured: {scale.doubt}. "
                f"Measure some by hand and write that as its label_scale, or calibrate on a run with more than "
                f"{scale.painted_boxes} painted ones that look like them",
                style="yellow",
                soft_wrap=True,
            )
        if name not in found:
            console.print(f"warning: nothing of {name} could be measured; it stays as it was", style="yellow")
        elif found[name].real_boxes < FEW_BOXES:
            console.print(f"warning: {found[name].real_boxes} boxes of {name} say little; five or more are better")
