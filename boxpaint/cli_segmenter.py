"""`boxpaint train segmenter` and `boxpaint segment`: objects with their outlines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boxpaint.cli_detect import (
    ConfigOption,
    DeviceOption,
    DownloadOption,
    NoValidationOption,
    OverwriteOption,
    PatienceOption,
    PretrainedOption,
    RenameOption,
    SeedOption,
    SizeOption,
    WorkersOption,
)
from boxpaint.console import Table, console
from boxpaint.detect_inputs import (
    check_patience,
    command_line,
    parse_names,
    parse_renames,
    parse_size,
    read_inputs,
    show_inputs,
)
from boxpaint.interrupts import resumable
from boxpaint.run_tables import show_unreadable
from boxpaint.training_progress import FitProgress, StepBar

if TYPE_CHECKING:
    import torch

    from detection.datasets.types import DetectionDataset
    from detection.detectors.types import Detector

_OUT, _SEGMENTS = Path("runs/segmenter"), Path("segments")
# The rate: 300 steps on 240 painted smears, one seed each: mask AP .611 with 2e-3, .595 with 1e-3 (60 painted ones).
_DETECTOR, _STEPS, _RATE = "mask_rcnn_small", 1000, 2e-3


def segmenter(
    data: Annotated[
        str, typer.Option(metavar="DATASET[:SPLIT]", help="Painted or real pictures with masks (default: train).")
    ],
    out: Annotated[Path, typer.Option(help="Folder; the same command again goes on where it stopped.")] = _OUT,
    detector: Annotated[
        str | None, typer.Option(help="mask_rcnn_small (minutes on a CPU; default) or mask_rcnn (ResNet-50, a GPU).")
    ] = None,
    size: SizeOption = None,
    pretrained: PretrainedOption = None,
    download: DownloadOption = None,
    steps: Annotated[int | None, typer.Option(help=f"Batches to train (default: {_STEPS}).")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures in a batch (default: 8).")] = None,
    learning_rate: Annotated[float | None, typer.Option(help=f"Highest rate (default: {_RATE:g}).")] = None,
    vertical_flip: Annotated[
        bool | None, typer.Option("--vertical-flip", help="Pictures have no up and down, such as smears.")
    ] = None,
    validation: Annotated[
        str | None,
        typer.Option(metavar="DATASET[:SPLIT]", help="Score on these (default: the split val of --data, if there)."),
    ] = None,
    no_validation: NoValidationOption = False,
    validate_every: Annotated[int | None, typer.Option(help="Steps between validations (default: 200).")] = None,
    patience: PatienceOption = None,
    categories: Annotated[
        str | None, typer.Option(metavar="A,B", help="Classes to learn (default: those of the data).")
    ] = None,
    rename: RenameOption = None,
    config: ConfigOption = None,
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Train Mask R-CNN on the masks of a data set, and score them: mask AP, mean IoU."""
    from detection.runs.config import TrainConfig, read_train_config

    options = {
        "detector": detector,
        "input_wh": parse_size(size) if size is not None else None,
        "pretrained": pretrained,
        "download": download,
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "vertical_flip": vertical_flip,
        "validate_every": validate_every,
        "patience": patience,
        "workers": workers,
    }
    defaults = TrainConfig(detector=_DETECTOR, steps=_STEPS, learning_rate=_RATE)
    chosen = read_train_config(config, options, defaults)
    inputs = read_inputs(
        data,
        None,
        validation,
        no_validation=no_validation,
        categories=parse_names(categories),
        rename=rename,
        role="trained",
    )
    check_patience(chosen.patience, inputs)
    show_inputs(inputs, console)
    from detection.runs.run import RunPlan
    from detection.runs.segmenter import train_segmenter
    from generator.foundation.device import choose_device
    from generator.foundation.run_folder import DETECTOR_RUN

    plan = RunPlan(
        detector=chosen.detector,
        options=chosen.options,
        settings=chosen.settings,
        seed=seed,
        sources=inputs.trained,
        shares=(1.0,),
        validation=inputs.validation,
    )
    where = choose_device(device)
    with resumable(console, out, DETECTOR_RUN.is_begun, overwrite=overwrite), FitProgress(console) as progress:
        result = train_segmenter(
            plan, out, device=where, command=command_line(), overwrite=overwrite, listener=progress
        )
    if result.run.was_finished:
        console.print(f"{out} is finished already, nothing was trained; --overwrite starts again")
    console.print(f"weights of step {result.run.best_step} of {result.run.steps}")
    if result.masks is not None:
        console.print(mask_table(result.masks))
        console.print(f"validation pictures and what was found in them: {out / 'overlays.png'}", soft_wrap=True)
    console.print(f"loss: {out / 'loss.png'}; next: boxpaint segment {out} PICTURES", soft_wrap=True)


def segment(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of `boxpaint train segmenter`.")],
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="A picture, a folder of pictures, or a data set: DATASET[:SPLIT].")
    ],
    out: Annotated[Path, typer.Option(help="Folder for overlays, masks and the page index.html.")] = _SEGMENTS,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Objects with a lower score are left out.")] = 0.5,
    rename: RenameOption = None,
    device: DeviceOption = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the results in the folder.")] = False,
) -> None:
    """Outline the objects of pictures: overlays, instance and semantic masks; scores where SRC has masks."""
    from detection.inference.finding import find_pictures, is_data_set, labelled_pictures
    from detection.inference.results import PAGE, find_and_write
    from generator.foundation.device import choose_device

    detector = _load_segmenter(run, choose_device(device))
    labels = None
    if is_data_set(source):
        data, labels = _read_labels(source, detector.categories, parse_renames(rename))
        pictures = labelled_pictures(data)
    else:
        pictures = find_pictures(Path(source), skip=out)
    with StepBar(console) as bar:
        bar.start()
        result = find_and_write(
            detector,
            pictures,
            out,
            with_masks=True,
            about={"run": str(run), "source": source},
            min_score=min_score,
            labels=labels,
            overwrite=overwrite,
            on_picture=lambda done: bar.move("pictures", done, len(pictures)),
        )
    show_unreadable(console, result.unreadable, out / "segment.json")
    if result.scores is not None:
        console.print(mask_table(result.scores.to_json()))
    counts = ", ".join(f"{count} {name}" for name, count in result.objects.items())
    console.print(f"{result.pictures} pictures: {counts}, with a score of {min_score:g} or better", soft_wrap=True)
    console.print(f"look: {out / PAGE}", soft_wrap=True)


def _load_segmenter(run: Path, device: torch.device) -> Detector:
    """Load the detector of a finished run. Raises ModelError when there is none, or it gives no masks."""
    from detection.detectors.model_folder import read_card
    from detection.detectors.registry import DETECTORS, load_detector
    from detection.runs.folder import find_model
    from generator.foundation.errors import ModelError

    folder = find_model(run)
    name = read_card(folder).name
    if not getattr(DETECTORS.get(name), "gives_masks", True):
        raise ModelError(f"{run}: its detector, {name}, gives no masks; `boxpaint predict` draws its boxes")
    return load_detector(folder, device)


def mask_table(masks: dict[str, Any]) -> Table:
    """A row for each category of MaskScores.to_json, the background, and their mean."""
    instances, semantic = masks["instances"], masks["semantic"]
    table = Table(title=f"{instances['pictures']} pictures with masks")
    table.add_column("class")
    for column in ("objects", "mask AP", "AP50", "AP75", "recall", "semantic IoU"):
        table.add_column(column, justify="right")

    def shown(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    def row(name: str, figures: dict[str, Any], iou: float | None) -> None:
        values = (figures[each] for each in ("ap", "ap50", "ap75", "recall"))
        table.add_row(name, str(figures["objects"]), *map(shown, values), shown(iou))

    for name, figures in instances["categories"].items():
        row(name, figures, semantic["categories"][name])
    table.add_row("background", *[""] * 5, shown(semantic["background"]))
    row("mean", instances, semantic["mean_iou"])
    return table


def _read_labels(
    text: str, categories: Sequence[str], renames: dict[str, str]
) -> tuple[DetectionDataset, DetectionDataset | None]:
    """Read a data set, and its labels where every object has a mask."""
    from detection.datasets.categories import choose_categories, rename_categories
    from detection.masks import check_masks
    from detection.runs.sources import read_source
    from generator.foundation.errors import DatasetError

    source = read_source(text, "scored")
    labels, masks = source.data, [mask for sample in source.data.samples for mask in sample.segmentations]
    # Boxes alone cannot be scored: whether their categories fit does not matter.
    if any(masks) or not masks:
        labels = choose_categories(rename_categories(labels, renames), categories, where=source.name)
    try:
        check_masks(labels, where=source.name)
    except DatasetError as error:
        console.print(f"no scores: {error}", style="yellow", soft_wrap=True)
        return source.data, None
    return source.data, labels
