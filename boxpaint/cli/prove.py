"""`boxpaint predict`, `segment`, `annotate`, `evaluate` and `experiment`: what is found, and what that is worth."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boxpaint.cli import options as opt
from boxpaint.cli.console import Table, console, figure, resumable, say, warn
from generator.foundation.errors import BoxpaintError, ConfigError, DatasetError, Fault, ModelError
from generator.foundation.run_folder import EXPERIMENT

if TYPE_CHECKING:
    from detection.datasets.types import DetectionDataset
    from detection.detectors.types import Detector, Predictor
    from detection.inference.results import Results

_PREDICTIONS, _SEGMENTS, _EVALUATION = Path("predictions"), Path("segments"), Path("evaluation")
_EXPERIMENT = Path("runs/experiment")
SHOWN_UNREADABLE = 5
_SCORES = {
    "AP": "ap",
    "AP50": "ap50",
    "AP75": "ap75",
    "recall": "recall",
    "AP small": "ap_small",
    "AP medium": "ap_medium",
    "AP large": "ap_large",
}


def predict(
    run: opt.Run,
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A picture, or a folder of pictures.")],
    out: Annotated[Path, typer.Option(help="Folder for the drawn pictures and detections.json.")] = _PREDICTIONS,
    min_score: Annotated[float, opt.min_score("Boxes with a lower score are left out.")] = 0.3,
    device: opt.Device = "auto",
    overwrite: opt.ReplaceResults = False,
) -> None:
    """Find objects in pictures: drawn, and as a COCO result file."""
    from detection.inference.finding import find_pictures
    from detection.inference.results import DETECTIONS, DRAWN, find_and_write

    load, pictures = _find_detector(run, device), find_pictures(source, skip=out)
    detector = load()
    with _picture_counter(len(pictures)) as on_picture:
        results = find_and_write(
            detector,
            pictures,
            out,
            with_masks=False,
            about={"run": str(run), "source": str(source)},
            min_score=min_score,
            overwrite=overwrite,
            on_picture=on_picture,
        )
    _show_results(results, min_score, out / "predict.json")
    say(f"look: {out / DRAWN}; boxes: {out / DETECTIONS}")


def segment(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of `boxpaint train segmenter`.")],
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="A picture, a folder of pictures, or a data set: DATASET[:SPLIT].")
    ],
    out: Annotated[Path, typer.Option(help="Folder for overlays, masks and the page index.html.")] = _SEGMENTS,
    min_score: Annotated[float, opt.min_score("Objects with a lower score are left out.")] = 0.5,
    rename: opt.RenameClass = None,
    device: opt.Device = "auto",
    overwrite: opt.ReplaceResults = False,
) -> None:
    """Outline the objects of pictures: overlays, instance and semantic masks; scores where SRC has masks."""
    from detection.inference.finding import find_pictures, is_data_set, labelled_pictures
    from detection.inference.results import PAGE, find_and_write

    detector = _find_detector(run, device, with_masks=True)()
    labels = None
    if is_data_set(source):
        data, labels = _read_labels(source, detector.categories, opt.parse_renames(rename))
        pictures = labelled_pictures(data)
    else:
        pictures = find_pictures(Path(source), skip=out)
    with _picture_counter(len(pictures)) as on_picture:
        results = find_and_write(
            detector,
            pictures,
            out,
            with_masks=True,
            about={"run": str(run), "source": source},
            min_score=min_score,
            labels=labels,
            overwrite=overwrite,
            on_picture=on_picture,
        )
    _show_results(results, min_score, out / "segment.json")
    say(f"look: {out / PAGE}")


def annotate(
    pictures: Annotated[Path, typer.Argument(metavar="IMAGES", help="A picture, or a folder of pictures.")],
    out: Annotated[Path, typer.Option(help="Folder of the proposals; it appears whole at the end.")],
    run: Annotated[
        Path | None,
        typer.Option("--from", metavar="RUN", help="A run of train or refine detector, or of train segmenter."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes",
            metavar="A,B",
            help="With a run: only these of its classes. Without: what the bundle's detector is to find, in words.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="YAML whose bundle has a detector (default: bundle sd21).")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="Any format of boxpaint export.")] = "coco",
    min_score: Annotated[float, opt.min_score("Boxes with a lower score are left out.")] = 0.3,
    masks: Annotated[bool, typer.Option("--masks", help="Outline each object, too.")] = False,
    device: opt.Device = "auto",
    overwrite: opt.ReplaceExport = False,
) -> None:
    """Propose boxes for unlabelled photos, with scores, to be corrected in an annotation tool."""
    from boxpaint.cli.data import show_export
    from boxpaint.cli.progress import picture_bar
    from detection.inference.finding import ChosenClasses, find_pictures
    from detection.inference.proposals import annotate_pictures

    found = find_pictures(pictures, skip=out)
    names = tuple(dict.fromkeys(name.strip() for name in (classes or "").split(",") if name.strip()))
    proposer: Predictor
    if run is not None:
        proposer, made_of = _find_detector(run, device)(), f"the detector of {run.name}"
        proposer = ChosenClasses(proposer, names) if names else proposer
    else:
        proposer, made_of = _by_words(config, names, device)
    with picture_bar("looking at pictures", out) as on_picture:
        report = annotate_pictures(
            proposer,
            found,
            out,
            form=form,
            min_score=min_score,
            with_masks=masks,
            made_of=made_of,
            overwrite=overwrite,
            on_picture=on_picture,
        )
    show_export(report)
    say("correct them, then: boxpaint import the corrected set")


def evaluate(
    run: opt.Run,
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="A data set in COCO form: its folder, or one COCO file.")
    ],
    split: Annotated[
        str | None, typer.Option("--split", help="Which of its splits (default: test, else val, else all).")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for report.html, pr_curves.png and scores.json.")] = _EVALUATION,
    worst: Annotated[int, typer.Option(min=0, help="Pictures with mistakes to show.")] = 24,
    rename: opt.RenameClass = None,
    device: opt.Device = "auto",
    overwrite: opt.ReplaceResults = False,
) -> None:
    """Score a detector on labelled pictures: by class and size, curves, and the pictures with most mistakes."""
    from detection.datasets.sources import match_sources, read_source
    from detection.inference.finding import find_objects
    from detection.inference.report import evaluate_found, write_evaluation
    from detection.runs.folder import read_used
    from generator.foundation.run_folder import EVALUATION, working_in

    load, used = _find_detector(run, device), read_used(run)
    read = read_source(f"{dataset}:{split}" if split is not None else dataset, "scored")
    detector = load()
    (scored,) = match_sources([read], detector.categories, opt.parse_renames(rename))
    say(f"{scored.name}: {len(scored.data)} pictures")
    for name, count in scored.data.unlabelled().items():
        say(f"{count} of them do not label {name}: no box of it there counts as wrong")
    seen = {item.sha256 for item in used} & {*scored.digests}
    if seen:
        warn(f"{len(seen)} of these pictures were trained or validated on; the scores say little of new ones")
    with working_in(out):
        EVALUATION.make_room(out, overwrite=overwrite)
        with _picture_counter(len(scored.data)) as on_picture:
            found = find_objects(detector, scored.data, on_picture)
        evaluation = evaluate_found(scored.data, found)
        about = {"run": str(run), "data": scored.name, "digest": scored.digest, "seen_in_training": len(seen)}
        page = write_evaluation(evaluation, scored.data, found, out, about=about, worst=worst)
    console.print(score_table(evaluation.scores.to_json(), f"{len(scored.data)} pictures"))
    point = evaluation.working_point
    if point is not None:
        say(
            f"best F1 {point.f1:.3f} with boxes from a score of {point.min_score:.3f} on: precision "
            f"{point.precision:.3f}, recall {point.recall:.3f} at IoU 0.50"
        )
    say(f"look: {page}")


def experiment(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE.yaml", help="YAML of the experiment, such as configs/experiments/quick.yaml."),
    ],
    out: opt.ResumedOut = _EXPERIMENT,
    real: Annotated[Path | None, typer.Option("--real", help="Real data set, instead of the file's.")] = None,
    synthetic: Annotated[
        Path | None, typer.Option("--synthetic", help="Painted data set, instead of painting one.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes; the numbers are the same with any number.")
    ] = None,
) -> None:
    """Train with and without painted images, over numbers of real images and seeds, and write the proof card."""
    from boxpaint.cli.experiment_progress import ExperimentProgress
    from detection.experiment.card import CARD, write_card
    from detection.experiment.config import ExperimentConfig
    from detection.experiment.run import run_experiment

    config = ExperimentConfig.load(file, real=real, synthetic=synthetic, workers=workers)
    command = shlex.join(["boxpaint", *opt.command_line()[1:]])
    exchanged = [name for name, value in (("--real", real), ("--synthetic", synthetic)) if value is not None]
    with resumable(out, EXPERIMENT.is_begun), ExperimentProgress() as progress:
        outcome = run_experiment(config, out, listener=progress)
    for line in write_card(outcome, out, command=command, exchanged=exchanged):
        say(line)
    say(f"proof card: {out / CARD}")


def score_table(scores: Mapping[str, Any], title: str, *, before: Mapping[str, Any] | None = None) -> Table:
    """A row for all and for each category of SetScores.to_json; with a column of the AP `before`."""
    rows = []
    for name, figures in {"all": scores, **scores["categories"]}.items():
        earlier = [] if before is None else [{"all": before, **before["categories"]}[name]["ap"]]
        rows.append((name, figures["objects"], *map(figure, [*earlier, *(figures[key] for key in _SCORES.values())])))
    headings = "class", "objects", *([] if before is None else ["AP before"]), *_SCORES
    return Table.of(headings, rows, title=title, numbers_from=1)


def mask_table(masks: Mapping[str, Any]) -> Table:
    """A row for each category of MaskScores.to_json, the background, and their mean."""
    instances, semantic = masks["instances"], masks["semantic"]
    columns = "mask AP", "AP50", "AP75", "recall"

    def row(name: str, figures: Mapping[str, Any], iou: float | None) -> tuple[object, ...]:
        shown = (figure(figures[each]) for each in ("ap", "ap50", "ap75", "recall"))
        return name, figures["objects"], *shown, figure(iou)

    rows = [row(name, each, semantic["categories"][name]) for name, each in instances["categories"].items()]
    rows.append(("background", *[""] * 5, figure(semantic["background"])))
    rows.append(row("mean", instances, semantic["mean_iou"]))
    headings = "class", "objects", *columns, "semantic IoU"
    return Table.of(headings, rows, title=f"{instances['pictures']} pictures with masks", numbers_from=1)


def _find_detector(run: Path, device: str, *, with_masks: bool = False) -> Callable[[], Detector]:
    """Find the detector of a finished run; returns what loads it. Raises ModelError when there is none, or it gives no
    masks."""
    from detection.detectors.registry import DETECTORS, load_detector
    from detection.detectors.settings import read_card
    from detection.runs.folder import find_model
    from generator.foundation.device import choose_device

    folder, where = find_model(run), choose_device(device)
    name = read_card(folder).name
    if with_masks and not getattr(DETECTORS.get(name), "gives_masks", True):
        raise ModelError(f"{run}: its detector, {name}, gives no masks; `boxpaint predict` draws its boxes")
    return lambda: load_detector(folder, where)


def _by_words(config: Path | None, names: Sequence[str], device: str) -> tuple[Predictor, str]:
    """Load the bundle's detector that finds what words say, and say what it is. Raises BoxpaintError."""
    from detection.inference.finding import WordPredictor
    from generator.config import Config
    from generator.foundation.device import choose_device
    from generator.models.vision_language import Owl

    if not names:
        raise BoxpaintError("--classes: say what to look for, such as --classes zebra,lion; or name a run with --from")
    settings = Config.load(config, device=device) if config is not None else Config.load(bundle="sd21", device=device)
    if settings.models.detector is None:
        expected = f"the bundle '{settings.bundle}' has none that finds what words say: take bundle: sd21, or --from"
        raise ConfigError([Fault(file=str(config or "config"), column="models.detector", expected=expected)])
    owl = Owl("detector", settings.models.detector, device=choose_device(device), offline=settings.offline)
    return WordPredictor(owl, {name: [f"a photo of a {name}"] for name in names}), f"the detector of {settings.bundle}"


def _read_labels(
    text: str, categories: Sequence[str], renames: dict[str, str]
) -> tuple[DetectionDataset, DetectionDataset | None]:
    """Read a data set, and its labels where every object has a mask."""
    from detection.datasets.categories import choose_categories, rename_categories
    from detection.datasets.masks import check_masks
    from detection.datasets.sources import read_source

    source = read_source(text, "scored")
    labels, masks = source.data, [mask for sample in source.data.samples for mask in sample.segmentations]
    # Boxes alone cannot be scored: whether their categories fit does not matter.
    if any(masks) or not masks:
        labels = choose_categories(rename_categories(labels, renames), categories, where=source.name)
    try:
        check_masks(labels, where=source.name)
    except DatasetError as error:
        say(f"no scores: {error}", style="yellow")
        return source.data, None
    return source.data, labels


@contextmanager
def _picture_counter(total: int) -> Iterator[Any]:
    """Show a bar of so many pictures; gives a function that is told how many are done."""
    from boxpaint.cli.progress import Bar

    with Bar() as bar:
        yield lambda done: bar.move("pictures", done, total)


def _show_results(results: Results, min_score: float, about: Path) -> None:
    """Say what was found, and name the pictures that could not be read; the rest of many is in the file `about`."""
    if results.unreadable:
        say(f"{len(results.unreadable)} pictures could not be read:", style="yellow")
        for name, reason in [*results.unreadable.items()][:SHOWN_UNREADABLE]:
            say(f"  {name}: {reason}", style="yellow")
        if (rest := len(results.unreadable) - SHOWN_UNREADABLE) > 0:
            say(f"  and {rest} more, see {about}", style="yellow")
    if results.scores is not None:
        console.print(mask_table(results.scores.to_json()))
    counts = ", ".join(f"{count} {name}" for name, count in results.objects.items())
    say(f"{results.pictures} pictures: {counts}, with a score of {min_score:g} or better")
