"""What detectors find and are worth, in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from boxpaint.console import Table

SHOWN_UNREADABLE = 5
_COLUMNS = {
    "AP": "ap",
    "AP50": "ap50",
    "AP75": "ap75",
    "recall": "recall",
    "AP small": "ap_small",
    "AP medium": "ap_medium",
    "AP large": "ap_large",
}


def score_table(scores: Mapping[str, Any], title: str, *, before: Mapping[str, Any] | None = None) -> Table:
    """A row for all and for each category of SetScores.to_json; with a column of the AP `before`."""
    table = Table(title=title)
    table.add_column("class")
    for name in ("objects", *(["AP before"] if before is not None else []), *_COLUMNS):
        table.add_column(name, justify="right")
    rows = {"all": (scores, before), **{name: (scores["categories"][name], None) for name in scores["categories"]}}
    if before is not None:
        rows |= {name: (scores["categories"][name], before["categories"][name]) for name in scores["categories"]}
    for name, (figures, old) in rows.items():
        earlier = [_shown(old["ap"])] if old is not None else []
        table.add_row(
            name, str(figures["objects"]), *earlier, *(_shown(figures[column]) for column in _COLUMNS.values())
        )
    return table


def show_unreadable(console: Console, unreadable: Mapping[str, str], about: Path) -> None:
    """Name the pictures that could not be read, each with its reason; the rest of many is in the file `about`."""
    if not unreadable:
        return
    console.print(f"{len(unreadable)} pictures could not be read:", style="yellow")
    for name, reason in [*unreadable.items()][:SHOWN_UNREADABLE]:
        console.print(f"  {name}: {reason}", style="yellow", soft_wrap=True)
    if len(unreadable) > SHOWN_UNREADABLE:
        rest = len(unreadable) - SHOWN_UNREADABLE
        console.print(f"  and {rest} more, see {about}", style="yellow", soft_wrap=True)


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
