"""`boxpaint train captioner`: BLIP, fine-tuned on pictures with captions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxpaint.cli import options as opt
from boxpaint.cli.console import Table, console, figure, resumable, say
from boxpaint.cli.scenario import default_config
from detection.captioner.settings import CaptionerSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detection.captioner.table import CaptionTable
    from detection.captioner.train import CaptionerResult
    from generator.bundles import ModelRef
    from generator.config import Config
    from generator.foundation.errors import Fault

SHOWN_ROWS = 3
SHOWN_EXAMPLES = 3
_OUT = Path("runs/captioner")
_DEFAULTS = CaptionerSettings()


def captioner(
    images: Annotated[Path, typer.Option("--images", help="Folder of the pictures.")],
    captions: Annotated[
        Path, typer.Option("--captions", help="Table with a column of picture names and one of captions.")
    ],
    out: opt.ResumedOut = _OUT,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="YAML with the base model, models.captioner (default: config.yaml if there, else the pocket bundle).",
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="At most; it stops early when the loss no longer falls.")] = (
        _DEFAULTS.epochs
    ),
    batch_size: Annotated[int, typer.Option(min=1, help="Captions in a step.")] = _DEFAULTS.batch_size,
    learning_rate: Annotated[
        float | None, typer.Option(help="Highest rate (default: 1e-5 for BLIP, 3e-4 for models below 50 M parameters).")
    ] = None,
    patience: Annotated[int, typer.Option(min=1, help="Epochs without a lower validation loss before it stops.")] = (
        _DEFAULTS.patience
    ),
    val_share: Annotated[float, typer.Option(help="Share of the pictures that is held out.")] = _DEFAULTS.val_share,
    seed: Annotated[int | None, opt.seed("Another seed holds out other pictures.")] = None,
    device: opt.ConfiguredDevice = None,
    overwrite: opt.StartAgain = False,
) -> None:
    """Fine-tune BLIP on pictures with captions, and score it before and after."""
    from detection.captioner.table import read_caption_table
    from detection.runs.config import read_config
    from generator.config import Config

    config = default_config(config)
    chosen = Config.load(config, seed=seed, device=device)
    base = _base_model(chosen, config)
    options = opt.settings_in(locals(), CaptionerSettings) | {"seed": chosen.seed}
    settings = read_config(CaptionerSettings, None, options, _DEFAULTS)
    table = read_caption_table(captions, images)
    say(
        f"{len(table.pairs)} captions of {len(table.captions)} pictures, from the columns "
        f"'{table.image_column}' and '{table.caption_column}'"
    )
    _show_skipped(table.skipped)
    from boxpaint.cli.progress import TuningProgress
    from detection.captioner.train import fine_tune
    from generator.foundation.device import choose_device
    from generator.foundation.run_folder import CAPTIONER

    with resumable(out, CAPTIONER.is_begun, overwrite=overwrite), TuningProgress() as progress:
        result = fine_tune(
            table,
            base,
            out,
            settings,
            device=choose_device(chosen.device),
            offline=chosen.offline,
            overwrite=overwrite,
            listener=progress,
        )
    _show_result(result, table)


def _base_model(chosen: Config, config: Path | None) -> ModelRef:
    """The model to start from; raises ConfigError when there is none."""
    from generator.foundation.errors import ConfigError, Fault

    if chosen.models.captioner is None:
        expected = (
            f"the bundle '{chosen.bundle}' has no captioner; set models.captioner.id to a hub repository, such as "
            "Salesforce/blip-image-captioning-base, or models.captioner.folder"
        )
        raise ConfigError([Fault(file=str(config or "config"), column="models.captioner", expected=expected)])
    return chosen.models.captioner


def _show_skipped(skipped: Sequence[Fault]) -> None:
    if not skipped:
        return
    say(f"{len(skipped)} rows skipped:", style="yellow")
    for fault in skipped[:SHOWN_ROWS]:
        say(f"  {fault}", style="yellow")
    if len(skipped) > SHOWN_ROWS:
        say(f"  and {len(skipped) - SHOWN_ROWS} more", style="yellow")


def _show_result(result: CaptionerResult, table: CaptionTable) -> None:
    import yaml

    counts = result.counts
    if result.unreadable:
        name, reason = next(iter(result.unreadable.items()))
        say(
            f"{counts.unreadable_pictures} pictures could not be decoded, the first: {table.images / name}: {reason}",
            style="yellow",
        )
    after = result.scores_after.labelled
    rows = [(name, figure(value), figure(after[name])) for name, value in result.scores_before.labelled.items()]
    title = f"{counts.scored_pictures} validation pictures"
    console.print(Table.of(("score", "before", "after"), rows, title=title, numbers_from=1))
    for example in result.examples[:SHOWN_EXAMPLES]:
        say(f"{example.picture}: {example.before!r} -> {example.after!r}")
    say(
        f"best epoch: {result.best_epoch} of {len(result.losses)}; rows skipped: {counts.skipped_rows}; "
        f"loss: {result.folder / 'loss.png'}"
    )
    say("to use it, put this into the config:\n")
    say(yaml.safe_dump({"models": {"captioner": {"folder": str(result.model)}}}, width=10_000, allow_unicode=True))
