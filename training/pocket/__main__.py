"""How the pocket bundle is made and measured: `python -m training.pocket all`.

A training that was stopped goes on with the same command; another seed, recipe or data is refused. A part is finished
when `<part>.numbers.json` lies in the work folder: remove it to train that part again.
Photos that are no COCO set are imported first, into `<work folder>_photos`.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from generator.foundation.errors import USER_ERROR, BoxpaintError

# Minutes of training for each part, on two CPU cores for the language models and those that look, on an H200 for the
# VAE and the UNet (a CPU would take days).
MINUTES = {"vae": 8.0, "inpaint": 20.0, "gpt2": 20.0, "blip": 12.0, "clip": 14.0}

DataOption = Annotated[
    Path, typer.Option("--data", help="Labelled photos with train, val and test: COCO, or what boxpaint import reads.")
]
CaptionsOption = Annotated[Path, typer.Option("--captions", help="Text file with one caption a line.")]
OutOption = Annotated[Path, typer.Option("--out", help="Work folder, which becomes the bundle.")]
MinutesOption = Annotated[float | None, typer.Option("--minutes", min=0.01, help="Minutes of training for each part.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Also decides which captions are held out.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")]
_DATA = Path("../shared/data/bccd")
_CAPTIONS = Path("../shared/data/captions/coco_val2017_captions.txt")
_OUT = Path("runs/pocket")

app = typer.Typer(
    help="Train and measure the models of the pocket bundle.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# No markup: a path may hold square brackets.
console = Console(highlight=False, markup=False, soft_wrap=True)


def _command_of(part: str) -> Callable[..., None]:
    def command(
        data: DataOption = _DATA,
        captions: CaptionsOption = _CAPTIONS,
        out: OutOption = _OUT,
        minutes: MinutesOption = None,
        seed: SeedOption = 0,
        device: DeviceOption = "auto",
    ) -> None:
        _train([part], data, captions, out, minutes, seed, device)

    return command


for _part in MINUTES:
    app.command(_part, help=f"Train {_part} unless it is finished, {MINUTES[_part]:g} minutes by default.")(
        _command_of(_part)
    )


@app.command("all")
def train_all(
    data: DataOption = _DATA,
    captions: CaptionsOption = _CAPTIONS,
    out: OutOption = _OUT,
    minutes: MinutesOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    only: Annotated[list[str] | None, typer.Option("--only", help="Only this part; may be repeated.")] = None,
    skip: Annotated[list[str] | None, typer.Option("--skip", help="Leave this part out; may be repeated.")] = None,
) -> None:
    """Train every part that is not finished."""
    unknown = sorted({*(only or []), *(skip or [])} - set(MINUTES))
    if unknown:
        raise BoxpaintError(f"there is no part {unknown[0]!r}; the parts are {', '.join(MINUTES)}")
    names = [name for name in MINUTES if name in (only or MINUTES) and name not in (skip or [])]
    _train(names, data, captions, out, minutes, seed, device)


@app.command()
def evaluate(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle, such as generator/bundles/pocket.")],
    data: DataOption = _DATA,
    captions: CaptionsOption = _CAPTIONS,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """Measure every part of a bundle on unseen photos and captions; the seed must be that of its training."""
    from generator.foundation.device import choose_device
    from training.pocket.parts import PARTS, parts_in
    from training.pocket.session import open_session

    names, numbers = parts_in(bundle), {}
    with tempfile.TemporaryDirectory() as folder:
        session = open_session(data, Path(folder), captions, seed, choose_device(device), console.print)
        for name in names:
            console.print(f"measuring {name}")
            numbers[name] = PARTS[name].module.evaluate(session, bundle / PARTS[name].folder)
    _print_table(bundle, numbers)


def _train(
    names: list[str], data: Path, captions: Path, out: Path, minutes: float | None, seed: int, device: str
) -> None:
    from generator.foundation.device import choose_device
    from training.pocket import parts
    from training.pocket.session import open_session

    imported = out.with_name(f"{out.name}_photos")
    session = open_session(data, imported, captions, seed, choose_device(device), console.print)
    for name in names:
        if parts.is_finished(out, name, session):
            parts.remove_checkpoint(out, name)  # a kill may have come between the numbers and its removal
            console.print(f"{name}: finished before; remove {parts.numbers_file(out, name)} to train it again")
        else:
            parts.train_part(out, name, dataclasses.replace(session, minutes=minutes or MINUTES[name]))
    _print_table(out, {name: parts.read_numbers(out, name) for name in parts.parts_in(out)})


def _print_table(bundle: Path, numbers: Mapping[str, Mapping[str, float]]) -> None:
    from training.pocket.parts import size_mb

    table = Table("part", "measured", "")
    table.columns[2].justify = "right"
    sizes = {name: size_mb(bundle, name) for name in numbers}
    for name, measured in numbers.items():
        for what, value in measured.items():
            table.add_row(name, what, f"{value:,.3f}")
        table.add_row(name, "size, MB", f"{sizes[name]:.1f}", end_section=True)
    table.add_row("together", "size, MB", f"{sum(sizes.values()):.1f}")
    console.print(table)


def main() -> None:
    """Run the command line: a user's mistake ends with one line and exit code 2."""
    try:
        app(standalone_mode=True)
    except BoxpaintError as error:
        Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(str(error), style="red")
        sys.exit(USER_ERROR)


if __name__ == "__main__":
    main()
