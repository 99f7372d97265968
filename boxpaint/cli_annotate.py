"""`boxpaint annotate`: proposals for photos that nobody has labelled yet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxpaint.cli_detect import DeviceOption
from boxpaint.cli_export import OverwriteOption, picture_progress, show_report
from boxpaint.console import console
from generator.foundation.errors import BoxpaintError, ConfigError, Fault

if TYPE_CHECKING:
    from detection.detectors.types import Predictor


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
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Boxes with a lower score are left out.")] = 0.3,
    masks: Annotated[bool, typer.Option("--masks", help="Outline each object, too.")] = False,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Propose boxes for unlabelled photos, with scores, to be corrected in an annotation tool."""
    from detection.inference.finding import find_pictures
    from detection.inference.proposals import annotate_pictures

    found = find_pictures(pictures, skip=out)
    names = tuple(dict.fromkeys(name.strip() for name in (classes or "").split(",") if name.strip()))
    if run is not None:
        proposer, made_of = _of_run(run, names, device), f"the detector of {run.name}"
    else:
        proposer, made_of = _of_bundle(config, names, device)
    with picture_progress("looking at pictures", out) as on_picture:
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
    show_report(report)
    console.print("correct them, then: boxpaint import the corrected set", soft_wrap=True)


def _of_run(run: Path, names: tuple[str, ...], device: str) -> Predictor:
    from detection.detectors.registry import load_detector
    from detection.inference.finding import ChosenClasses
    from detection.runs.folder import find_model
    from generator.foundation.device import choose_device

    detector = load_detector(find_model(run), choose_device(device))
    return ChosenClasses(detector, names) if names else detector


def _of_bundle(config: Path | None, names: tuple[str, ...], device: str) -> tuple[Predictor, str]:
    from detection.inference.finding import WordPredictor
    from generator.config import Config
    from generator.foundation.device import choose_device
    from generator.foundation.vision_language import Owl

    if not names:
        raise BoxpaintError("--classes: say what to look for, such as --classes zebra,lion; or name a run with --from")
    settings = Config.load(config, device=device) if config is not None else Config.load(bundle="sd21", device=device)
    if settings.models.detector is None:
        expected = f"the bundle '{settings.bundle}' has none that finds what words say: take bundle: sd21, or --from"
        raise ConfigError([Fault(file=str(config or "config"), column="models.detector", expected=expected)])
    owl = Owl("detector", settings.models.detector, device=choose_device(device), offline=settings.offline)
    return WordPredictor(owl, {name: [f"a photo of a {name}"] for name in names}), f"the detector of {settings.bundle}"
