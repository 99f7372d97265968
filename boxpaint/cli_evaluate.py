"""`boxpaint predict` and `boxpaint evaluate`: what a trained detector finds, and what that is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boxpaint.cli_detect import DeviceOption, RenameOption
from boxpaint.console import console
from boxpaint.detect_inputs import parse_renames
from boxpaint.run_tables import score_table, show_unreadable
from boxpaint.training_progress import StepBar

_PREDICTIONS, _EVALUATION = Path("predictions"), Path("evaluation")

RunArgument = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="Folder of `boxpaint train detector`, `train segmenter` or `refine detector`."),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace the results in the folder.")]


def predict(
    run: RunArgument,
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A picture, or a folder of pictures.")],
    out: Annotated[Path, typer.Option(help="Folder for the drawn pictures and detections.json.")] = _PREDICTIONS,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Boxes with a lower score are left out.")] = 0.3,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Find objects in pictures: drawn, and as a COCO result file."""
    from detection.detectors.registry import load_detector
    from detection.inference.finding import find_pictures
    from detection.inference.results import DETECTIONS, DRAWN, find_and_write
    from detection.runs.folder import find_model
    from generator.foundation.device import choose_device

    model = find_model(run)
    pictures = find_pictures(source, skip=out)
    detector = load_detector(model, choose_device(device))
    with StepBar(console) as bar:
        bar.start()
        predicted = find_and_write(
            detector,
            pictures,
            out,
            with_masks=False,
            about={"run": str(run), "source": str(source)},
            min_score=min_score,
            overwrite=overwrite,
            on_picture=lambda done: bar.move("pictures", done, len(pictures)),
        )
    show_unreadable(console, predicted.unreadable, out / "predict.json")
    counts = ", ".join(f"{count} {name}" for name, count in predicted.objects.items())
    console.print(f"{predicted.pictures} pictures: {counts}, with a score of {min_score:g} or better", soft_wrap=True)
    console.print(f"look: {out / DRAWN}; boxes: {out / DETECTIONS}", soft_wrap=True)


def evaluate(
    run: RunArgument,
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="A data set in COCO form: its folder, or one COCO file.")
    ],
    split: Annotated[
        str | None, typer.Option("--split", help="Which of its splits (default: test, else val, else all).")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for report.html, pr_curves.png and scores.json.")] = _EVALUATION,
    worst: Annotated[int, typer.Option(min=0, help="Pictures with mistakes to show.")] = 24,
    rename: RenameOption = None,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Score a detector on labelled pictures: by class and size, curves, and the pictures with most mistakes."""
    from detection.detectors.registry import load_detector
    from detection.inference.finding import find_objects
    from detection.inference.report import evaluate_found, write_evaluation
    from detection.runs.folder import find_model, read_used
    from detection.runs.sources import match_sources, read_source
    from generator.foundation.device import choose_device
    from generator.foundation.run_folder import EVALUATION, working_in

    model, used = find_model(run), read_used(run)
    read = read_source(f"{dataset}:{split}" if split is not None else dataset, "scored")
    detector = load_detector(model, choose_device(device))
    (scored,) = match_sources([read], detector.categories, parse_renames(rename))
    console.print(f"{scored.name}: {len(scored.data)} pictures", soft_wrap=True)
    for name, count in scored.data.unlabelled().items():
        console.print(f"{count} of them do not label {name}: no box of it there counts as wrong", soft_wrap=True)
    seen = {item.sha256 for item in used} & {*scored.digests}
    if seen:
        console.print(
            f"warning: {len(seen)} of these pictures were trained or validated on; the scores say little of new ones",
            style="yellow",
            soft_wrap=True,
        )
    with working_in(out):
        EVALUATION.make_room(out, overwrite=overwrite)
        with StepBar(console) as bar:
            bar.start()
            found = find_objects(detector, scored.data, lambda done: bar.move("pictures", done, len(scored.data)))
        evaluation = evaluate_found(scored.data, found)
        about = {"run": str(run), "data": scored.name, "digest": scored.digest, "seen_in_training": len(seen)}
        page = write_evaluation(evaluation, scored.data, found, out, about=about, worst=worst)
    console.print(score_table(evaluation.scores.to_json(), f"{len(scored.data)} pictures"))
    point = evaluation.working_point
    if point is not None:
        console.print(
            f"best F1 {point.f1:.3f} with boxes from a score of {point.min_score:.3f} on: precision "
            f"{point.precision:.3f}, recall {point.recall:.3f} at IoU 0.50",
            soft_wrap=True,
        )
    console.print(f"look: {page}", soft_wrap=True)
