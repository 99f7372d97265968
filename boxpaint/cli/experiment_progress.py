"""What an experiment looks like while it is done: painting, then a bar over the steps of all trainings."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from boxpaint.cli.console import console
from boxpaint.cli.paint_progress import RunProgress
from boxpaint.cli.progress import Bar
from detection.experiment.jobs import Job
from detection.experiment.run import ExperimentListener


class ExperimentProgress(RunProgress, ExperimentListener):
    """Shows jobs done, their scores and the time left."""

    def __init__(self, to: Console = console):
        super().__init__(to)
        self._steps: dict[Job, int] = {}
        self._all_steps = self._waiting = 0

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
