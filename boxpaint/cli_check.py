"""`boxpaint validate` and `boxpaint audit`: is a data set sound, and can a trained probe tell where was painted?"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxpaint.console import Table, console
from generator.foundation.errors import DatasetError
from generator.foundation.seeds import MAX_SEED

if TYPE_CHECKING:
    from generator.audit.files import Audit

FAULTS_FOUND = 2


def validate(
    path: Annotated[
        Path, typer.Argument(metavar="DATASET", help="A data set's folder, ours or any COCO, or one COCO file.")
    ],
) -> None:
    """Check a COCO data set and explain each fault; exit code 2 when there is one."""
    from detection.coco_metrics import score_against_itself
    from generator.dataset.validation import validate_dataset

    report = validate_dataset(path)
    for fault in report.faults:
        console.print(str(fault), style="red", soft_wrap=True)
    labels = ", ".join(f"{count} {name}" for name, count in report.labels_per_category.items()) or "no labels"
    console.print(f"{report.num_images} pictures, {labels}")
    if report.faults:
        console.print(f"{len(report.faults)} fault{'s' * (len(report.faults) > 1)}", style="bold red")
        raise typer.Exit(FAULTS_FOUND)
    for file in report.annotation_files:
        scores = score_against_itself(file)
        shown = "no labels to score" if scores.ap < 0 else f"AP {scores.ap:.3f}"
        console.print(f"{file}: sound; scored against itself by pycocotools: {shown}", soft_wrap=True)


def audit(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Run folder of `boxpaint generate`.")],
    scenes: Annotated[
        int | None, typer.Option("--scenes", min=2, help="So many scenes, evenly spread (default: all).")
    ] = None,
    network: Annotated[
        bool, typer.Option(help="Train the small network, too: stronger, and minutes instead of seconds.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Another seed: other untouched places.")] = 0,
) -> None:
    """Train probes to tell painted from untouched places, and say how well they can."""
    from generator.audit.files import AUDIT, AUDIT_PICTURE, read_audit
    from generator.audit.leak import audit_folder, write_audit

    with console.status("training probes"):
        report = audit_folder(folder, scenes=scenes, with_network=network, seed=seed)
    found, before = report.audit, None
    _show(found)
    with contextlib.suppress(DatasetError):  # a damaged one is replaced
        before = read_audit(folder)
    if before is not None and found.is_poorer_than(before):
        console.print(
            f"{folder / AUDIT} keeps an earlier audit, of {before.pictures} pictures, which says more; remove it to "
            "have this one written",
            style="yellow",
            soft_wrap=True,
        )
        return
    write_audit(folder, report)
    shown = f"the most conspicuous places: {folder / AUDIT_PICTURE}; " if report.suspicious else ""
    console.print(f"{shown}all numbers: {folder / AUDIT}", soft_wrap=True)


def _show(report: Audit) -> None:
    table = Table(title=f"{report.pictures} pictures; AUC 0.5: the probe guesses, 1: it knows")
    for heading in ("painted against untouched", "probe", "places", "AUC", "95 % interval"):
        table.add_column(heading)
    for kind, found in report.found.items():
        if found is None:
            table.add_row(kind, "–", "too few", "–", "–")
            continue
        for probe, auc in found.auc.items():
            table.add_row(kind, probe, str(found.places), f"{auc.value:.3f}", f"{auc.low:.3f} to {auc.high:.3f}")
    console.print(table)
    for kind, found in report.found.items():
        if found is None:
            console.print(f"{kind}: too few, {report.shortage(kind)}", style="yellow", soft_wrap=True)
