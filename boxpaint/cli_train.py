"""`boxpaint train ...`: models trained on data of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from boxpaint.cli_classifier import classifier
from boxpaint.cli_detect import train_detector
from boxpaint.cli_segmenter import segmenter
from boxpaint.console import CommandGroup, Table, console
from boxpaint.interrupts import resumable
from boxpaint.training_progress import StepBar
from detection.captioner.settings import CaptionerSettings, EpochLoss, Listener
from generator.foundation.run_folder import CAPTIONER
from generator.foundation.seeds import MAX_SEED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detection.captioner.table import CaptionTable
    from detection.captioner.train import CaptionerResult
    from generator.bundles import ModelRef
    from generator.config import Config
    from generator.foundation.errors import Fault

app = typer.Typer(cls=CommandGroup, help="Train a model on data of your own.", no_args_is_help=True)
app.command("detector")(train_detector)
app.command()(segmenter)
app.command()(classifier)
SHOWN_ROWS = 3
SHOWN_EXAMPLES = 3
_OUT = Path("runs/captioner")
_DEFAULTS = CaptionerSettings()


@app.command()
def captioner(
    images: Annotated[Path, typer.Option("--images", help="Folder of the pictures.")],
    captions: Annotated[
        Path, typer.Option("--captions", help="Table with a column of picture names and one of captions.")
    ],
    out: Annotated[Path, typer.Option(help="Folder; the same command again goes on where it stopped.")] = _OUT,
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
    seed: Annotated[
        int | None, typer.Option(min=0, max=MAX_SEED, help="Another seed holds out other pictures.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start the folder again.")] = False,
) -> None:
    """Fine-tune BLIP on pictures with captions, and score it before and after."""
    from detection.captioner.table import read_caption_table
    from generator.config import Config

    if config is None and Path("config.yaml").is_file():
        config = Path("config.yaml")
    chosen = Config.load(config, seed=seed, device=device)
    base = _base_model(chosen, config)
    settings = CaptionerSettings(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        patience=patience,
        val_share=val_share,
        seed=chosen.seed,
    )
    table = read_caption_table(captions, images)
    console.print(
        f"{len(table.pairs)} captions of {len(table.captions)} pictures, from the columns "
        f"'{table.image_column}' and '{table.caption_column}'",
        soft_wrap=True,
    )
    _show_skipped(table.skipped)
    from detection.captioner.train import fine_tune
    from generator.foundation.device import choose_device

    with resumable(console, out, CAPTIONER.is_begun, overwrite=overwrite), TuningProgress(console) as progress:
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


class TuningProgress(Listener):
    """A bar for each epoch; a line for each where there is no terminal. Use as a context manager."""

    def __init__(self, console: Console):
        self.console = console
        self._bar = StepBar(console)
        self._epochs = 0
        self._epoch = 1

    def __enter__(self) -> TuningProgress:
        return self

    def __exit__(self, *details: object) -> None:
        self._bar.__exit__(*details)

    def on_start(self, epochs: int, finished: int) -> None:
        """Begin; epochs that were trained before count."""
        self._epochs, self._epoch = epochs, finished + 1
        if finished:
            self.console.print(f"{finished} of at most {epochs} epochs are finished already")
        self._bar.start()

    def on_stage(self, text: str) -> None:
        """Say what begins."""
        self.console.print(text)

    def on_step(self, step: int, steps: int) -> None:
        """Move the bar."""
        done = (self._epoch - 1) * steps + step
        self._bar.move(f"epoch {self._epoch}/{self._epochs}", done, self._epochs * steps)

    def on_epoch(self, loss: EpochLoss, *, is_best: bool) -> None:
        """Print a line, above the bar where there is one."""
        self._epoch = loss.epoch + 1
        best = ", the best so far" if is_best else ""
        self.console.print(f"epoch {loss.epoch}/{self._epochs}: loss {loss.train:.4f}, validation {loss.val:.4f}{best}")


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
    console.print(f"{len(skipped)} rows skipped:", style="yellow")
    for fault in skipped[:SHOWN_ROWS]:
        console.print(f"  {fault}", style="yellow", soft_wrap=True)
    if len(skipped) > SHOWN_ROWS:
        console.print(f"  and {len(skipped) - SHOWN_ROWS} more", style="yellow")


def _show_result(result: CaptionerResult, table: CaptionTable) -> None:
    import yaml

    counts = result.counts
    if result.unreadable:
        name, reason = next(iter(result.unreadable.items()))
        console.print(
            f"{counts.unreadable_pictures} pictures could not be decoded, the first: {table.images / name}: {reason}",
            style="yellow",
            soft_wrap=True,
        )
    scores = Table(title=f"{counts.scored_pictures} validation pictures")
    scores.add_column("score")
    for column in ("before", "after"):
        scores.add_column(column, justify="right")
    after = result.scores_after.labelled
    for name, value in result.scores_before.labelled.items():
        scores.add_row(name, f"{value:.3f}", f"{after[name]:.3f}")
    console.print(scores)
    for example in result.examples[:SHOWN_EXAMPLES]:
        console.print(f"{example.picture}: {example.before!r} -> {example.after!r}", soft_wrap=True)
    console.print(
        f"best epoch: {result.best_epoch} of {len(result.losses)}; rows skipped: {counts.skipped_rows}; "
        f"loss: {result.folder / 'loss.png'}",
        soft_wrap=True,
    )
    console.print("to use it, put this into the config:\n")
    use = yaml.safe_dump({"models": {"captioner": {"folder": str(result.model)}}}, width=10_000, allow_unicode=True)
    console.print(use, soft_wrap=True)
