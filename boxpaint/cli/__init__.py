"""The commands. Each is a thin layer over the library, and imports what is heavy only when it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from boxpaint.cli.captioner import captioner
from boxpaint.cli.classifier import classifier
from boxpaint.cli.console import CommandGroup, Commands, console
from boxpaint.cli.data import export, import_command, merge, validate
from boxpaint.cli.paint import audit, batch, generate
from boxpaint.cli.painter import painter
from boxpaint.cli.prove import annotate, evaluate, experiment, predict, segment
from boxpaint.cli.review import review
from boxpaint.cli.scenario import calibrate, check_spec, doctor, init, plan, prompts
from boxpaint.cli.studio import studio
from boxpaint.cli.train import refine_detector, segmenter, train_detector
from generator.foundation.version import __version__

# The help follows the way of a data set: painted, checked, learnt from, proven.
COMMANDS: dict[str, Callable[..., None]] = {
    "init": init,
    "check-spec": check_spec,
    "plan": plan,
    "prompts": prompts,
    "generate": generate,
    "doctor": doctor,
    "batch": batch,
    "validate": validate,
    "audit": audit,
    "calibrate": calibrate,
    "review": review,
    "import": import_command,
    "annotate": annotate,
    "export": export,
    "merge": merge,
    "predict": predict,
    "segment": segment,
    "evaluate": evaluate,
    "experiment": experiment,
    "app": studio,
}
TRAIN: dict[str, Callable[..., None]] = {
    "detector": train_detector,
    "segmenter": segmenter,
    "classifier": classifier,
    "captioner": captioner,
    "painter": painter,
}
REFINE: dict[str, Callable[..., None]] = {"detector": refine_detector}

app = typer.Typer(
    name="boxpaint",
    cls=Commands,
    help="Two CSV files in, an annotated object-detection data set out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its boxes cut long words at 80 columns
)
_train = typer.Typer(cls=CommandGroup, help="Train a model on data of your own.", no_args_is_help=True)
_refine = typer.Typer(cls=CommandGroup, help="Train a trained model further, on real pictures.", no_args_is_help=True)
for _group, _commands in ((app, COMMANDS), (_train, TRAIN), (_refine, REFINE)):
    for _name, _command in _commands.items():
        _group.command(_name)(_command)
app.add_typer(_train, name="train")
app.add_typer(_refine, name="refine")


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print(f"boxpaint {__version__}")
        raise typer.Exit


@app.callback()
def show_version(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Two CSV files in, an annotated object-detection data set out."""
