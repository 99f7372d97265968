"""The console that every command prints to; tables and lists of commands that lose nothing, however narrow it is."""

from __future__ import annotations

import sys
from typing import Any

import rich.table
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from typer.core import TyperGroup

# A pipe or a file has no width: a table there is as wide as its cells, and a line stays one line.
_WIDTH_OF_A_FILE = 10_000
# Columns of a terminal: numbers and names that are no longer are not broken; and what a column's border takes.
_WHOLE_WORD, _BORDER = 24, 3


class Table(rich.table.Table):
    """A table of text that loses none of it: rich would end cells that are too long with an ellipsis.

    Long cells go on in the next line; where even numbers and names would be broken, each row becomes lines of
    `heading: cell`.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render it."""
        self.title_justify = "left"  # the middle of a wide one is out of sight
        for column in self.columns:
            column.overflow = "fold"
        if self._needed_columns() >= options.max_width:
            yield from self._rows_as_lines()
        elif console.is_terminal:
            yield from super().__rich_console__(console, options)
        else:  # cells are filled up with blanks, which whoever shows the file would wrap
            rendered = super().__rich_console__(console, options)
            text = "".join(part.text for part in rendered if isinstance(part, Segment))
            yield "\n".join(line.rstrip() for line in text.splitlines())

    def _needed_columns(self) -> int:
        words = ([word for text in (each.header, *each.cells) for word in str(text).split()] for each in self.columns)
        return sum(_BORDER + min(_WHOLE_WORD, max(map(cell_len, each), default=0)) for each in words)

    def _rows_as_lines(self) -> RenderResult:
        if self.title:
            yield self.title
        for cells in zip(*(column.cells for column in self.columns), strict=True):
            if self.show_header:
                yield from (f"{column.header}: {cell}" for column, cell in zip(self.columns, cells, strict=True))
                yield ""
            else:
                yield "  ".join(map(str, cells))


class CommandGroup(TyperGroup):
    """Commands, each listed with the whole first paragraph of its help: click would cut it at the line's end."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, " ".join((each.help or "").split("\n\n")[0].split()))
                    for name, each in found
                    if each is not None
                ]
            )


# No markup and no emoji: a path or a class may hold square brackets, and ":train:" is a tram otherwise.
console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE, highlight=False, markup=False, emoji=False)
