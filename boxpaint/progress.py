"""What a run looks like in a terminal: a bar with rate and time left; plain lines where there is no terminal."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.status import Status

from boxpaint.prompts_view import describe_progress
from boxpaint.time_left import in_words
from generator.foundation.stopping import StopRequest
from generator.prompts.book import BookRow, PromptBook
from generator.prompts.make import RowProgress
from generator.run import Listener

WHERE_IT_STOPS = "when this chunk, or this row of the prompt book, is finished"
"""For the StopRequest of a run."""
# Without a terminal, how often it is said how far the pictures in hand are.
_QUIET_S = 10.0


class RunProgress(Listener):
    """Shows scenes done, pictures a minute and time left. Use as a context manager."""

    def __init__(self, console: Console, stop: StopRequest | None = None):
        self.console = console
        self._stop = stop
        self._bar: Progress | None = None
        self._status: Status | None = None
        self._task: TaskID | None = None
        self._total = 0
        self._finished = 0
        self._done = 0
        self._backgrounds = 0
        self._objects = 0
        self._start = time.monotonic()
        self._said = -_QUIET_S

    def __enter__(self) -> RunProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_status()
        if self._bar is not None:
            self._bar.stop()

    def on_start(self, total: int, finished: int) -> None:
        """Begin; scenes that are on disk already count as done."""
        self._total, self._finished, self._start = total, finished, time.monotonic()
        if finished:
            self.console.print(f"{finished} of {total} scenes are finished already")
        if finished == total:
            return
        if not self.console.is_terminal:
            self.console.print(f"loading the models to paint {total - finished} scenes")
        else:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(),
                console=self.console,
            )
            self._task = self._bar.add_task("scenes", total=total, completed=finished, rate="")
            self._bar.start()

    def on_row_progress(self, progress: RowProgress) -> None:
        """Say below the lines how far the row is."""
        if self.console.is_terminal:
            if self._status is None:
                self._status = self.console.status("")
                self._status.start()
            self._status.update(describe_progress(progress))

    def on_row(self, row: BookRow) -> None:
        """Say that the book grows; nothing is lost when it is stopped here."""
        if self._stop is not None:
            self._stop.check()
        self.console.print(f"prompts for {row.prompt!r}: {len(row.kept)} of {len(row.texts)} tried", soft_wrap=True)

    def on_prompts(self, book: PromptBook) -> None:
        """Say how many texts there are."""
        self._end_status()
        rows = book.enriched.rows
        self.console.print(f"prompt book: {sum(len(row.kept) for row in rows)} texts for {len(rows)} rows")

    def on_background(self, count: int) -> None:
        """Count backgrounds; the first ones say that models are loaded, and start the clock."""
        if not self._backgrounds:
            self._start = time.monotonic()
        self._backgrounds += count
        self._describe()

    def on_object(self, count: int) -> None:
        """Count objects."""
        self._objects += count
        self._describe()

    def on_scene(self, count: int) -> None:
        """Count finished scenes; without a terminal, print a line a chunk."""
        self._done += count
        # Scenes of chunks in hand have their background, and are half done on the average.
        painted = self._done + max(0, self._backgrounds - self._done) / 2
        rate = painted / max(time.monotonic() - self._start, 1e-9)
        done = self._finished + self._done
        left = in_words(max(0.0, self._total - self._finished - painted) / rate)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, rate=f"{60 * rate:.1f}/min, {left} left")
        elif not self.console.is_terminal:
            self.console.print(f"scene {done}/{self._total}, {60 * rate:.1f} a minute, {left} left")

    def on_warning(self, text: str) -> None:
        """Print a warning above the bar."""
        self.console.print(f"warning: {text}", style="yellow", soft_wrap=True)

    def on_note(self, text: str) -> None:
        """Print a note above the bar."""
        self.console.print(text, soft_wrap=True)

    def _end_status(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _describe(self) -> None:
        if self._bar is not None and self._task is not None:
            text = f"{self._backgrounds} backgrounds, {self._objects} objects, scenes"
            self._bar.update(self._task, description=text)
        elif not self.console.is_terminal and time.monotonic() >= self._said + _QUIET_S:
            self._said = time.monotonic()
            self.console.print(f"painting: backgrounds {self._backgrounds}, objects {self._objects} so far")
