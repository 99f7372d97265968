"""What cards and reports are made of: tables as text, plots as bytes. Equal numbers give equal bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generator.foundation.storage import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Rows = Sequence[Sequence[str]]
"""A table, heads first."""
PLOT_STYLE: Any = {"text.parse_math": False, "font.size": 9}
"""For matplotlib's rc_context: a category called a$b is no formula."""
ABSENT = "–"


def write_csv(path: Path, rows: Iterable[Iterable[object]]) -> None:
    """Write rows as CSV (UTF-8), whole or not at all. Raises StorageError."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())


def markdown(rows: Rows) -> str:
    """A table in Markdown."""
    heads, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *body))


def to_png(figure: Figure) -> bytes:
    """Encode a figure, without matplotlib's version in it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
