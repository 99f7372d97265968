"""`--balance-to`: the spec that evens out a real set, shown before anything is painted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from boxpaint.console import Table
from boxpaint.detect_inputs import parse_counts, parse_renames
from generator.foundation.errors import BoxpaintError

if TYPE_CHECKING:
    from generator.spec import Spec

BalanceOption = Annotated[
    str | None,
    typer.Option(
        "--balance-to",
        metavar="DATASET[:SPLIT]",
        help="Paint of each class what this real COCO set lacks (default split: train).",
    ),
]
TargetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="NAME=N",
        help="With --balance-to: this class until both sets hold N, no other (default: all as the commonest).",
    ),
]
RenameOption = Annotated[
    list[str] | None,
    typer.Option("--rename", metavar="OLD=NEW", help="With --balance-to: a class of the real set is called NEW here."),
]


def balanced(
    spec: Spec,
    dataset: str | None,
    targets: Sequence[str] | None,
    rename: Sequence[str] | None,
    console: Console,
) -> Spec:
    """Return the spec that asks for what the real set lacks, and say what that is; without a data set, the spec.

    Raises BoxpaintError.
    """
    if dataset is None:
        if targets or rename:
            raise BoxpaintError("--target and --rename go with --balance-to DATASET")
        return spec
    from detection.datasets.categories import rename_categories
    from detection.runs.sources import read_source
    from generator.plan.balance import balance

    source = read_source(dataset, "real")
    found = balance(
        spec, rename_categories(source.data, parse_renames(rename)).counts(), parse_counts("--target", targets)
    )
    table = Table(title=f"{source.name}: {len(source.data)} pictures")
    for heading in ("class", "real", "to paint", "together"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for each in found.classes:
        table.add_row(each.name, str(each.real), str(each.painted), str(each.real + each.painted))
    console.print(table)
    if found.ignored:
        names = ", ".join(f"{count} {name}" for name, count in found.ignored.items())
        console.print(f"not in classes.csv: {names}; see --rename", style="yellow", soft_wrap=True)
    console.print(f"that takes {found.spec.num_scenes} scenes; background.csv asks for {spec.num_scenes}")
    return found.spec
