"""What an experiment looks like while it is done: painters, painting, then a bar over the steps of all trainings."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console

from boxpaint.cli.console import console
from boxpaint.cli.paint_progress import RunProgress
from boxpaint.cli.progress import Bar, in_words
from detection.experiment.jobs import Job, Painting
from detection.experiment.run import ExperimentListener

# Lines that each part of a painter's training prints where there is no terminal.
_LINES = 10


class ExperimentProgress(RunProgress, ExperimentListener):
    """Shows jobs done, their scores and the time left."""

    def __init__(self, to: Console = console):
        super().__init__(to)
        self._steps: dict[Job, int] = {}
        self._all_steps = self._waiting = 0
        self._seconds: list[float] = []
        self._begun: float | None = None
        self._tuned = 0

    def on_painting(self, painting: Painting, done: int, total: int) -> None:
        """Say what is painted next, and how long the rest takes by what was not there before."""
        self._end_set()
        left = ""
        if self._seconds:
            left = f"; about {in_words((total - done) * sum(self._seconds) / len(self._seconds))} for what is left"
        what = f"{painting.title}, {painting.number} real images, subset {painting.subset}"
        self.console.print(f"painted images {done + 1} of {total}: {what}{left}", soft_wrap=True)

    def on_paintings_end(self, total: int) -> None:
        """Say that painters and their pictures are there."""
        self._end_set()
        self.console.print(f"painted images that know real ones: all {total} sets are there")

    def on_tuning(self, step: int, steps: int, loss: float) -> None:
        """Move the bar; without a terminal, print a line now and then."""
        if self._begun is None:
            self._begun = time.monotonic()
        if steps != self._tuned:  # each part of a painter has its own
            self._tuned = steps
            self.bar.start()
        self.bar.move(f"tuning the painter, loss {loss:.3f}", step, steps)
        if not self.console.is_terminal and step % max(1, steps // _LINES) == 0:
            left = f", {self.bar.left} left" if self.bar.left else ""
            self.console.print(f"tuning the painter: step {step}/{steps}, loss {loss:.3f}{left}")

    def on_start(self, total: int, finished: int) -> None:
        """Begin to paint."""
        if self._begun is None and finished < total:
            self._begun = time.monotonic()
        super().on_start(total, finished)

    def on_measuring(self, what: str, done: int, total: int) -> None:
        """Move the bar."""
        self.bar.move(what, done, total)

    def _end_set(self) -> None:
        self.bar.stop()
        self._tuned = 0
        if self._begun is not None:
            self._seconds.append(time.monotonic() - self._begun)
            self._begun = None

    def on_jobs(self, jobs: Sequence[Job], steps: int, finished: int) -> None:
        """Begin with some jobs."""
        super().__exit__()  # painting is over
        self.bar = Bar(self.console)
        if finished:
            self.console.print(f"trainings that are finished already: {finished}")
        self._steps, self._all_steps, self._waiting = {}, steps, len(jobs)
        if jobs:
            self.console.print(f"trainings to do: {len(jobs)}, {steps} steps in all")
            self.bar.start()

    def on_job_step(self, job: Job, step: int, _loss: float) -> None:
        """Move the bar."""
        self._steps[job] = step
        self.bar.move("training", sum(self._steps.values()), self._all_steps)

    def on_job_end(self, job: Job, steps: int, score: float | None) -> None:
        """Print a line for a finished job, above the bar where there is one."""
        self.on_job_step(job, steps, float("nan"))
        self._waiting -= 1
        left = f", {self.bar.left} left" if self.bar.left else ""
        said = f"mAP {100 * score:.1f}" if score is not None else "trained"
        self.console.print(f"{job.name}: {said}; {self._waiting} to do{left}", soft_wrap=True)
