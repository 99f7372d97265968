"""Before anything is painted: what this machine can do, files to begin with, and what they come to.

`boxpaint init`, `check-spec`, `plan`, `prompts`, `calibrate` and `doctor`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxpaint.cli import options as opt
from boxpaint.cli.console import Table, console, end, say, warn
from generator.bundles import EMPTY_SCENE
from generator.foundation.errors import BoxpaintError, ConfigError, DatasetError, DomainError, Fault, SpecError

if TYPE_CHECKING:
    from detection.datasets.boxes import BoxScale
    from detection.datasets.sources import Source
    from generator.config import Config
    from generator.prompts.book import BookRow, Captions, PromptBook
    from generator.spec import Spec
    from generator.spec.calibration import ClassCalibration

PREVIEW_SCENES = 24
FEW_BOXES = 5
# Squares laid down at random, one after the other, jam where they fill .56 of a plane; boxes of many classes before.
_CROWDED = 0.3


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to lay the files down in.")],
    scenario: Annotated[
        str | None, typer.Option(help="Which one (default: blood_smear); a name that is not there lists them all.")
    ] = None,
    real: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="DATASET[:SPLIT]",
            help="Measure real pictures instead (split: train): COCO, or what `boxpaint import` reads.",
        ),
    ] = None,
    bundle: Annotated[
        str | None,
        typer.Option(
            help="With --from, who is to paint: sd21 (default), pocket (stained blood smears; no GPU), or a folder "
            "of `boxpaint train painter`."
        ),
    ] = None,
    rename: Annotated[list[str] | None, opt.rename("With --from: another name for a class; may be repeated.")] = None,
) -> None:
    """Lay down the CSV files and a config to edit: those of a scenario, or made from real pictures."""
    from boxpaint.scenarios import DEFAULT_SCENARIO, lay_down

    if real is not None:
        if scenario is not None:
            raise BoxpaintError("--scenario and --from exclude each other")
        with _whole_or_absent(folder):
            _init_from(real, folder, bundle or "sd21", opt.parse_renames(rename))
        return
    if bundle is not None or rename:
        raise BoxpaintError("--bundle and --rename go with --from; a scenario brings its own bundle and names")
    for path in lay_down(scenario or DEFAULT_SCENARIO, folder):
        console.print(f"wrote {path}")
    console.print(f"next: cd {folder} && boxpaint generate --limit 4")


@contextlib.contextmanager
def _whole_or_absent(folder: Path) -> Iterator[None]:
    """Remove what came into a folder where the block fails, and the folder if it was not there."""
    from generator.foundation.storage import list_folder, remove

    was_there, before = folder.exists(), {entry.name for entry in list_folder(folder)}
    try:
        yield
    except BaseException:
        for entry in list_folder(folder):
            if entry.name not in before:
                remove(Path(entry))
        if not was_there and folder.exists():
            folder.rmdir()
        raise


def _init_from(real: str, folder: Path, bundle: str, rename: Mapping[str, str]) -> None:
    """Measure a data set, and write a scenario like it. Raises BoxpaintError."""
    from boxpaint.scenarios import check_free, config_of, painting_config, write_files
    from detection.calibration.scenario import canvas_like, class_rows, tables
    from detection.datasets.categories import check_rename, choose_categories, matching, rename_categories
    from generator.foundation.storage import make_folder
    from generator.spec import load_spec

    check_free(folder, ("background.csv", "classes.csv", "config.yaml", "attributes.csv", "calibration.json"))
    config = painting_config(bundle, "--bundle")
    card, canvas_wh = config.card, config.canvas_wh
    source = real_source(real, folder)
    check_rename(rename, source.data.categories)
    source = replace(source, data=rename_categories(source.data, rename))
    strange: list[str] = []
    if card.classes:
        wanted = [name for name in card.classes if matching(name, source.data.categories)]
        strange = [name for name in source.data.categories if not matching(name, list(card.classes))]
        if not wanted:
            expected = f"the painter was taught {_listed(card.classes)}, and these pictures show {_listed(strange)}"
            raise DatasetError([Fault(file=source.name, expected=f"{expected}; see --rename")])
        source = replace(source, data=choose_categories(source.data, wanted, where=source.name))
    else:
        canvas_wh = canvas_like(source.data, canvas_wh[0] * canvas_wh[1])
    if not any(source.data.counts().values()):
        raise DatasetError([Fault(file=source.name, expected="no picture of it has a box to measure")])
    make_folder(folder)  # the way to the references counts from it
    rows = class_rows(source, folder, canvas_wh, with_references=config.models.captioner is not None)
    scene = card.scene or EMPTY_SCENE
    words = {row.cells["name"]: card.classes.get(row.cells["name"], {}) for row in rows}
    contents = {name: text.encode() for name, text in tables(rows, scene=scene, words=words).items()}
    paths = write_files(folder, {**contents, "config.yaml": config_of(bundle, canvas_wh, folder)})
    load_spec(folder / "background.csv", folder / "classes.csv", canvas_wh=canvas_wh)
    say(f"measured {source.name}, {len(source.data)} pictures")
    headings = "class", "boxes measured", "pictures", "in a scene", "width", "height", "band"
    spans = ("min_appear", "max_appear"), ("width_min", "width_max"), ("height_min", "height_max"), ("y_min", "y_max")
    cells = [
        (
            row.cells["name"],
            row.boxes,
            row.pictures,
            *(f"{row.cells[low]} to {row.cells[high]}" if low in row.cells else "" for low, high in spans),
        )
        for row in rows
    ]
    console.print(Table.of(headings, cells, framed=False))
    if strange:
        warn(f"the painter was not taught {_listed(strange)}: left out; see --rename")
    for row in rows:
        name = row.cells["name"]
        if not row.boxes:
            warn(f"these pictures show no {name}: none is asked for; give it max_appear and sizes")
        elif row.cover > _CROWDED:
            warn(
                f"{name} takes {row.cover:.0%} of a picture; so many may not all find a place. If it belongs to your "
                "scenes rather than to what you look for, say it in background.csv and take its row out"
            )
    for path in paths:
        say(f"wrote {path}")
    if card.classes:
        say("these are the painter's own words; edit: how many pictures, how many objects, how large")
    else:
        say(
            f"edit: background.csv says {scene!r}: describe your scenes without the objects, in English, or name "
            "photos to paint into (column photos, docs/formats.md); classes.csv: say of each class how it looks, and "
            "take out what you do not look for"
        )
    say(f"next: cd {folder} && boxpaint check-spec && boxpaint prompts")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def real_source(real: str, folder: Path, *, again: bool = False) -> Source:
    """Read a data set in COCO form; what is in another one is imported into the folder first, as real/.

    `again`: in place of an earlier import, for a command that may be given twice.
    """
    from boxpaint.cli.data import run_import
    from boxpaint.scenarios import check_free
    from detection.datasets.sources import read_source
    from detection.formats.importing import ImportOptions

    try:
        return read_source(real, "real")
    except DatasetError:
        if not Path(real).exists():
            raise
    if not again:
        check_free(folder, ["real"])
    run_import(Path(real), folder / "real", ImportOptions(overwrite=again))
    return read_source(str(folder / "real"), "real")


def read_scenario(
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

    settings = Config.load(default_config(config), **{"seed": seed, **(overrides or {})})
    spec = load_spec(
        background,
        classes,
        attributes,
        canvas_wh=settings.canvas_wh,
        find_references=find_references,
        scene=settings.card.scene,
    )
    return settings, spec


def default_config(config: Path | None) -> Path | None:
    """The config that is named, else config.yaml if it is there."""
    here = Path("config.yaml")
    return here if config is None and here.is_file() else config


def balance_spec(spec: Spec, to: str | None, targets: Sequence[str] | None, rename: Sequence[str] | None) -> Spec:
    """Return the spec that asks for what a real set lacks, and say what that is; without a data set, the spec.

    Raises BoxpaintError.
    """
    if to is None:
        if targets or rename:
            raise BoxpaintError("--target and --rename go with --balance-to DATASET")
        return spec
    from detection.datasets.categories import rename_categories
    from detection.datasets.sources import read_source
    from generator.plan.balance import balance

    source = read_source(to, "real")
    real = rename_categories(source.data, opt.parse_renames(rename)).counts()
    found = balance(spec, real, opt.parse_counts("--target", targets))
    rows = [(each.name, each.real, each.painted, each.real + each.painted) for each in found.classes]
    title = f"{source.name}: {len(source.data)} pictures"
    console.print(Table.of(("class", "real", "to paint", "together"), rows, title=title, numbers_from=1))
    if found.ignored:
        names = ", ".join(f"{count} {name}" for name, count in found.ignored.items())
        say(f"not in classes.csv: {names}; see --rename", style="yellow")
    console.print(f"that takes {found.spec.num_scenes} scenes; background.csv asks for {spec.num_scenes}")
    if any(row.photos for row in spec.backgrounds):
        say("labels that the photos of background.csv bring along are not counted: merged with them they come twice")
    return found.spec


def check_spec(
    background: opt.Background = opt.BACKGROUND,
    classes: opt.Classes = opt.CLASSES,
    attributes: opt.Attributes = None,
    config: opt.PaintConfig = None,
) -> None:
    """Check the CSV files, report every fault at once, and do nothing else."""
    from generator.spec.photos import examine_photos

    settings, spec = read_scenario(background, classes, attributes, config, find_references=True)
    verdict = "good"
    try:
        warnings = settings.check_domain(spec)
    except DomainError as error:
        warnings, verdict = [str(error)], "well written, but generate will refuse it"
    for warning in [*warnings, *examine_photos(spec, settings.canvas_wh)]:
        warn(warning)
    for row in spec.backgrounds:
        if row.photos is not None:
            say(f"line {row.line}: {len(row.photos.photos)} photos for {row.num_imgs} pictures")
    console.print(
        f"{verdict}: {spec.num_scenes} pictures of {settings.canvas.width} x {settings.canvas.height} px; "
        f"classes: {', '.join(spec.categories)}"
    )
    if measured := dict.fromkeys(row.name for row in spec.classes if row.calibration is not None):
        say(f"sizes, shapes and places of {' and '.join(measured)} follow calibration.json, not {classes.name}")


def plan(
    background: opt.Background = opt.BACKGROUND,
    classes: opt.Classes = opt.CLASSES,
    attributes: opt.Attributes = None,
    config: opt.PaintConfig = None,
    out: Annotated[Path, typer.Option(help="Folder for plan.jsonl and plan.png.")] = Path("plan"),
    prompts: opt.Prompts = None,
    seed: opt.PaintSeed = None,
    balance_to: opt.BalanceTo = None,
    target: opt.Target = None,
    rename: opt.RenameReal = None,
) -> None:
    """Decide every scene, box and seed, and show the boxes: no model is loaded.

    Prompts are drawn from the book of --prompts; without it they stay as the CSV files have them.
    """
    from generator.dataset.pictures import preview_plan
    from generator.foundation.storage import atomic_writer, make_folder
    from generator.plan import Plan, write_plan
    from generator.prompts.book import read_book

    settings, spec = read_scenario(background, classes, attributes, config, seed)
    spec = balance_spec(spec, balance_to, target, rename)
    whole = Plan(spec=spec, config=settings, book=read_book(prompts, spec) if prompts else None)
    make_folder(out)
    unplaced = write_plan(whole, out / "plan.jsonl")
    scenes = [whole.scene(index) for index in range(min(PREVIEW_SCENES, len(whole)))]
    with atomic_writer(out / "plan.png") as stream:
        preview_plan(scenes, settings.canvas_wh, spec.categories).save(stream, "PNG")
    console.print(f"planned {len(whole)} scenes: {out / 'plan.jsonl'}; the first {len(scenes)}: {out / 'plan.png'}")
    if unplaced:
        warn(f"objects without a place: {unplaced}; ask for smaller or fewer, or raise placement.max_overlap")


def prompts(
    background: opt.Background = opt.BACKGROUND,
    classes: opt.Classes = opt.CLASSES,
    attributes: opt.Attributes = None,
    config: opt.PaintConfig = None,
    given: opt.Prompts = None,
    captions: Annotated[
        Path | None, typer.Option("--captions", help="captions.json to go on from, made or edited; no photo is read.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for enriched.json and captions.json.")] = Path("prompts"),
    seed: opt.PaintSeed = None,
    device: opt.ConfiguredDevice = None,
    overwrite: Annotated[bool, opt.overwrite("Replace a book that was edited.")] = False,
    force: opt.Force = False,
) -> None:
    """Make the prompt book and show it: many faithful texts for each row, to be read, edited and given to generate.

    With --prompts an existing book is checked, shown, and left as it is.
    """
    from generator.foundation.storage import check_writable
    from generator.models.weights import check_run
    from generator.prompts.book import check_rows_of_book, read_book, read_captions, write_book
    from generator.prompts.make import complaints

    needs_photos = given is None and captions is None
    settings, spec = read_scenario(
        background, classes, attributes, config, seed, {"device": device}, find_references=needs_photos
    )
    if given is not None:
        book = read_book(given, spec)
        for row in book.enriched.rows:
            _show_row(row, book.enriched.parameters.get("variants"))
        _show_captions(book)
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
        book = _make_and_show(spec, settings, read_captions(captions) if captions else None)
    except KeyboardInterrupt as error:
        raise end("stopped; finished rows are kept, the same command goes on from there", error) from None
    for path in write_book(book, out, overwrite=overwrite):
        console.print(f"wrote {path}")
    console.print(f"edit it if you like, then: boxpaint generate --prompts {out}")


def _make_and_show(spec: Spec, config: Config, captions: Captions | None) -> PromptBook:
    """Make a book and print every row as soon as it is there. Raises as `make_book`."""
    from boxpaint.cli.paint_progress import describe_row
    from generator.prompts.make import make_book

    with console.status("looking for prompts") as status:
        book = make_book(
            spec,
            config,
            captions=captions,
            on_row=lambda row: _show_row(row, config.prompts.variants),
            on_progress=lambda progress: status.update(describe_row(progress)),
            on_warning=warn,
        )
    _show_captions(book)
    return book


def _show_row(row: BookRow, wanted: object) -> None:
    """Print the texts in use of a row with their scores, and how many were rejected for what."""
    rows = [
        (
            item.text,
            item.source,
            *("" if score is None else f"{score:.2f}" for score in (item.similarity, item.nearest)),
        )
        for item in row.texts
        if not item.rejected
    ]
    title = f"{row.name}: {row.prompt}" if row.name else f"scene: {row.prompt}"
    table = Table.of(("text", "source", "to prompt", "nearest"), rows, title=title, numbers_from=2, framed=False)
    table.title_style = "bold"
    console.print(table)
    rejections = ", ".join(f"{count} {reason}" for reason, count in row.rejections().items())
    of = f" of {wanted} wanted" if wanted else ""
    say(f"  {len(row.kept)}{of} in use, rejected: {rejections or 'none'}\n")


def _show_captions(book: PromptBook) -> None:
    for captions in book.captions.rows if book.captions else ():
        console.print(
            f"{captions.name}: {len(captions.captions)} captions of {captions.references}, "
            f"{len(captions.skipped)} pictures skipped"
        )


def check_painted(folder: Path) -> None:
    """Raise DatasetError where a folder is none that `boxpaint generate` made."""
    from generator.foundation.run_folder import PAINTED, add_kind, kind_of

    if kind_of(folder) != PAINTED:
        expected = add_kind("is no run folder of `boxpaint generate`", folder)
        raise DatasetError([Fault(file=str(folder), expected=expected)])


def calibrate(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Run folder of the same scenario; a hundred scenes are enough.")
    ],
    real: Annotated[
        str, typer.Option("--real", metavar="DATASET[:SPLIT]", help="Real pictures with boxes, COCO (split: train).")
    ],
    classes: Annotated[
        Path, typer.Option("--classes", "-c", help="classes.csv of the scenario; the result goes beside it.")
    ] = opt.CLASSES,
    rename: Annotated[list[str] | None, opt.rename("A class of the real set is called NEW here.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed: other first weights of what measures boxes.")] = 0,
) -> None:
    """Measure how large real objects are, where they lie and how people draw their boxes, from a few of them.

    From then on plans ask for objects of these sizes, and labels are as people draw them.
    """
    from boxpaint.cli.progress import stage_bar
    from detection.calibration.classes import measure_classes
    from detection.calibration.scale import OVERLAY, measure_scales, write_overlay
    from detection.datasets.boxes import painted_only, tight_boxes
    from detection.datasets.categories import choose_categories
    from detection.datasets.read import read_detection_set
    from detection.datasets.sources import match_sources, read_source
    from generator.foundation.storage import check_writable
    from generator.spec import class_names
    from generator.spec.calibration import CALIBRATION, read_calibration, write_calibration

    check_painted(folder)
    if not classes.is_file():
        raise DatasetError([Fault(file=str(classes), expected="there is no such file; name it with --classes")])
    path = classes.parent / CALIBRATION
    check_writable(path.parent)
    painted = read_detection_set(folder)
    wanted = [name for name in class_names(classes) if name in painted.categories]
    if not wanted:
        known = ", ".join(painted.categories)
        raise DatasetError([Fault(file=str(classes), expected=f"has no class that {folder} holds: {known}")])
    (source,) = match_sources([read_source(real, "real")], wanted, opt.parse_renames(rename))
    matched = source.data
    painted = choose_categories(painted, wanted, where=str(folder))
    with stage_bar() as on_progress:
        readings = measure_scales(matched, painted_only(tight_boxes(painted)), seed=seed, on_progress=on_progress)
        scales = {name: reading.scale for name, reading in readings.items()}
        found = measure_classes(matched, painted, scales, seed=seed, on_progress=on_progress)
    if not found:
        raise BoxpaintError(f"{source.name}: there is no whole object of {', '.join(painted.categories)} to measure")
    overlay = classes.parent / OVERLAY
    write_overlay(overlay, readings)
    earlier: dict[str, ClassCalibration] = {}
    try:
        earlier = read_calibration(path, class_names(classes))
    except SpecError as error:
        if path.exists():
            warn(f"replaced, since it could not be used: {error}")
    write_calibration(path, {**earlier, **found}, real=source.name)
    _show_calibration(found, scales)
    say(f"look at the boxes: {overlay}")
    say(f"wrote {path}: `boxpaint generate` now follows it; remove the file to go back")


def _show_calibration(found: Mapping[str, ClassCalibration], scales: Mapping[str, BoxScale]) -> None:
    from generator.spec.calibration import DECILES

    headings = "class", "real boxes", "box / object", "asked / painted", "side, share of picture", "ground lighter than"
    rows = [
        (
            name,
            each.real_boxes,
            f"{each.label_scale:.2f}{' (usual)' if scales[name].doubt else ''}",
            f"{each.paint_scale:.2f}",
            f"{each.side:.1%} (x/÷ {1 + each.side_spread:.2f})",
            f"{each.ground[DECILES // 2]:.0%} of places",
        )
        for name, each in found.items()
    ]
    console.print(Table.of(headings, rows, title="people's boxes, and how the painter does"))
    for name, scale in scales.items():
        if name in found and scale.doubt:
            warn(
                f"box / object of {name} is the usual {scale.factor:.2f}, not measured: {scale.doubt}. "
                f"Measure some by hand and write that as its label_scale, or calibrate on a run with more than "
                f"{scale.painted_boxes} painted ones that look like them"
            )
        if name not in found:
            warn(f"nothing of {name} could be measured; it stays as it was")
        elif found[name].real_boxes < FEW_BOXES:
            warn(f"{found[name].real_boxes} boxes of {name} say little; five or more are better")


def doctor(
    get: Annotated[
        str | None,
        typer.Option("--get", metavar="BUNDLE", help="First download the models of a bundle (sd21, or a folder)."),
    ] = None,
) -> None:
    """Say what this machine can do: versions, devices, memory, bundles, licences, and which bundle is ready.

    Of bundles that are folders those of config.yaml and --get are looked at.
    """
    from boxpaint.doctor import examine, models_of
    from generator.bundles import BUNDLES
    from generator.config import Config
    from generator.models.weights import get_models

    bundles = dict.fromkeys(BUNDLES)
    if get is not None:
        bundles.setdefault(get)
        get_models(models_of(get), on_model=lambda name: console.print(f"downloading {name}"))
    here, fault = default_config(None), ""
    if here is not None:
        try:
            bundles.setdefault(Config.load(here).bundle)
        except ConfigError as error:
            fault = str(error)
    rows = examine(bundles)
    table = Table.of(("topic", "finding"), [*rows, ("config.yaml", fault)] if fault else rows, framed=False)
    table.show_header, table.columns[0].style = False, "bold"
    console.print(table)
