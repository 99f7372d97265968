"""What painting looks like while it is done: a bar with rate and time left; plain lines where there is no terminal."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from boxpaint.cli.console import console
from boxpaint.cli.progress import Bar, Display, in_words
from generator.foundation.stopping import StopRequest
from generator.prompts.book import BookRow, PromptBook
from generator.prompts.make import RowProgress
from generator.run import Listener

WHERE_IT_STOPS = "when this chunk, or this row of the prompt book, is finished"
"""For the StopRequest of a run."""
# Without a terminal, how often it is said how far the pictures in hand are.
_QUIET_S = 10.0


def describe_row(progress: RowProgress) -> str:
    """How far the search for texts has come, in one line of markup."""
    prompt = escape(progress.prompt)
    return f"row {progress.number} of {progress.rows}, {prompt}: {progress.kept} texts of {progress.tried} tried"


class RunProgress(Display, Listener):
    """Shows scenes done, pictures a minute and time left."""

    def __init__(self, to: Console = console, stop: StopRequest | None = None):
        super().__init__(to)
        self.bar = Bar(to, stays=True)
        self._stop = stop
        self._status: Status | None = None
        self._total = self._finished = self._done = self._backgrounds = self._objects = 0
        self._start = time.monotonic()
        self._said = -_QUIET_S

    def __exit__(self, *details: object) -> None:
        self._end_status()
        super().__exit__(*details)

    def on_start(self, total: int, finished: int) -> None:
        """Begin; scenes that are on disk already count as done."""
        self._total, self._finished, self._start = total, finished, time.monotonic()
        self._done = self._backgrounds = self._objects = 0
        if finished:
            self.console.print(f"{finished} of {total} scenes are finished already")
        if finished == total:
            return
        if not self.console.is_terminal:
            self.console.print(f"loading the models to paint {total - finished} scenes")
        self.bar.start("scenes", completed=finished, total=total)

    def on_row_progress(self, progress: RowProgress) -> None:
        """Say below the lines how far the row is."""
        if self.console.is_terminal:
            if self._status is None:
                self._status = self.console.status("")
                self._status.start()
            self._status.update(describe_row(progress))

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
        self.bar.show(completed=done, side=f"{60 * rate:.1f}/min, {left} left")
        if not self.console.is_terminal:
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
        self.bar.show(description=f"{self._backgrounds} backgrounds, {self._objects} objects, scenes")
        if not self.console.is_terminal and time.monotonic() >= self._said + _QUIET_S:
            self._said = time.monotonic()
            self.console.print(f"painting: backgrounds {self._backgrounds}, objects {self._objects} so far")
