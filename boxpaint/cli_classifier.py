"""`boxpaint train classifier`: crops of real objects, with and without painted ones, and what the painted ones add."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from boxpaint.console import Table, console
from boxpaint.detect_inputs import parse_counts, parse_renames
from boxpaint.interrupts import resumable
from boxpaint.training_progress import StepBar
from detection.classifier.settings import ClassifierSettings, Job
from detection.proof.jobs import ProofListener
from generator.foundation.seeds import MAX_SEED

if TYPE_CHECKING:
    from detection.classifier.comparison import Comparison
    from detection.proof.statistics import Interval

_OUT = Path("runs/classifier")
_DEFAULTS = ClassifierSettings()


def classifier(
    real: Annotated[Path, typer.Option("--real", help="Real data set in COCO form; see boxpaint import.")],
    synthetic: Annotated[
        Path | None, typer.Option("--synthetic", help="Painted data set; without it only real crops are trained on.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder; the same command again goes on where it stopped.")] = _OUT,
    test: Annotated[
        str | None,
        typer.Option(help="Split of --real, or another data set (default: its split test, else held-out pictures)."),
    ] = None,
    validation: Annotated[
        str | None,
        typer.Option(help="The same for early stopping and curves (default: the split val, if there)."),
    ] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="A class to tell apart; again for each (default: all).")
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option("--rename", help="OLD=NEW: another name for a category; again for each.")
    ] = None,
    per_class: Annotated[
        int | None, typer.Option(min=0, help="At most so many real crops of a class, others for each seed.")
    ] = None,
    limit: Annotated[
        list[str] | None, typer.Option("--limit", help="NAME=N: the same for one class; again for each.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="resnet50, resnet18, or small: quick on a CPU, 64 px crops.")
    ] = _DEFAULTS.model,
    weights: Annotated[
        str, typer.Option(help="none, imagenet (from torch's cache, never downloaded), or a .pth or .safetensors file.")
    ] = _DEFAULTS.weights,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Trainings of each arm.")] = _DEFAULTS.seeds,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each training, the same in both arms.")] = _DEFAULTS.steps,
    batch_size: Annotated[int, typer.Option(min=2, max=4096, help="Crops in a step.")] = _DEFAULTS.batch_size,
    learning_rate: Annotated[
        float | None, typer.Option(help="Highest rate (default: 3e-3 for small, 5e-4 for the others).")
    ] = None,
    real_share: Annotated[
        float | None,
        typer.Option(help="Share of real crops beside painted ones of a class (default: n / (n + 4) for n of them)."),
    ] = None,
    margin: Annotated[
        float, typer.Option(help="What a crop shows around its box, as a share of its longer side.")
    ] = _DEFAULTS.margin,
    background: Annotated[
        bool, typer.Option("--background/--no-background", help="A class more: places without an object.")
    ] = _DEFAULTS.background,
    boxes: Annotated[
        str, typer.Option(help="Boxes of painted objects: tight, or requested where the set says it.")
    ] = _DEFAULTS.boxes,
    augment: Annotated[str, typer.Option(help="standard or none; the same in both arms.")] = _DEFAULTS.augment,
    upright: Annotated[bool, typer.Option("--upright", help="Objects have an up and a down.")] = _DEFAULTS.upright,
    patience: Annotated[
        int | None,
        typer.Option(min=1, help="Stop after so many validations without a gain, keep the best (default: train on)."),
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx/--no-onnx", help="Export the best model of each arm.")] = _DEFAULTS.onnx,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Another seed: other crops, weights, batches.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Trainings side by side, one thread each.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start the folder again.")] = False,
) -> None:
    """Train a classifier of crops on real objects alone, and with painted ones added; same steps, several seeds."""
    settings = _settings(
        model=model,
        weights=weights,
        margin=margin,
        background=background,
        boxes=boxes,
        per_class=per_class,
        limits=parse_counts("--limit", limit),
        real_share=real_share,
        augment=augment,
        upright=upright,
        seed=seed,
        seeds=seeds,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        patience=patience,
        onnx=onnx,
    )
    renamed = parse_renames(rename)
    from detection.classifier.data import Sources
    from detection.classifier.run import compare_classifiers
    from generator.foundation.run_folder import CLASSIFIERS

    sources = Sources(
        real=real,
        synthetic=synthetic,
        test=test,
        validation=validation,
        classes=tuple(classes) if classes else None,
        rename=renamed,
    )
    with (
        resumable(console, out, CLASSIFIERS.is_begun, overwrite=overwrite),
        ComparisonProgress(console) as progress,
    ):
        comparison = compare_classifiers(
            sources,
            out,
            settings,
            device=device,
            workers=workers,
            overwrite=overwrite,
            command=shlex.join(["boxpaint", *sys.argv[1:]]),
            listener=progress,
        )
    _show(comparison, out)


class ComparisonProgress(ProofListener[Job]):
    """A bar over all trainings, and a line for each that is finished. Use as a context manager."""

    def __init__(self, console: Console):
        self.console = console
        self._bar = StepBar(console)
        self._jobs = self._finished = self._steps = 0
        self._trained: dict[Job, int] = {}

    def __enter__(self) -> ComparisonProgress:
        return self

    def __exit__(self, *details: object) -> None:
        self._bar.__exit__(*details)

    def on_jobs(self, jobs: Sequence[Job], steps: int, finished: int) -> None:
        """Begin; models that were trained before count."""
        self._jobs, self._finished, self._steps = len(jobs) + finished, finished, steps
        if finished:
            self.console.print(f"{finished} of {self._jobs} models are trained already")
        if jobs:
            self._bar.start()

    def on_stage(self, text: str) -> None:
        """Say what begins."""
        self.console.print(text)

    def on_job_step(self, job: Job, step: int, loss: float) -> None:
        """Move the bar."""
        self._trained[job] = step
        done = sum(self._trained.values())
        self._bar.move(f"{job.arm}, seed {job.number}, loss {loss:.2f}", done, self._steps)

    def on_job_end(self, job: Job, steps: int, score: float | None) -> None:
        """Print a line, above the bar where there is one."""
        self._finished += 1
        self._trained[job] = steps
        self.console.print(f"{self._finished}/{self._jobs} {job.arm}, seed {job.number}: macro F1 {score:.3f}")


def _settings(**values: Any) -> ClassifierSettings:
    """Check the options. Raises BoxpaintError with every fault."""
    from pydantic import ValidationError

    from generator.foundation.errors import BoxpaintError

    try:
        return ClassifierSettings.model_validate(values)
    except ValidationError as error:
        lines = []
        for item in error.errors():
            name = str(item["loc"][0]).replace("_", "-") if item["loc"] else "options"
            lines.append(f"--{name}: found {item['input']!r}; {item['msg'][0].lower()}{item['msg'][1:]}")
        raise BoxpaintError("\n".join(lines)) from None


def _show(comparison: Comparison, out: Path) -> None:
    from detection.classifier.comparison import show_gain

    gains = comparison.gains
    table = Table(title=f"{len(comparison.data.test)} test crops of {comparison.test_pictures} pictures")
    table.add_column("mean over seeds")
    for arm in comparison.arms:
        table.add_column(arm.arm, justify="right")
    table.add_column("gain, 95 % interval", justify="right")
    rows: list[tuple[str, int | None, Interval | None]] = [
        ("accuracy", None, gains.accuracy if gains else None),
        ("macro_f1", None, gains.macro_f1 if gains else None),
        *(("recall", label, gains.recall[label] if gains else None) for label in range(len(comparison.data.classes))),
    ]
    for score, label, gain in rows:
        name = score.replace("_", " ") if label is None else f"{score}, {comparison.data.classes[label]}"
        values = [arm.mean(score, label) for arm in comparison.arms]
        shown = [f"{value:.3f}" if value == value else "–" for value in values]
        table.add_row(name, *shown, show_gain(gain))
    console.print(table)
    for note in comparison.data.notes:
        console.print(note, style="yellow", soft_wrap=True)
    console.print(comparison.headline, soft_wrap=True)
    console.print(f"report: {out / 'report.html'}; models: {out / 'models'}", soft_wrap=True)
