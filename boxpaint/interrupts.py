"""What a command that a signal has ended says: whether the same command goes on, or starts anew."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import typer
from rich.console import Console

from boxpaint.console import CommandGroup
from boxpaint.exit_codes import of_signal
from generator.foundation.stopping import Stopped


def end(console: Console, text: str, error: KeyboardInterrupt) -> typer.Exit:
    """Say it; returns what is to be raised: 130 after Ctrl-C, 143 after SIGTERM."""
    console.print(text, style="yellow", soft_wrap=True)
    return typer.Exit(of_signal(error.number if isinstance(error, Stopped) else None))


def how_to_go_on(out: Path, *, is_kept: bool, overwrite: bool = False) -> str:
    """What a stopped command says of its folder."""
    if not is_kept:
        return "stopped; nothing is kept, the same command starts anew"
    return f"stopped; the same command {'without --overwrite ' if overwrite else ''}goes on from what is kept in {out}"


def holds_run(out: Path) -> bool:
    """Whether a folder of `boxpaint generate` holds pictures or prompts that the same command goes on with."""
    return any(any((out / name).glob("*.json")) for name in ("records", "prompts"))


@contextlib.contextmanager
def resumable(
    console: Console, out: Path, is_kept: Callable[[Path], bool], *, overwrite: bool = False
) -> Iterator[None]:
    """End with a word on how to go on, when a signal stops what works in the folder `out`."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise end(console, how_to_go_on(out, is_kept=is_kept(out), overwrite=overwrite), error) from None


class Commands(CommandGroup):
    """Commands of which those that say nothing of their own when they are stopped begin anew."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Do a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            console = Console(stderr=True, highlight=False, markup=False)
            raise end(console, "stopped; the same command starts anew", error) from None
