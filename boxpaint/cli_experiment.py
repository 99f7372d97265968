"""`boxpaint experiment`: does painting help a detector on real pictures? A table that survives a sceptic."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from boxpaint.console import console
from boxpaint.interrupts import resumable

_OUT = Path("runs/experiment")


def experiment(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE.yaml", help="YAML of the experiment, such as configs/experiments/quick.yaml."),
    ],
    out: Annotated[Path, typer.Option(help="Folder; the same command again goes on where it stopped.")] = _OUT,
    real: Annotated[Path | None, typer.Option("--real", help="Real data set, instead of the file's.")] = None,
    synthetic: Annotated[
        Path | None, typer.Option("--synthetic", help="Painted data set, instead of painting one.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes; the numbers are the same with any number.")
    ] = None,
) -> None:
    """Train with and without painted images, over numbers of real images and seeds, and write the proof card."""
    from boxpaint.experiment_progress import ExperimentProgress
    from detection.experiment.card import CARD, write_card
    from detection.experiment.config import ExperimentConfig
    from detection.experiment.run import run_experiment
    from generator.foundation.run_folder import EXPERIMENT

    config = ExperimentConfig.load(file, real=real, synthetic=synthetic, workers=workers)
    command = shlex.join(["boxpaint", *sys.argv[1:]])
    exchanged = [name for name, value in (("--real", real), ("--synthetic", synthetic)) if value is not None]
    with resumable(console, out, EXPERIMENT.is_begun), ExperimentProgress(console) as progress:
        outcome = run_experiment(config, out, listener=progress)
    for line in write_card(outcome, out, command=command, exchanged=exchanged):
        console.print(line, soft_wrap=True)
    console.print(f"proof card: {out / CARD}", soft_wrap=True)
