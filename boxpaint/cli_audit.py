"""`boxpaint audit`: can a trained probe tell where was painted?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from generator.seeds import MAX_SEED

if TYPE_CHECKING:
    from generator.audit.leak import LeakReport

# No markup: a path may hold square brackets.
console = Console(highlight=False, markup=False, emoji=False)


def audit(
    folder: Annotated[Path, typer.Argument(help="Run folder of `boxpaint generate`.")],
    scenes: Annotated[
        int | None, typer.Option("--scenes", min=2, help="So many scenes, evenly spread (default: all).")
    ] = None,
    network: Annotated[
        bool, typer.Option(help="Train the small network, too: stronger, and minutes instead of seconds.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Another seed: other untouched places.")] = 0,
) -> None:
    """Train probes to tell painted from untouched places, and say how well they can."""
    from generator.audit.leak import audit_folder

    with console.status("training probes"):
        report = audit_folder(folder, scenes=scenes, with_network=network, seed=seed)
    _show(report)
    console.print(f"the most conspicuous places: {folder / 'audit.png'}; all numbers: {folder / 'audit.json'}")


def _show(report: LeakReport) -> None:
    table = Table(title=f"{report.pictures} pictures; AUC 0.5: the probe guesses, 1: it knows")
    for heading in ("painted against untouched", "probe", "places", "AUC", "95 % interval"):
        table.add_column(heading)
    for name, found in (("decoys", report.decoys), ("objects, hidden", report.objects)):
        if found is None:
            table.add_row(name, "–", "too few", "–", "–")
            continue
        for probe, auc in found.auc.items():
            table.add_row(name, probe, str(found.places), f"{auc.value:.3f}", f"{auc.low:.3f} to {auc.high:.3f}")
    console.print(table)
