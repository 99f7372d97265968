"""What a training looks like in a terminal: a bar of its steps; plain lines where there is no terminal."""

from __future__ import annotations

from collections import deque

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from boxpaint.time_left import WORTH_SAYING_S, TimeLeft, in_words
from detection.detectors.types import FitListener

# Lines a training prints of its loss where there is no terminal, and losses that one is the mean of.
_LINES, _LOSSES = 20, 20


class StepBar:
    """A bar for steps, that shows only in a terminal; how long they take is said once. Use as a context manager."""

    def __init__(self, console: Console):
        self._console = console
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._total = 0
        self._time = TimeLeft(0)
        self._is_said = False
        self.left = ""
        """Time left, such as "12 min"; empty while too little is known."""

    def __enter__(self) -> StepBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def start(self) -> None:
        """Show it."""
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[left]}"),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=None, left="")
            self._bar.start()

    def move(self, description: str, completed: int, total: int) -> None:
        """Move it to step `completed` of `total`."""
        if total != self._total:
            self._total, self._time = total, TimeLeft(total)
        seconds = self._time.after(completed)
        self.left = in_words(seconds) if seconds is not None else ""
        if seconds is not None and seconds >= WORTH_SAYING_S and not self._is_said:
            self._is_said = True
            self._console.print(f"about {self.left} for what is left", soft_wrap=True)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=description, completed=completed, total=total, left=self._left())

    def _left(self) -> str:
        return f"{self.left} left" if self.left else ""


class FitProgress(FitListener):
    """Shows steps, loss and validations of a detector's training. Use as a context manager."""

    def __init__(self, console: Console):
        self.console = console
        self._bar = StepBar(console)
        self._steps = 0
        self._losses: deque[float] = deque(maxlen=_LOSSES)

    def __enter__(self) -> FitProgress:
        return self

    def __exit__(self, *details: object) -> None:
        self._bar.__exit__(*details)

    def on_start(self, steps: int, finished: int) -> None:
        """Begin; steps that were trained before count."""
        self._steps = steps
        if finished:
            self.console.print(f"{finished} of at most {steps} steps are trained already")
        self._bar.start()

    def on_step(self, step: int, loss: float) -> None:
        """Move the bar; without a terminal, print a line now and then."""
        self._losses.append(loss)
        mean = sum(self._losses) / len(self._losses)
        self._bar.move(f"loss {mean:.3f}", step, self._steps)
        if not self.console.is_terminal and step % max(1, self._steps // _LINES) == 0:
            left = f", {self._bar.left} left" if self._bar.left else ""
            self.console.print(f"step {step}/{self._steps}: loss {mean:.3f}{left}")

    def on_validation(self, step: int, ap: float, *, is_best: bool) -> None:
        """Print a line, above the bar where there is one."""
        best = ", the best so far" if is_best else ""
        self.console.print(f"step {step}/{self._steps}: AP {ap:.3f} on the validation pictures{best}")
