"""`boxpaint train detector`, `train segmenter` and `refine detector`: on real, painted or mixed pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxpaint.cli import options as opt
from boxpaint.cli.console import console, resumable, say, warn
from boxpaint.cli.prove import mask_table, score_table
from detection.datasets.boxes import BoxMode
from detection.detectors.settings import FitSettings
from generator.foundation.errors import BoxpaintError
from generator.foundation.run_folder import DETECTOR_RUN

if TYPE_CHECKING:
    from detection.datasets.sources import Role, Source
    from detection.detectors.settings import ModelOptions
    from detection.runs.run import RunPlan, RunResult
    from generator.foundation.history import Listener

_DETECTOR_OUT, _REFINED_OUT, _SEGMENTER_OUT = (
    Path(f"runs/{name}") for name in ("detector", "detector_refined", "segmenter")
)
_FIT = FitSettings()
# The rate: 300 steps on 240 painted smears, one seed each: mask AP .611 with 2e-3, .595 with 1e-3 (60 painted ones).
_SEGMENTER, _SEGMENTER_STEPS, _SEGMENTER_RATE = "mask_rcnn_small", 1000, 2e-3


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
    out: opt.ResumedOut = _DETECTOR_OUT,
    detector: Annotated[
        str | None, typer.Option(help="retinanet_small, faster_rcnn, yolo ...; a wrong name lists them all.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Member of the family, such as yolo11n.yaml, or a YAML of your own.")
    ] = None,
    size: opt.Size = None,
    pretrained: opt.Pretrained = None,
    download: opt.Download = None,
    steps: Annotated[int | None, typer.Option(help=f"Batches to train (default: {_FIT.steps}).")] = None,
    batch_size: Annotated[int | None, typer.Option(help=f"Pictures in a batch (default: {_FIT.batch_size}).")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help=f"Highest rate (default: {_FIT.learning_rate:g}).")
    ] = None,
    validation: opt.Validation = None,
    no_validation: opt.NoValidation = False,
    patience: opt.Patience = None,
    categories: Annotated[
        str | None, typer.Option(metavar="A,B", help="Classes to learn (default: those of the data, which must agree).")
    ] = None,
    rename: opt.RenameClass = None,
    boxes: Annotated[
        BoxMode,
        typer.Option(
            help="Boxes of painted objects: as the set has them, as painted, as asked for, or as painted and scaled to "
            "how real ones are drawn."
        ),
    ] = "labelled",
    config: opt.TrainConfigFile = None,
    seed: opt.TrainSeed = 0,
    workers: opt.ReadWorkers = None,
    device: opt.Device = "auto",
    overwrite: opt.StartAgain = False,
) -> None:
    """Train a detector on real pictures, on painted ones, or on both mixed."""
    from detection.runs.config import TrainConfig, read_train_config

    options = opt.settings_in(locals(), TrainConfig) | {"variant": model, "input_wh": opt.parse_size(size)}
    chosen = read_train_config(config, options, TrainConfig())
    names = opt.parse_names("--categories", categories)
    inputs = read_inputs(real, synthetic, validation, no_validation=no_validation, categories=names, rename=rename)
    shares = _shares_of(inputs, mix)
    _check_patience(chosen.patience, inputs)
    if inputs.synthetic is not None:
        from detection.calibration.scale import choose_boxes

        inputs = replace(inputs, synthetic=choose_boxes(inputs.synthetic, boxes, inputs.real))
    show_inputs(inputs)
    from detection.runs.run import train_run
    from generator.foundation.device import choose_device

    plan = _plan(inputs, chosen.detector, chosen.options, chosen.settings, seed, shares)
    where, command = choose_device(device), opt.command_line()
    with _watched(out, overwrite=overwrite) as progress:
        result = train_run(plan, out, device=where, command=command, overwrite=overwrite, listener=progress)
    _show_result(result)


def refine_detector(
    start: Annotated[Path, typer.Option("--from", metavar="RUN", help="Folder of the run to go on from.")],
    data: Annotated[
        str, typer.Option("--data", metavar="DATASET[:SPLIT]", help="Real pictures, COCO (default split: train).")
    ],
    out: opt.ResumedOut = _REFINED_OUT,
    steps: Annotated[int | None, typer.Option(help="Batches to train (default: half the run's).")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures in a batch (default: the run's).")] = None,
    optimizer: Annotated[
        str | None, typer.Option("--optimizer", "--optimiser", help="adamw or sgd (default: adamw).")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest rate (default: a tenth of the run's).")] = None,
    freeze_backbone: Annotated[
        bool | None, typer.Option("--freeze-backbone", help="Train only what comes after the feature extractor.")
    ] = None,
    start_share: Annotated[
        float | None, typer.Option(help="Share of the run's weights in those that are kept: less is forgotten.")
    ] = None,
    validation: opt.Validation = None,
    no_validation: opt.NoValidation = False,
    validate_every: Annotated[
        int | None, typer.Option(help="Steps between validations (default: a twentieth of all).")
    ] = None,
    patience: opt.Patience = None,
    rename: opt.RenameClass = None,
    config: opt.TrainConfigFile = None,
    seed: opt.TrainSeed = 0,
    workers: opt.ReadWorkers = None,
    device: opt.Device = "auto",
    overwrite: opt.StartAgain = False,
) -> None:
    """Train a detector further on real pictures alone, gently, and stop when it no longer gets better on others."""
    from detection.runs.config import read_refine_config
    from detection.runs.run import StartingRun, refine_run

    options = opt.settings_in(locals(), FitSettings)
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
    settings = read_refine_config(config, options, run.settings, has_validation=inputs.validation is not None)
    _check_patience(settings.patience, inputs)
    show_inputs(inputs)
    backbone = "frozen" if settings.freeze_backbone else "trained, too"
    say(
        f"{run.detector} from {start}: {settings.optimizer} at {settings.learning_rate:g}, at most {settings.steps} "
        f"steps; the backbone is {backbone}"
    )
    from generator.foundation.device import choose_device

    plan = _plan(inputs, run.detector, run.options, settings, seed)
    where, command = choose_device(device), opt.command_line()
    with _watched(out, overwrite=overwrite) as progress:
        result = refine_run(run, plan, out, device=where, command=command, overwrite=overwrite, listener=progress)
    _show_result(result)


def segmenter(
    data: Annotated[
        str, typer.Option(metavar="DATASET[:SPLIT]", help="Painted or real pictures with masks (default: train).")
    ],
    out: opt.ResumedOut = _SEGMENTER_OUT,
    detector: Annotated[
        str | None, typer.Option(help="mask_rcnn_small (minutes on a CPU; default) or mask_rcnn (ResNet-50, a GPU).")
    ] = None,
    size: opt.Size = None,
    pretrained: opt.Pretrained = None,
    download: opt.Download = None,
    steps: Annotated[int | None, typer.Option(help=f"Batches to train (default: {_SEGMENTER_STEPS}).")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures in a batch (default: 8).")] = None,
    learning_rate: Annotated[float | None, typer.Option(help=f"Highest rate (default: {_SEGMENTER_RATE:g}).")] = None,
    vertical_flip: Annotated[
        bool | None, typer.Option("--vertical-flip", help="Pictures have no up and down, such as smears.")
    ] = None,
    validation: Annotated[
        str | None,
        typer.Option(metavar="DATASET[:SPLIT]", help="Score on these (default: the split val of --data, if there)."),
    ] = None,
    no_validation: opt.NoValidation = False,
    validate_every: Annotated[int | None, typer.Option(help="Steps between validations (default: 200).")] = None,
    patience: opt.Patience = None,
    categories: Annotated[
        str | None, typer.Option(metavar="A,B", help="Classes to learn (default: those of the data).")
    ] = None,
    rename: opt.RenameClass = None,
    config: opt.TrainConfigFile = None,
    seed: opt.TrainSeed = 0,
    workers: opt.ReadWorkers = None,
    device: opt.Device = "auto",
    overwrite: opt.StartAgain = False,
) -> None:
    """Train Mask R-CNN on the masks of a data set, and score them: mask AP, mean IoU."""
    from detection.runs.config import TrainConfig, read_train_config

    options = opt.settings_in(locals(), TrainConfig) | {"input_wh": opt.parse_size(size)}
    defaults = TrainConfig(detector=_SEGMENTER, steps=_SEGMENTER_STEPS, learning_rate=_SEGMENTER_RATE)
    chosen = read_train_config(config, options, defaults)
    names = opt.parse_names("--categories", categories)
    inputs = read_inputs(
        data, None, validation, no_validation=no_validation, categories=names, rename=rename, role="trained"
    )
    _check_patience(chosen.patience, inputs)
    show_inputs(inputs)
    from detection.runs.segmenter import train_segmenter
    from generator.foundation.device import choose_device

    plan = _plan(inputs, chosen.detector, chosen.options, chosen.settings, seed)
    where, command = choose_device(device), opt.command_line()
    with _watched(out, overwrite=overwrite) as progress:
        result = train_segmenter(plan, out, device=where, command=command, overwrite=overwrite, listener=progress)
    if result.run.was_finished:
        console.print(f"{out} is finished already, nothing was trained; --overwrite starts again")
    console.print(f"weights of step {result.run.best_step} of {result.run.steps}")
    if result.masks is not None:
        console.print(mask_table(result.masks))
        say(f"validation pictures and what was found in them: {out / 'overlays.png'}")
    say(f"loss: {out / 'loss.png'}; next: boxpaint segment {out} PICTURES")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """Pictures of a training, all with the same categories."""

    real: Source | None
    synthetic: Source | None
    validation: Source | None

    @property
    def trained(self) -> tuple[Source, ...]:
        """Those that are trained on, real ones first."""
        return tuple(source for source in (self.real, self.synthetic) if source is not None)

    @property
    def missing(self) -> list[str]:
        """Categories without an object to learn from."""
        counts = [source.data.counts() for source in self.trained]
        return [name for name in counts[0] if not any(each[name] for each in counts)]


def read_inputs(
    real: str | None,
    synthetic: str | None,
    validation: str | None,
    *,
    no_validation: bool,
    categories: Sequence[str] | None,
    rename: Sequence[str] | None,
    role: Role = "real",
    is_refined: bool = False,
) -> Inputs:
    """Read DATASET[:SPLIT] of each kind and bring them to the same categories. Raises BoxpaintError.

    `role` is that of `real`: "trained" where its pictures may be painted as well. A fresh detector needs objects of
    every category; one that is refined knows them already, and `show_inputs` warns.
    """
    from detection.datasets.sources import default_validation, match_sources, read_source

    if real is None and synthetic is None:
        raise BoxpaintError("what to train on? Give --real, --synthetic, or both")
    if validation is not None and no_validation:
        raise BoxpaintError("--validation and --no-validation exclude each other")
    found: dict[str, Source | None] = {
        "real": read_source(real, role) if real is not None else None,
        "synthetic": read_source(synthetic, "synthetic") if synthetic is not None else None,
        "validation": None,
    }
    if validation is not None:
        found["validation"] = read_source(validation, "validation")
    elif real is not None and not no_validation:
        found["validation"] = default_validation(real)
    given = {name: source for name, source in found.items() if source is not None}
    matched = match_sources([*given.values()], categories, opt.parse_renames(rename))
    inputs = Inputs(**{**found, **dict(zip(given, matched, strict=True))})
    missing = inputs.missing
    if missing and (not is_refined or len(missing) == len(matched[0].data.categories)):
        where = " and ".join(source.name for source in inputs.trained)
        raise BoxpaintError(f"{where}: there is no object of the class {missing[0]!r} to learn from")
    return inputs


def show_inputs(inputs: Inputs) -> None:
    """Say what is trained and validated on, and of what there is nothing."""
    from generator.dataset.provenance import says_synthetic

    for source in inputs.trained:
        objects = ", ".join(f"{count} {name}" for name, count in source.data.counts().items())
        say(f"{source.role}: {source.name}, {len(source.data)} pictures, {objects}")
        for name, count in source.data.unlabelled().items():
            warn(
                f"{count} of these pictures do not label {name}: what they show of it is learned as background; leave "
                "the class out with --categories, or merge with --only-common"
            )
        for name, scale in source.scales.items():
            say(
                f"  boxes of {name}: times {scale.factor:.3f}, measured on {scale.real_boxes} real and "
                f"{scale.painted_boxes} painted ones"
            )
            if scale.doubt:
                warn(f"that is the usual scale: {scale.doubt}")
            if not (scale.real_boxes and scale.painted_boxes):
                warn(f"nothing of {name} could be measured; its painted boxes stay tight")
    if inputs.missing:
        warn(f"there is no {', '.join(inputs.missing)} to learn from; what the detector knows of it may fade")
    if inputs.validation is None:
        console.print("no validation pictures: the weights of the last step are kept")
        return
    samples = inputs.validation.data.samples
    say(f"validation: {inputs.validation.name}, {len(samples)} pictures")
    painted = sum(says_synthetic(sample.path) for sample in samples)
    if 0 < painted < len(samples):
        warn(
            f"{painted} of them are painted: the weights are not chosen by real pictures alone; name others with "
            "--validation DATASET[:SPLIT]"
        )


def _shares_of(inputs: Inputs, mix: float | None) -> tuple[float, ...]:
    """Share of each batch that comes from each of the trained data sets. Raises BoxpaintError."""
    if len(inputs.trained) == 1:
        if mix is not None:
            raise BoxpaintError("--mix is the share of real pictures among painted ones: give --real and --synthetic")
        return (1.0,)
    share = 0.5 if mix is None else mix
    if not 0 < share < 1:
        advice = "for only one kind of pictures leave the other out"
        raise BoxpaintError(f"--mix: found {share:g}; a share above 0 and below 1 is needed; {advice}")
    return share, 1 - share


def _check_patience(patience: int | None, inputs: Inputs) -> None:
    """Raise BoxpaintError when a training is to stop early by validation pictures that it does not have."""
    if patience is not None and inputs.validation is None:
        raise BoxpaintError(
            "--patience: there are no validation pictures to stop by; give --validation DATASET[:SPLIT]"
        )


def _plan(
    inputs: Inputs,
    detector: str,
    options: ModelOptions,
    settings: FitSettings,
    seed: int,
    shares: tuple[float, ...] = (1.0,),
) -> RunPlan:
    from detection.runs.run import RunPlan

    return RunPlan(
        detector=detector,
        options=options,
        settings=settings,
        seed=seed,
        sources=inputs.trained,
        shares=shares,
        validation=inputs.validation,
    )


@contextlib.contextmanager
def _watched(out: Path, *, overwrite: bool) -> Iterator[Listener]:
    """Show a training's progress; a signal ends it with a word on how to go on."""
    from boxpaint.cli.progress import FitProgress

    with resumable(out, DETECTOR_RUN.is_begun, overwrite=overwrite), FitProgress() as progress:
        yield progress


def _show_result(result: RunResult) -> None:
    if result.was_finished:
        console.print(f"{result.folder} is finished already, nothing was trained; --overwrite starts again")
    if result.scores is not None:
        title = f"{result.scores['pictures']} validation pictures, weights of step {result.best_step} of {result.steps}"
        console.print(score_table(result.scores, title, before=result.before))
    else:
        console.print(f"{result.steps} steps")
    say(f"detector: {result.folder / 'model'}; loss: {result.folder / 'loss.png'}")
    say(f"next: boxpaint evaluate {result.folder} DATASET")
