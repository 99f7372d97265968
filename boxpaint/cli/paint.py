"""`boxpaint generate`, `batch` and `audit`: painted data sets, one or many, and whether it shows where was painted."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxpaint.cli import options as opt
from boxpaint.cli.console import Table, console, how_to_go_on, resumable, say
from boxpaint.cli.scenario import balance_spec, read_scenario
from generator.foundation.errors import USER_ERROR, BoxpaintError, DatasetError
from generator.foundation.run_folder import PAINTED
from generator.foundation.stopping import StopRequest, exit_code

if TYPE_CHECKING:
    from boxpaint.batch import BatchItem
    from boxpaint.cli.paint_progress import RunProgress

_OUT = Path("dataset")


def generate(
    background: opt.Background = opt.BACKGROUND,
    classes: opt.Classes = opt.CLASSES,
    attributes: opt.Attributes = None,
    config: opt.PaintConfig = None,
    out: Annotated[Path, typer.Option(help="Run folder; the same command again goes on where it stopped.")] = _OUT,
    prompts: opt.Prompts = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first scenes of the plan.")] = None,
    seed: opt.PaintSeed = None,
    chunk: Annotated[int | None, typer.Option("--chunk", min=1, help="Scenes painted together.")] = None,
    engine: Annotated[str | None, typer.Option("--engine", help="local, or ray: a cluster.")] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Processes that paint (default: a few a GPU, or one a core)."),
    ] = None,
    device: opt.ConfiguredDevice = None,
    overwrite: Annotated[bool, opt.overwrite("Start the run folder again.")] = False,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Write annotations though a probe finds where was painted.")
    ] = False,
    force: opt.Force = False,
    balance_to: opt.BalanceTo = None,
    target: opt.Target = None,
    rename: opt.RenameReal = None,
) -> None:
    """Paint the data set."""
    where = {"chunk": chunk, "engine": engine, "workers": workers, "device": device}
    settings, spec = read_scenario(background, classes, attributes, config, seed, where)
    spec = balance_spec(spec, balance_to, target, rename)
    from boxpaint.cli.paint_progress import WHERE_IT_STOPS, RunProgress
    from generator.run import generate as run

    stop = StopRequest(WHERE_IT_STOPS)
    with (
        resumable(out, PAINTED.is_begun, overwrite=overwrite),
        stop.listening(),
        RunProgress(stop=stop) as progress,
    ):
        dataset = run(
            spec,
            settings,
            out,
            prompts=prompts,
            limit=limit,
            overwrite=overwrite,
            allow_leak=allow_leak,
            force=force,
            listener=progress,
            should_stop=stop,
        )
    real = f", and {dataset.num_real_objects} of real ones," if dataset.num_real_objects else ""
    labels = f"labels of painted objects{real}" if real else "labels"
    console.print(f"{dataset.num_scenes} pictures with {dataset.num_objects} {labels} in {dataset.folder}")
    console.print(f"  look:   {dataset.report}")
    console.print(f"  labels: {dataset.annotations} and instances_val.json")
    if not dataset.complete:
        say(how_to_go_on(out, is_kept=True, overwrite=overwrite), style="yellow")
        raise typer.Exit(exit_code(stop.number))
    if dataset.problem:
        raise BoxpaintError(dataset.problem)


def batch(
    file: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="Lists the data sets; docs/formats.md has one.")],
) -> None:
    """Make many data sets in one go, export them, and say in one table what came of it."""
    from boxpaint.batch import FAILED, STOPPED, SUMMARY, BatchConfig, run_batch
    from boxpaint.cli.paint_progress import WHERE_IT_STOPS, RunProgress

    config = BatchConfig.load(file)
    bar = ExitStack()
    stop = StopRequest(WHERE_IT_STOPS)

    def listener_of(item: BatchItem) -> RunProgress:
        bar.close()  # that of the data set before
        say(f"{item.name}: {config.out / item.name}", style="bold")
        return bar.enter_context(RunProgress(stop=stop))

    def has_some(out: Path) -> bool:
        return any(PAINTED.is_begun(out / item.name) for item in config.datasets)

    with resumable(config.out, has_some), stop.listening(), bar:
        results = run_batch(config, listener_of, stop)
    rows = [
        (
            each.name,
            each.state,
            each.pictures,
            sum((each.labels or {}).values()),
            "" if each.leak is None else f"{each.leak:.2f}",
            ", ".join(each.exports),
        )
        for each in results
    ]
    console.print(Table.of(("data set", "state", "pictures", "labels", "leak AUC", "exports"), rows, framed=False))
    for each in results:
        if each.problem:
            say(f"{each.name}: {each.problem}", style="red")
    say(f"summary: {config.out / SUMMARY}")
    if any(each.state == FAILED for each in results):
        raise typer.Exit(USER_ERROR)
    if any(each.state == STOPPED for each in results):
        say(how_to_go_on(config.out, is_kept=True), style="yellow")
        raise typer.Exit(exit_code(stop.number))


def audit(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Run folder of `boxpaint generate`.")],
    scenes: Annotated[
        int | None, typer.Option("--scenes", min=2, help="So many scenes, evenly spread (default: all).")
    ] = None,
    network: Annotated[
        bool, typer.Option(help="Train the small network, too: stronger, and minutes instead of seconds.")
    ] = True,
    seed: Annotated[int, opt.seed("Another seed: other untouched places.")] = 0,
) -> None:
    """Train probes to tell painted from untouched places, and say how well they can."""
    from generator.audit.files import AUDIT, AUDIT_PICTURE, read_audit
    from generator.audit.leak import audit_folder, write_audit

    with console.status("training probes"):
        report = audit_folder(folder, scenes=scenes, with_network=network, seed=seed)
    found, before = report.audit, None
    rows: list[tuple[object, ...]] = []
    for kind, probed in found.found.items():
        if probed is None:
            rows.append((kind, "–", "too few", "–", "–"))
            continue
        for probe, auc in probed.auc.items():
            rows.append((kind, probe, probed.places, f"{auc.value:.3f}", f"{auc.low:.3f} to {auc.high:.3f}"))
    headings = "painted against untouched", "probe", "places", "AUC", "95 % interval"
    title = f"{found.pictures} pictures; AUC 0.5: the probe guesses, 1: it knows"
    console.print(Table.of(headings, rows, title=title))
    for kind in [kind for kind, probed in found.found.items() if probed is None]:
        say(f"{kind}: too few, {found.shortage(kind)}", style="yellow")
    with contextlib.suppress(DatasetError):  # a damaged one is replaced
        before = read_audit(folder)
    if before is not None and found.is_poorer_than(before):
        say(
            f"{folder / AUDIT} keeps an earlier audit, of {before.pictures} pictures, which says more; remove it to "
            "have this one written",
            style="yellow",
        )
        return
    write_audit(folder, report)
    shown = f"the most conspicuous places: {folder / AUDIT_PICTURE}; " if report.suspicious else ""
    say(f"{shown}all numbers: {folder / AUDIT}")
