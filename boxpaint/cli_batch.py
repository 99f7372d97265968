"""`boxpaint batch`: many scenarios to many data sets."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from boxpaint.console import Table, console
from boxpaint.exit_codes import USER_ERROR, of_signal
from boxpaint.interrupts import holds_run, how_to_go_on, resumable
from generator.foundation.stopping import StopRequest


def batch(
    file: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="Lists the data sets; docs/formats.md has one.")],
) -> None:
    """Make many data sets in one go, export them, and say in one table what came of it."""
    from boxpaint.batch import FAILED, STOPPED, SUMMARY, BatchConfig, BatchItem, run_batch
    from boxpaint.progress import WHERE_IT_STOPS, RunProgress

    config = BatchConfig.load(file)
    bar = ExitStack()
    stop = StopRequest(WHERE_IT_STOPS)

    def listener_of(item: BatchItem) -> RunProgress:
        bar.close()  # that of the data set before
        console.print(f"{item.name}: {config.out / item.name}", style="bold", soft_wrap=True)
        return bar.enter_context(RunProgress(console, stop))

    def has_some(out: Path) -> bool:
        return any(holds_run(out / item.name) for item in config.datasets)

    with resumable(console, config.out, has_some), stop.listening(), bar:
        results = run_batch(config, listener_of, stop)
    table = Table(box=None, pad_edge=False)
    for heading in ("data set", "state", "pictures", "labels", "leak AUC", "exports"):
        table.add_column(heading)
    for each in results:
        leak = "" if each.leak is None else f"{each.leak:.2f}"
        labels = str(sum((each.labels or {}).values()))
        table.add_row(Text(each.name), each.state, str(each.pictures), labels, leak, ", ".join(each.exports))
    console.print(table)
    for each in results:
        if each.problem:
            console.print(f"{each.name}: {each.problem}", style="red", soft_wrap=True)
    console.print(f"summary: {config.out / SUMMARY}", soft_wrap=True)
    if any(each.state == FAILED for each in results):
        raise typer.Exit(USER_ERROR)
    if any(each.state == STOPPED for each in results):
        console.print(how_to_go_on(config.out, is_kept=True), style="yellow", soft_wrap=True)
        raise typer.Exit(of_signal(stop.number))
