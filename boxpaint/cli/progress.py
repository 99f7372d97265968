"""What work looks like while it is done: one bar in a terminal, plain lines where there is none."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from boxpaint.cli.console import console, end
from detection.captioner.settings import EpochLoss
from detection.captioner.settings import Listener as CaptionerListener
from detection.painter.settings import Listener as PainterListener
from detection.painter.settings import Part
from generator.foundation.history import Listener

# Seconds of work that an estimate needs, and seconds left from which on it is worth telling.
_ENOUGH_S, _WORTH_SAYING_S = 2.0, 10.0
# Lines a training prints of its loss where there is no terminal, and losses that one is the mean of.
_LINES, _LOSSES = 20, 20
# Without a terminal a line of a measurement is printed at most so often.
_LINE_EVERY_S = 10.0


# What the scores of the parts of a painter's training are, higher is better.
_PAINTER_SCORES: dict[str, Callable[[float], str]] = {
    "vae": lambda score: f"PSNR {score:.1f} dB",
    **dict.fromkeys(("unet", "inpaint", "background"), lambda score: f"loss {-score:.4f}"),
    "clip": lambda score: f"{score:.0%} of the real crops right",
}


class TimeLeft:
    """Estimates the seconds that are left of `total` pieces of work, by what was done since the first of it, which is
    slow: models are loaded."""

    def __init__(self, total: float):
        self._total = total
        self._first: tuple[float, float] | None = None

    def after(self, done: float) -> float | None:
        """Seconds left when so much is done; None while too little is known. The first call only starts the clock."""
        now = time.monotonic()
        if self._first is None:
            self._first = now, done
            return None
        since, before = self._first
        if done <= before or now - since < _ENOUGH_S:
            return None
        return (self._total - done) * (now - since) / (done - before)


def in_words(seconds: float) -> str:
    """Round as people do.

    >>> [in_words(seconds) for seconds in (8.4, 90, 1500, 9000)]
    ['8 s', '2 min', '25 min', '2.5 h']
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Bar:
    """A bar that shows only in a terminal. Use as a context manager.

    `move` estimates how long the rest takes, which is said once where it is long.
    """

    def __init__(self, to: Console = console, *, stays: bool = False, says_time: bool = True):
        """A bar that `stays` is still to be seen at the end."""
        self._console, self._stays, self._says_time = to, stays, says_time
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._total = 0.0
        self._time = TimeLeft(0)
        self._is_said = False
        self.left = ""
        """Time left, such as "12 min"; empty while too little is known."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, description: str = "", *, completed: int = 0, total: int | None = None) -> None:
        """Show it."""
        self._total, self._time, self._is_said, self.left = 0, TimeLeft(0), False, ""
        if self._console.is_terminal:
            self.stop()
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[side]}"),
            )
            elapsed = [TimeElapsedColumn()] if self._stays else []
            self._bar = Progress(*columns, *elapsed, console=self._console, transient=not self._stays)
            self._task = self._bar.add_task(description, total=total, completed=completed, side="")
            self._bar.start()

    def stop(self) -> None:
        """Take it away, or leave it as it is."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def show(self, **fields: object) -> None:
        """Set `description`, `completed`, `total`, or `side`, the text beside it."""
        if self._bar is not None:
            self._bar.update(self._task, **fields)  # type: ignore[arg-type]

    def move(
        self,
        description: str,
        completed: int,
        total: int,
        *,
        work: tuple[float, float] | None = None,
        at_most_s: float | None = None,
    ) -> None:
        """Move it to step `completed` of `total`.

        The time left is that of `work`, (done, all), where that is more than these steps, and `at_most_s` seconds.
        """
        done, whole = work or (completed, total)
        if whole != self._total:
            self._total, self._time = whole, TimeLeft(whole)
        seconds = self._time.after(done)
        if seconds is not None and at_most_s is not None:
            seconds = min(seconds, at_most_s)
        self.left = in_words(seconds) if seconds is not None else ""
        if seconds is not None and seconds >= _WORTH_SAYING_S and self._says_time and not self._is_said:
            self._is_said = True
            self._console.print(f"about {self.left} for what is left", soft_wrap=True)
        side = f"{self.left} left" if self.left else ""
        self.show(description=description, completed=completed, total=total, side=side)


@contextlib.contextmanager
def picture_bar(what: str, out: Path) -> Iterator[Callable[[int, int], None]]:
    """Show a bar of pictures; after Ctrl-C say that nothing changed, and exit."""
    try:
        with Bar(says_time=False) as bar:
            yield lambda done, total: bar.move(what, done, total)
    except KeyboardInterrupt as error:
        raise end(f"stopped; {out} is as it was", error) from None


@contextlib.contextmanager
def stage_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar for one stage after the other; without a terminal a line when one begins, and by the clock."""
    shown, printed = "", 0.0

    with Bar(says_time=False) as bar:

        def move(stage: str, done: int, total: int) -> None:
            nonlocal shown, printed
            bar.move(stage, done, total)
            if not console.is_terminal and (stage != shown or time.monotonic() - printed > _LINE_EVERY_S):
                printed = time.monotonic()
                console.print(f"{stage}: {done} of {total}")
            shown = stage

        yield move


class Display:
    """What shows progress: a bar, and lines above it. Use as a context manager."""

    def __init__(self, to: Console = console):
        self.console = to
        self.bar = Bar(to)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def on_stage(self, text: str) -> None:
        """Say what begins."""
        self.console.print(text)


class FitProgress(Display, Listener):
    """Shows steps, loss and validations of a detector's training."""

    def __init__(self, to: Console = console):
        super().__init__(to)
        self._steps = 0
        self._losses: deque[float] = deque(maxlen=_LOSSES)

    def on_start(self, steps: int, finished: int) -> None:
        """Begin; steps that were trained before count."""
        self._steps = steps
        if finished:
            self.console.print(f"{finished} of at most {steps} steps are trained already")
        self.bar.start()

    def on_step(self, step: int, loss: float) -> None:
        """Move the bar; without a terminal, print a line now and then."""
        self._losses.append(loss)
        mean = sum(self._losses) / len(self._losses)
        self.move(f"loss {mean:.3f}", step)
        if not self.console.is_terminal and step % max(1, self._steps // _LINES) == 0:
            left = f", {self.bar.left} left" if self.bar.left else ""
            self.console.print(f"step {step}/{self._steps}: loss {mean:.3f}{left}")

    def move(self, description: str, step: int) -> None:
        """Move the bar."""
        self.bar.move(description, step, self._steps)

    def on_validation(self, step: int, score: float, *, is_best: bool) -> None:
        """Print a line, above the bar where there is one."""
        best = ", the best so far" if is_best else ""
        self.console.print(f"step {step}/{self._steps}: {self.describe(score)}{best}")

    def describe(self, score: float) -> str:
        """Say what was scored."""
        return f"AP {score:.3f} on the validation pictures"


class PainterProgress(FitProgress, PainterListener):
    """Shows the parts of a painter's training; the time left is that of all of them."""

    def __init__(self, to: Console = console):
        super().__init__(to)
        self._part: Part | None = None
        self._begun = 0.0

    def on_part(self, part: Part) -> None:
        """Say what begins."""
        self._part, self._begun = part, time.monotonic()
        self._losses.clear()
        self.console.print(f"part {part.number} of {part.parts}: {part.title}")

    def move(self, description: str, step: int) -> None:
        """Move the bar."""
        part = self._part
        assert part is not None, "a part begins before its steps"
        done = part.before + part.share * step / self._steps
        limit = None if part.seconds_left is None else part.seconds_left - (time.monotonic() - self._begun)
        self.bar.move(description, step, self._steps, work=(done, 1.0), at_most_s=limit)

    def describe(self, score: float) -> str:
        """Say what was scored."""
        assert self._part is not None, "a part begins before its scores"
        return f"{_PAINTER_SCORES[self._part.name](score)}, held out"


class TuningProgress(Display, CaptionerListener):
    """Shows the steps of a captioner's training, and a line for each epoch."""

    def __init__(self, to: Console = console):
        super().__init__(to)
        self._epochs, self._epoch = 0, 1

    def on_start(self, epochs: int, finished: int) -> None:
        """Begin; epochs that were trained before count."""
        self._epochs, self._epoch = epochs, finished + 1
        if finished:
            self.console.print(f"{finished} of at most {epochs} epochs are finished already")
        self.bar.start()

    def on_step(self, step: int, steps: int) -> None:
        """Move the bar."""
        done = (self._epoch - 1) * steps + step
        self.bar.move(f"epoch {self._epoch}/{self._epochs}", done, self._epochs * steps)

    def on_epoch(self, loss: EpochLoss, *, is_best: bool) -> None:
        """Print a line, above the bar where there is one."""
        self._epoch = loss.epoch + 1
        best = ", the best so far" if is_best else ""
        self.console.print(f"epoch {loss.epoch}/{self._epochs}: loss {loss.train:.4f}, validation {loss.val:.4f}{best}")
