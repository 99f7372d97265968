"""`boxpaint train detector` and `boxpaint refine detector`: a detector on real, painted or mixed pictures."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxpaint.console import CommandGroup, console
from boxpaint.detect_inputs import (
    check_patience,
    command_line,
    parse_names,
    parse_size,
    read_inputs,
    shares_of,
    show_inputs,
)
from boxpaint.interrupts import resumable
from boxpaint.run_tables import score_table
from detection.calibration.boxes import BoxMode
from detection.detectors.settings import FitSettings
from generator.foundation.seeds import MAX_SEED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detection.detectors.types import FitListener
    from detection.runs.run import RunResult

refine_app = typer.Typer(
    cls=CommandGroup, help="Train a trained model further, on real pictures.", no_args_is_help=True
)
_OUT, _REFINED = Path("runs/detector"), Path("runs/detector_refined")
_FIT = FitSettings()

DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")]
RenameOption = Annotated[
    list[str] | None, typer.Option("--rename", metavar="OLD=NEW", help="Another name for a class; may be repeated.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Start the folder again.")]
ValidationOption = Annotated[
    str | None,
    typer.Option(
        metavar="DATASET[:SPLIT]", help="Keep the weights that are best on these (default: the real set's split val)."
    ),
]
NoValidationOption = Annotated[bool, typer.Option("--no-validation", help="Keep the last weights.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="YAML with any of the settings; options given here win.")
]
SizeOption = Annotated[
    str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Pictures are resized to it, such as 320x240.")
]
PretrainedOption = Annotated[str | None, typer.Option(help="none, imagenet, coco, or a checkpoint (default: none).")]
DownloadOption = Annotated[
    bool | None, typer.Option("--download", help="Fetch pretrained weights when they are not here yet.")
]
PatienceOption = Annotated[int | None, typer.Option(help="Validations without a better AP before it stops.")]
WorkersOption = Annotated[int | None, typer.Option(help="Processes that read pictures; the result is the same.")]
SeedOption = Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Another seed: other weights and batches.")]


def train_detector(
    real: Annotated[
        str | None,
        typer.Option("--real", metavar="DATASET[:SPLIT]", help="Real pictures, COCO (default split: train)."),
    ] = None,
    synthetic: Annotated[
        str | None, typer.Option("--synthetic", metavar="DATASET[:SPLIT]", help="Painted pictures (default: all).")
    ] = None,
    mix: Annotated[
        float | None,
        typer.Option("--mix", help="Share of real pictures in each batch when both are given (default: 0.5)."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder; the same command again goes on where it stopped.")] = _OUT,
    detector: Annotated[
        str | None, typer.Option(help="retinanet_small, faster_rcnn, yolo ...; a wrong name lists them all.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Member of the family, such as yolo11n.yaml, or a YAML of your own.")
    ] = None,
    size: SizeOption = None,
    pretrained: PretrainedOption = None,
    download: DownloadOption = None,
    steps: Annotated[int | None, typer.Option(help=f"Batches to train (default: {_FIT.steps}).")] = None,
    batch_size: Annotated[int | None, typer.Option(help=f"Pictures in a batch (default: {_FIT.batch_size}).")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help=f"Highest rate (default: {_FIT.learning_rate:g}).")
    ] = None,
    validation: ValidationOption = None,
    no_validation: NoValidationOption = False,
    patience: PatienceOption = None,
    categories: Annotated[
        str | None, typer.Option(metavar="A,B", help="Classes to learn (default: those of the data, which must agree).")
    ] = None,
    rename: RenameOption = None,
    boxes: Annotated[
        BoxMode,
        typer.Option(
            help="Boxes of painted objects: as the set has them, as painted, as asked for, or as painted and scaled to "
            "how real ones are drawn."
        ),
    ] = "labelled",
    config: ConfigOption = None,
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Train a detector on real pictures, on painted ones, or on both mixed."""
    from detection.runs.config import TrainConfig, read_train_config
    from detection.runs.sources import choose_boxes

    options = {
        "detector": detector,
        "variant": model,
        "input_wh": parse_size(size) if size is not None else None,
        "pretrained": pretrained,
        "download": download,
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "patience": patience,
        "workers": workers,
    }
    chosen = read_train_config(config, options, TrainConfig())
    names = parse_names(categories)
    inputs = read_inputs(real, synthetic, validation, no_validation=no_validation, categories=names, rename=rename)
    shares = shares_of(inputs, mix)
    check_patience(chosen.patience, inputs)
    if inputs.synthetic is not None:
        inputs = replace(inputs, synthetic=choose_boxes(inputs.synthetic, boxes, inputs.real))
    show_inputs(inputs, console)
    from detection.runs.run import RunPlan, train_run
    from generator.foundation.device import choose_device

    plan = RunPlan(
        detector=chosen.detector,
        options=chosen.options,
        settings=chosen.settings,
        seed=seed,
        sources=inputs.trained,
        shares=shares,
        validation=inputs.validation,
    )
    where = choose_device(device)
    with _watched(out, overwrite=overwrite) as progress:
        result = train_run(plan, out, device=where, command=command_line(), overwrite=overwrite, listener=progress)
    _show_result(result)


@refine_app.command("detector")
def refine_detector(
    start: Annotated[Path, typer.Option("--from", metavar="RUN", help="Folder of the run to go on from.")],
    data: Annotated[
        str, typer.Option("--data", metavar="DATASET[:SPLIT]", help="Real pictures, COCO (default split: train).")
    ],
    out: Annotated[Path, typer.Option(help="Folder; the same command again goes on where it stopped.")] = _REFINED,
    steps: Annotated[int | None, typer.Option(help="Batches to train (default: half the run's).")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures in a batch (default: the run's).")] = None,
    optimiser: Annotated[str | None, typer.Option(help="adamw or sgd (default: adamw).")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest rate (default: a tenth of the run's).")] = None,
    freeze_backbone: Annotated[
        bool | None, typer.Option("--freeze-backbone", help="Train only what comes after the feature extractor.")
    ] = None,
    start_share: Annotated[
        float | None, typer.Option(help="Share of the run's weights in those that are kept: less is forgotten.")
    ] = None,
    validation: ValidationOption = None,
    no_validation: NoValidationOption = False,
    validate_every: Annotated[
        int | None, typer.Option(help="Steps between validations (default: a twentieth of all).")
    ] = None,
    patience: PatienceOption = None,
    rename: RenameOption = None,
    config: ConfigOption = None,
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Train a detector further on real pictures alone, gently, and stop when it no longer gets better on others."""
    from detection.runs.config import read_refine_config
    from detection.runs.run import RunPlan, StartingRun, refine_run

    run = StartingRun.read(start)
    inputs = read_inputs(
        data,
        None,
        validation,
        no_validation=no_validation,
        categories=run.categories,
        rename=rename,
        is_refined=True,
    )
    options = {
        "steps": steps,
        "batch_size": batch_size,
        "optimiser": optimiser,
        "learning_rate": learning_rate,
        "freeze_backbone": freeze_backbone,
        "start_share": start_share,
        "validate_every": validate_every,
        "patience": patience,
        "workers": workers,
    }
    settings = read_refine_config(config, options, run.settings, has_validation=inputs.validation is not None)
    check_patience(settings.patience, inputs)
    show_inputs(inputs, console)
    backbone = "frozen" if settings.freeze_backbone else "trained, too"
    console.print(
        f"{run.detector} from {start}: {settings.optimiser} at {settings.learning_rate:g}, at most {settings.steps} "
        f"steps; the backbone is {backbone}",
        soft_wrap=True,
    )
    from generator.foundation.device import choose_device

    plan = RunPlan(
        detector=run.detector,
        options=run.options,
        settings=settings,
        seed=seed,
        sources=inputs.trained,
        shares=(1.0,),
        validation=inputs.validation,
    )
    where = choose_device(device)
    with _watched(out, overwrite=overwrite) as progress:
        result = refine_run(
            run, plan, out, device=where, command=command_line(), overwrite=overwrite, listener=progress
        )
    _show_result(result)


@contextlib.contextmanager
def _watched(out: Path, *, overwrite: bool) -> Iterator[FitListener]:
    """Show a training's progress; a signal ends it with a word on how to go on."""
    from boxpaint.training_progress import FitProgress
    from generator.foundation.run_folder import DETECTOR_RUN

    with resumable(console, out, DETECTOR_RUN.is_begun, overwrite=overwrite), FitProgress(console) as progress:
        yield progress


def _show_result(result: RunResult) -> None:
    if result.was_finished:
        console.print(f"{result.folder} is finished already, nothing was trained; --overwrite starts again")
    if result.scores is not None:
        title = f"{result.scores['pictures']} validation pictures, weights of step {result.best_step} of {result.steps}"
        console.print(score_table(result.scores, title, before=result.before))
    else:
        console.print(f"{result.steps} steps")
    console.print(f"detector: {result.folder / 'model'}; loss: {result.folder / 'loss.png'}", soft_wrap=True)
    console.print(f"next: boxpaint evaluate {result.folder} DATASET", soft_wrap=True)
