"""The commands. Each is a thin layer over the library, and imports what is heavy only when it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxpaint.balance_view import BalanceOption, RenameOption, TargetOption, balanced
from boxpaint.cli_annotate import annotate
from boxpaint.cli_app import app as studio
from boxpaint.cli_batch import batch
from boxpaint.cli_calibrate import calibrate
from boxpaint.cli_check import audit, validate
from boxpaint.cli_detect import refine_app
from boxpaint.cli_evaluate import evaluate, predict
from boxpaint.cli_experiment import experiment
from boxpaint.cli_export import export
from boxpaint.cli_import import import_command
from boxpaint.cli_merge import merge
from boxpaint.cli_review import review
from boxpaint.cli_segmenter import segment
from boxpaint.cli_setup import doctor, init, show_version
from boxpaint.cli_train import app as train_app
from boxpaint.console import console
from boxpaint.exit_codes import of_signal
from boxpaint.interrupts import Commands, end, holds_run, how_to_go_on, resumable
from generator.foundation.errors import BoxpaintError, DomainError
from generator.foundation.stopping import StopRequest

if TYPE_CHECKING:
    from generator.config import Config
    from generator.spec import Spec

app = typer.Typer(
    name="boxpaint",
    cls=Commands,
    help="Two CSV files in, an annotated object-detection data set out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its boxes cut long words at 80 columns
)

PREVIEW_SCENES = 24

BackgroundOption = Annotated[Path, typer.Option("--background", help="CSV of the scenes: prompt, num_imgs, ...")]
ClassesOption = Annotated[
    Path, typer.Option("--classes", help="CSV of the objects: prompt, min_appear, max_appear, ...")
]
AttributesOption = Annotated[
    Path | None,
    typer.Option("--attributes", help="CSV of light, pose, weather ... (default: attributes.csv beside the classes)"),
]
PromptsOption = Annotated[
    Path | None, typer.Option("--prompts", help="Prompt book to use: enriched.json or its folder, made or edited.")
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", help="YAML of how to paint (default: config.yaml if there, else the embedded pocket bundle)"
    ),
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", min=0, max=2**63 - 1, help="Another seed gives another data set.")
]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first scenes of the plan.")]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Go on though the CSV files hold words that the bundle never learned.")
]
_BACKGROUND, _CLASSES = Path("background.csv"), Path("classes.csv")
_OUT = Path("dataset")


app.callback()(show_version)
app.command()(init)


@app.command("check-spec")
def check_spec(
    background: BackgroundOption = _BACKGROUND,
    classes: ClassesOption = _CLASSES,
    attributes: AttributesOption = None,
    config: ConfigOption = None,
) -> None:
    """Check the CSV files, report every fault at once, and do nothing else."""
    settings, spec = _load(background, classes, attributes, config, find_references=True)
    verdict = "good"
    try:
        warnings = settings.check_domain(spec)
    except DomainError as error:
        warnings, verdict = [str(error)], "well written, but generate will refuse it"
    for warning in warnings:
        console.print(f"warning: {warning}", style="yellow", soft_wrap=True)
    console.print(
        f"{verdict}: {spec.num_scenes} pictures of {settings.canvas.width} x {settings.canvas.height} px; "
        f"classes: {', '.join(spec.categories)}",
        markup=False,
    )
    if measured := dict.fromkeys(row.name for row in spec.classes if row.calibration is not None):
        console.print(
            f"sizes, shapes and places of {' and '.join(measured)} follow calibration.json, not {classes.name}",
            markup=False,
            soft_wrap=True,
        )


@app.command()
def plan(
    background: BackgroundOption = _BACKGROUND,
    classes: ClassesOption = _CLASSES,
    attributes: AttributesOption = None,
    config: ConfigOption = None,
    out: Annotated[Path, typer.Option(help="Folder for plan.jsonl and plan.png.")] = Path("plan"),
    prompts: PromptsOption = None,
    seed: SeedOption = None,
    balance_to: BalanceOption = None,
    target: TargetOption = None,
    rename: RenameOption = None,
) -> None:
    """Decide every scene, box and seed, and show the boxes: no model is loaded.

    Prompts are drawn from the book of --prompts; without it they stay as the CSV files have them.
    """
    from generator.dataset.pictures import preview_plan
    from generator.foundation.storage import atomic_writer, make_folder
    from generator.plan import Plan, write_plan
    from generator.prompts.book import read_book

    settings, spec = _load(background, classes, attributes, config, seed)
    spec = balanced(spec, balance_to, target, rename, console)
    whole = Plan(spec=spec, config=settings, book=read_book(prompts, spec) if prompts else None)
    make_folder(out)
    unplaced = write_plan(whole, out / "plan.jsonl")
    scenes = [whole.scene(index) for index in range(min(PREVIEW_SCENES, len(whole)))]
    with atomic_writer(out / "plan.png") as stream:
        preview_plan(scenes, settings.canvas_wh, spec.categories).save(stream, "PNG")
    console.print(f"planned {len(whole)} scenes: {out / 'plan.jsonl'}; the first {len(scenes)}: {out / 'plan.png'}")
    if unplaced:
        console.print(
            f"warning: objects without a place: {unplaced}; ask for smaller or fewer, or raise placement.max_overlap",
            style="yellow",
        )


@app.command()
def prompts(
    background: BackgroundOption = _BACKGROUND,
    classes: ClassesOption = _CLASSES,
    attributes: AttributesOption = None,
    config: ConfigOption = None,
    given: PromptsOption = None,
    captions: Annotated[
        Path | None, typer.Option("--captions", help="captions.json to go on from, made or edited; no photo is read.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for enriched.json and captions.json.")] = Path("prompts"),
    seed: SeedOption = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a book that was edited.")] = False,
    force: ForceOption = False,
) -> None:
    """Make the prompt book and show it: many faithful texts for each row, to be read, edited and given to generate.

    With --prompts an existing book is checked, shown, and left as it is.
    """
    from boxpaint.prompts_view import make_and_show, show_book
    from generator.foundation.storage import check_writable
    from generator.prompts.book import check_rows_of_book, read_book, read_captions, write_book
    from generator.prompts.make import complaints
    from generator.weights import check_run

    def warn(text: str) -> None:
        console.print(f"warning: {text}", style="yellow", soft_wrap=True)

    needs_photos = given is None and captions is None
    settings, spec = _load(
        background, classes, attributes, config, seed, {"device": device}, find_references=needs_photos
    )
    if given is not None:
        book = read_book(given, spec)
        show_book(book, console)
        for complaint in complaints(book, spec, settings):
            warn(complaint)
        return
    if not force:
        for warning in settings.check_domain(spec):
            warn(warning)
    check_writable(out)
    if not overwrite:
        check_rows_of_book(out, spec)
    check_run(settings, spec, book=True, painting=False)
    try:
        book = make_and_show(spec, settings, read_captions(captions) if captions else None, console, warn)
    except KeyboardInterrupt as error:
        raise end(console, "stopped; finished rows are kept, the same command goes on from there", error) from None
    for path in write_book(book, out, overwrite=overwrite):
        console.print(f"wrote {path}")
    console.print(f"edit it if you like, then: boxpaint generate --prompts {out}")


@app.command()
def generate(
    background: BackgroundOption = _BACKGROUND,
    classes: ClassesOption = _CLASSES,
    attributes: AttributesOption = None,
    config: ConfigOption = None,
    out: Annotated[Path, typer.Option(help="Run folder; the same command again goes on where it stopped.")] = _OUT,
    prompts: PromptsOption = None,
    limit: LimitOption = None,
    seed: SeedOption = None,
    chunk: Annotated[int | None, typer.Option("--chunk", min=1, help="Scenes painted together.")] = None,
    engine: Annotated[str | None, typer.Option("--engine", help="local, or ray: a cluster.")] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Processes that paint (default: a few a GPU, or one a core)."),
    ] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start the run folder again.")] = False,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Write annotations though a probe finds where was painted.")
    ] = False,
    force: ForceOption = False,
    balance_to: BalanceOption = None,
    target: TargetOption = None,
    rename: RenameOption = None,
) -> None:
    """Paint the data set."""
    where = {"chunk": chunk, "engine": engine, "workers": workers, "device": device}
    settings, spec = _load(background, classes, attributes, config, seed, where)
    spec = balanced(spec, balance_to, target, rename, console)
    from boxpaint.progress import WHERE_IT_STOPS, RunProgress
    from generator.run import generate as run

    stop = StopRequest(WHERE_IT_STOPS)
    with (
        resumable(console, out, holds_run, overwrite=overwrite),
        stop.listening(),
        RunProgress(console, stop) as progress,
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
    console.print(f"{dataset.num_scenes} pictures with {dataset.num_objects} labels in {dataset.folder}")
    console.print(f"  look:   {dataset.report}")
    console.print(f"  labels: {dataset.annotations} and instances_val.json")
    if not dataset.complete:
        console.print(how_to_go_on(out, is_kept=True, overwrite=overwrite), style="yellow", soft_wrap=True)
        raise typer.Exit(of_signal(stop.number))
    if dataset.problem:
        raise BoxpaintError(dataset.problem)


app.command()(doctor)


def _load(
    background: Path,
    classes: Path,
    attributes: Path | None,
    config: Path | None,
    seed: int | None = None,
    overrides: Mapping[str, object] | None = None,
    *,
    find_references: bool = False,
) -> tuple[Config, Spec]:
    """Read the config first (it gives the canvas), then the CSV files against it; `overrides` are its keys."""
    from generator.config import Config
    from generator.spec import load_spec

    if config is None and Path("config.yaml").is_file():
        config = Path("config.yaml")
    settings = Config.load(config, **{"seed": seed, **(overrides or {})})
    spec = load_spec(background, classes, attributes, canvas_wh=settings.canvas_wh, find_references=find_references)
    return settings, spec


# Behind the commands above, so that the help follows the way of a data set: painted, checked, learnt from, proven.
app.command()(batch)
app.command()(validate)
app.command()(audit)
app.command()(calibrate)
app.command()(review)
app.command("import")(import_command)
app.command()(annotate)
app.command()(export)
app.command()(merge)
app.add_typer(train_app, name="train")
app.add_typer(refine_app, name="refine")
app.command()(predict)
app.command()(segment)
app.command()(evaluate)
app.command()(experiment)
app.command("app")(studio)
