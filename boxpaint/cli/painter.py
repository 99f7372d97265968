"""`boxpaint train painter`: a painter that learns a user's objects from labelled photos."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxpaint.cli import options as opt
from boxpaint.cli.console import Table, console, figure, resumable, say, warn
from boxpaint.cli.scenario import real_source
from detection.painter.settings import LoraSettings, PainterSettings
from generator.foundation.errors import BoxpaintError, DatasetError, Fault
from generator.foundation.run_folder import check_outside

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detection.datasets.types import DetectionDataset
    from detection.painter.run import PainterResult

_OUT = Path("runs/painter")
_DEFAULTS = PainterSettings()


def painter(
    real: Annotated[
        str,
        typer.Option(
            "--real",
            metavar="DATASET[:SPLIT]",
            help="Photos with boxes (split: train): COCO, or what `boxpaint import` reads; 3 to some thousand.",
        ),
    ],
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="BUNDLE",
            help="Start from pocket, sd21, a bundle's folder, a model's folder or id (a LoRA is trained); scratch.",
        ),
    ] = "pocket",
    out: opt.ResumedOut = _OUT,
    validation: Annotated[
        str | None,
        typer.Option(metavar="DATASET[:SPLIT]", help="Photos for the held-out figures (default: one photo in five)."),
    ] = None,
    categories: Annotated[
        str | None, typer.Option(metavar="NAME,NAME", help="Classes to learn (default: all); others are background.")
    ] = None,
    rename: opt.RenameClass = None,
    per_class: Annotated[
        int | None, typer.Option(min=1, help="Take photos until each class has this many objects (default: all).")
    ] = None,
    subset: Annotated[
        Path | None, typer.Option(help="Text file with the names of the photos to take, one a line.")
    ] = None,
    scene: Annotated[str | None, typer.Option(help="Prompt of a scene without objects.")] = None,
    captions: Annotated[
        Path | None, typer.Option(help="Table with a column of photo names and one of captions of whole photos.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the UNet, at most.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.1, help="Clock limit for all parts together.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Samples in a step of the UNet.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest rate.")] = None,
    rank: Annotated[int | None, typer.Option(min=1, help="Rank of the LoRA of a large painter (default: 16).")] = None,
    prior_images: Annotated[
        int | None,
        typer.Option(min=0, help="Pictures that a large painter paints before, so as not to forget (default: 32)."),
    ] = None,
    text_encoder: Annotated[
        bool | None, typer.Option("--text-encoder", help="The LoRA of a large painter changes its words, too.")
    ] = None,
    side: Annotated[
        int | None, typer.Option(help="Side of the crops in pixels (default: what suits the objects, 256 at most).")
    ] = None,
    turns: Annotated[
        bool | None, typer.Option("--turns", help="Quarter turns are as likely: microscopes have no up.")
    ] = None,
    flips: Annotated[bool | None, typer.Option("--flips", help="Mirror images are as likely.")] = None,
    val_share: Annotated[float | None, typer.Option(help="Share of the photos held out, without --validation.")] = None,
    config: opt.TrainConfigFile = None,
    seed: Annotated[int, opt.seed("Another seed: other samples, other photos held out.")] = 0,
    device: opt.Device = "auto",
    overwrite: opt.StartAgain = False,
) -> None:
    """Let a painter learn your objects from labelled photos: a bundle to paint more of them with.

    The result is a folder: write `bundle: FOLDER` into a config.
    """
    from detection.captioner.table import read_caption_table
    from detection.datasets.sources import check_validation, match_sources, read_source
    from detection.runs.config import read_config
    from generator.foundation.device import choose_device

    options = opt.settings_in(locals(), PainterSettings)
    of_lora = {name: value for name, value in opt.settings_in(locals(), LoraSettings).items() if value is not None}
    if of_lora and start not in ("pocket", "scratch"):
        options["lora"] = of_lora
    settings = read_config(PainterSettings, config, options, _DEFAULTS)
    chosen_device = choose_device(device)
    if Path(real).exists():  # before anything is imported
        check_apart(out, Path(real))
    source = real_source(real, out.with_name(f"{out.name}_photos"), again=True)
    check_apart(out, source.path)
    sources = [source, *([read_source(validation, "validation")] if validation is not None else [])]
    matched = match_sources(sources, opt.parse_names("--categories", categories), opt.parse_renames(rename))
    photos = chosen_photos(matched[0].data, per_class, subset, seed)
    if validation is not None:
        check_validation(
            [replace(matched[0], data=photos)], matched[1], otherwise="none: a share of --real is held out"
        )
    texts: Mapping[str, tuple[str, ...]] = {}
    if captions is not None:
        table = read_caption_table(captions, Path(photos.samples[0].path).parent)
        texts = {path.name: written for path, written in table.captions.items()}
        say(f"{len(table.pairs)} captions of {len(texts)} photos; {len(table.skipped)} rows skipped")
    counts = ", ".join(f"{count} {name}" for name, count in photos.counts().items())
    say(f"photos: {source.name}, {len(photos)} of {len(source.data)}, {counts}")
    for name, count in photos.unlabelled().items():
        warn(f"{count} of these photos do not label {name}: what they show of it is learned as background")
    from boxpaint.cli.progress import PainterProgress
    from detection.painter.run import train_painter
    from generator.foundation.run_folder import PAINTER

    with resumable(out, PAINTER.is_begun, overwrite=overwrite), PainterProgress() as progress:
        result = train_painter(
            photos,
            out,
            settings,
            start=start,
            validation=matched[1].data if validation is not None else None,
            captions=texts,
            device=chosen_device,
            seed=seed,
            overwrite=overwrite,
            listener=progress,
        )
    _show_result(result, source.name, rename or [])


def check_apart(out: Path, data: Path) -> None:
    """Raise BoxpaintError where the painter would lie in the data set's folder, or that in it."""
    check_outside(out, data)
    if data.is_dir() and out.resolve().is_relative_to(data.resolve()):
        raise BoxpaintError(f"--out: {out} lies in the folder of the photos, {data}; choose another one")


def chosen_photos(photos: DetectionDataset, per_class: int | None, subset: Path | None, seed: int) -> DetectionDataset:
    """The photos that a file names, of those as many as give each class so many objects. Raises BoxpaintError."""
    from detection.experiment.jobs import subset_order
    from generator.foundation.tables import read_text

    if subset is not None:
        by_name = {sample.path.name: number for number, sample in enumerate(photos.samples)}
        by_name |= {sample.path.stem: number for number, sample in enumerate(photos.samples)}
        lines = [(number, line.strip()) for number, line in enumerate(read_text(subset).splitlines(), start=1)]
        unknown = [
            Fault(file=str(subset), line=n, found=name, expected="the name of a photo of --real is needed")
            for n, name in lines
            if name and name not in by_name
        ]
        if unknown:
            raise DatasetError(unknown)
        photos = photos.choose(dict.fromkeys(by_name[name] for _, name in lines if name))
    if per_class is not None:
        order = subset_order(photos, seed, 0)
        for number in range(1, len(order) + 1):
            some = photos.choose(order[:number])
            if all(some.counts()[name] >= min(per_class, count) for name, count in photos.counts().items()):
                return some
    if not photos.samples:
        raise BoxpaintError("no photos are left to learn from: --subset names none")
    return photos


def _show_result(result: PainterResult, real: str, rename: Sequence[str]) -> None:
    if result.was_finished:
        console.print(f"{result.folder} is finished already, nothing was trained; --overwrite starts again")
    rows = [(name, figure(value)) for name, value in result.numbers.items()]
    console.print(Table.of(("figure", ""), rows, numbers_from=1, framed=False))
    for remark in result.remarks:
        warn(remark)
    for name in ("samples.png", "nearest.png"):
        if (result.folder / name).exists():
            say(f"look at {result.folder / name}")
    say(f"painter: {result.folder}; a config uses it with `bundle: {result.folder}`")
    names = "".join(f" --rename {shlex.quote(each)}" for each in rename)
    say(f"next: boxpaint init DIR --from {shlex.quote(real)} --bundle {shlex.quote(str(result.folder))}{names}")
