"""The console that every command prints to, and what a command that a signal stops says and ends with.

Tables and lists of commands lose nothing, however narrow a terminal is.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import rich.table
import typer
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text
from typer.core import TyperGroup

from generator.foundation.stopping import Stopped, exit_code

# A pipe or a file has no width: a table there is as wide as its cells, and a line stays one line.
_WIDTH_OF_A_FILE = 10_000
# Columns of a terminal: numbers and names that are no longer are not broken; and what a column's border takes.
_WHOLE_WORD, _BORDER = 24, 3


# No markup and no emoji: a path or a class may hold square brackets, and ":train:" is a tram otherwise.
console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE, highlight=False, markup=False, emoji=False)


def say(text: str, style: str | None = None) -> None:
    """Print a line that stays one however narrow the terminal is."""
    console.print(text, style=style, soft_wrap=True)


def warn(text: str) -> None:
    """Print a warning."""
    say(f"warning: {text}", style="yellow")


def figure(value: float | None) -> str:
    """A score with three digits; a dash for None and NaN.

    >>> figure(0.5), figure(None)
    ('0.500', '–')
    """
    return "–" if value is None or value != value else f"{value:.3f}"


class Table(rich.table.Table):
    """A table of text that loses none of it: rich would end cells that are too long with an ellipsis.

    Long cells go on in the next line; where even numbers and names would be broken, each row becomes lines of
    `heading: cell`.
    """

    @classmethod
    def of(
        cls,
        headings: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        title: str | None = None,
        numbers_from: int | None = None,
        framed: bool = True,
    ) -> Table:
        """Make one of rows; columns from position `numbers_from` on are aligned on the right."""
        table = cls(title=title) if framed else cls(title=title, box=None, pad_edge=False)
        for position, heading in enumerate(headings):
            is_number = numbers_from is not None and position >= numbers_from
            table.add_column(heading, justify="right" if is_number else "left")
        for row in rows:
            table.add_row(*(cell if isinstance(cell, Text) else str(cell) for cell in row))
        return table

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


def end(text: str, error: KeyboardInterrupt, *, on: Console = console) -> typer.Exit:
    """Say why a command ends; returns what is to be raised: 130 after Ctrl-C, 143 after SIGTERM."""
    on.print(text, style="yellow", soft_wrap=True)
    return typer.Exit(exit_code(error.number if isinstance(error, Stopped) else None))


def how_to_go_on(out: Path, *, is_kept: bool, overwrite: bool = False) -> str:
    """What a stopped command says of its folder."""
    if not is_kept:
        return "stopped; nothing is kept, the same command starts anew"
    return f"stopped; the same command {'without --overwrite ' if overwrite else ''}goes on from what is kept in {out}"


@contextlib.contextmanager
def resumable(out: Path, is_kept: Callable[[Path], bool], *, overwrite: bool = False) -> Iterator[None]:
    """End with a word on how to go on, when a signal stops what works in the folder `out`."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise end(how_to_go_on(out, is_kept=is_kept(out), overwrite=overwrite), error) from None


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


class Commands(CommandGroup):
    """The commands. Of one that is stopped, and says nothing itself, this says that it starts anew."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Do a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            stderr = Console(stderr=True, highlight=False, markup=False)
            raise end("stopped; the same command starts anew", error, on=stderr) from None
