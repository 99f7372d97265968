"""What an experiment looks like in a terminal: painting, then a bar of all training steps; else plain lines."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from boxpaint.progress import RunProgress
from boxpaint.time_left import WORTH_SAYING_S, TimeLeft, in_words
from detection.experiment.jobs import Job
from detection.experiment.run import ExperimentListener


class ExperimentProgress(RunProgress, ExperimentListener):
    """Shows jobs done, their scores and the time left. Use as a context manager."""

    def __init__(self, console: Console):
        super().__init__(console)
        self._steps_bar: Progress | None = None
        self._steps_task: TaskID | None = None
        self._steps: dict[Job, int] = {}
        self._waiting = 0
        self._time = TimeLeft(0)
        self._is_said = False

    def __enter__(self) -> ExperimentProgress:
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__(None, None, None)
        self._end_bar()

    def on_stage(self, text: str) -> None:
        """Say what begins."""
        self.console.print(text)

    def on_jobs(self, jobs: Sequence[Job], steps: int, finished: int) -> None:
        """Begin with some jobs."""
        super().__exit__(None, None, None)  # painting is over
        self._end_bar()
        if finished:
            self.console.print(f"trainings that are finished already: {finished}")
        self._steps, self._waiting = {}, len(jobs)
        self._time, self._is_said = TimeLeft(steps), False
        if jobs:
            self.console.print(f"trainings to do: {len(jobs)}, {steps} steps in all")
        if jobs and self.console.is_terminal:
            self._steps_bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}"),
                console=self.console,
                transient=True,
            )
            self._steps_task = self._steps_bar.add_task("training", total=steps, left="")
            self._steps_bar.start()

    def on_job_step(self, job: Job, step: int, _loss: float) -> None:
        """Move the bar."""
        self._steps[job] = step
        done = sum(self._steps.values())
        seconds = self._time.after(done)
        left = in_words(seconds) if seconds is not None else ""
        if seconds is not None and seconds >= WORTH_SAYING_S and not self._is_said:
            self._is_said = True
            self.console.print(f"about {left} for these trainings", soft_wrap=True)
        if self._steps_bar is not None and self._steps_task is not None:
            self._steps_bar.update(self._steps_task, completed=done, left=f"{left} left" if left else "")

    def on_job_end(self, job: Job, steps: int, score: float | None) -> None:
        """Print a line for a finished job, above the bar where there is one."""
        self.on_job_step(job, steps, float("nan"))
        self._waiting -= 1
        seconds = self._time.after(sum(self._steps.values()))
        left = f", {in_words(seconds)} left" if seconds is not None else ""
        said = f"mAP {100 * score:.1f}" if score is not None else "trained"
        self.console.print(f"{job.name}: {said}; {self._waiting} to do{left}", soft_wrap=True)

    def _end_bar(self) -> None:
        if self._steps_bar is not None:
            self._steps_bar.stop()
            self._steps_bar = None
