"""`boxpaint train classifier`: crops of real objects, with and without painted ones, and what the painted ones add."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from boxpaint.cli import options as opt
from boxpaint.cli.console import Table, console, figure, resumable, say
from boxpaint.cli.progress import Display
from detection.classifier.settings import ClassifierSettings, Job
from detection.proof.jobs import ProofListener

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
    out: opt.ResumedOut = _OUT,
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
    seed: Annotated[int, opt.seed("Another seed: other crops, weights, batches.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Trainings side by side, one thread each.")] = 1,
    device: opt.Device = "auto",
    overwrite: opt.StartAgain = False,
) -> None:
    """Train a classifier of crops on real objects alone, and with painted ones added; same steps, several seeds."""
    options = opt.settings_in(locals(), ClassifierSettings)
    settings = _settings({**options, "limits": opt.parse_counts("--limit", limit)})
    renamed = opt.parse_renames(rename)
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
    with resumable(out, CLASSIFIERS.is_begun, overwrite=overwrite), ComparisonProgress() as progress:
        comparison = compare_classifiers(
            sources,
            out,
            settings,
            device=device,
            workers=workers,
            overwrite=overwrite,
            command=shlex.join(["boxpaint", *opt.command_line()[1:]]),
            listener=progress,
        )
    _show(comparison, out)


class ComparisonProgress(Display, ProofListener[Job]):
    """A bar over all trainings, and a line for each that is finished."""

    def __init__(self, to: Console = console):
        super().__init__(to)
        self._jobs = self._finished = self._steps = 0
        self._trained: dict[Job, int] = {}

    def on_jobs(self, jobs: Sequence[Job], steps: int, finished: int) -> None:
        """Begin; models that were trained before count."""
        self._jobs, self._finished, self._steps = len(jobs) + finished, finished, steps
        if finished:
            self.console.print(f"{finished} of {self._jobs} models are trained already")
        if jobs:
            self.bar.start()

    def on_job_step(self, job: Job, step: int, loss: float) -> None:
        """Move the bar."""
        self._trained[job] = step
        self.bar.move(f"{job.arm}, seed {job.number}, loss {loss:.2f}", sum(self._trained.values()), self._steps)

    def on_job_end(self, job: Job, steps: int, score: float | None) -> None:
        """Print a line, above the bar where there is one."""
        self._finished += 1
        self._trained[job] = steps
        self.console.print(f"{self._finished}/{self._jobs} {job.arm}, seed {job.number}: macro F1 {score:.3f}")


def _settings(values: Mapping[str, Any]) -> ClassifierSettings:
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

    data, gains = comparison.data, comparison.gains
    scores: list[tuple[str, int | None, Interval | None]] = [
        ("accuracy", None, gains.accuracy if gains else None),
        ("macro_f1", None, gains.macro_f1 if gains else None),
        *(("recall", label, gains.recall[label] if gains else None) for label in range(len(data.classes))),
    ]
    rows = [
        (
            score.replace("_", " ") if label is None else f"{score}, {data.classes[label]}",
            *(figure(arm.mean(score, label)) for arm in comparison.arms),
            show_gain(gain),
        )
        for score, label, gain in scores
    ]
    headings = "mean over seeds", *(arm.arm for arm in comparison.arms), "gain, 95 % interval"
    title = f"{len(data.test)} test crops of {comparison.test_pictures} pictures"
    console.print(Table.of(headings, rows, title=title, numbers_from=1))
    for note in data.notes:
        say(note, style="yellow")
    say(comparison.headline)
    say(f"report: {out / 'report.html'}; models: {out / 'models'}")
