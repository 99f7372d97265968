"""A whole experiment: pictures, jobs, value curve, card. The same call again goes on where the last one stopped.

experiment.json          the settings that were declared before there were scores
real/ painted/           data sets that were imported or painted here
jobs/<name>-<digest>/    one training each, see job_folder.py; other settings make other folders beside them
card.md card.csv summary.csv card.png failures.jpg
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from pathlib import Path

from detection.experiment.config import (
    BASELINE_ARMS,
    COMBINED_ARMS,
    PAINTED_ARMS,
    Arm,
    ExperimentConfig,
    ValueCurveConfig,
)
from detection.experiment.data import gather
from detection.experiment.declared import EXPERIMENT, declare, scored_folders
from detection.experiment.job_folder import JobFolder
from detection.experiment.jobs import Job, Materials, plan_grid, plan_point, with_starts
from detection.experiment.results import JobResult, cells_of, find_cell, read_results, seconds_of
from detection.experiment.statistics import Cell, Gain, best_of, gain_of, share_of
from detection.experiment.training import run_job
from detection.experiment.value_curve import ValueCurve, curve_of
from detection.intervals import Interval
from generator.foundation.errors import RunMismatchError
from generator.foundation.processes import JobListener, Workers
from generator.foundation.storage import locked, translate_os_errors
from generator.run import Listener

_JOBS = "jobs"


class ExperimentListener(Listener):
    """What an experiment tells, next to what painting tells; override what is of interest."""

    def on_stage(self, text: str) -> None:
        """Something begins."""

    def on_jobs(self, jobs: Sequence[Job], steps: int, finished: int) -> None:
        """These jobs are to be done, of so many steps in all; `finished` others are on disk."""

    def on_job_step(self, job: Job, steps: int) -> None:
        """So many steps of a job are trained."""

    def on_job_end(self, job: Job, steps: int, ap: float | None) -> None:
        """A job of so many steps is finished; `ap` is its score, None of a pretraining."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """All that an experiment found, for the card."""

    materials: Materials
    results: tuple[JobResult, ...]
    cells: tuple[Cell, ...]
    """Of the grid of arms and numbers of real pictures."""
    gains: tuple[Gain, ...]
    """Of every arm with painted and real pictures, at every number, over the best arm without painted ones there."""
    shares: dict[Arm, Interval]
    """mAP of the arms on painted pictures alone, as a share of that of all real ones."""
    curve: ValueCurve | None
    changes: tuple[str, ...] = ()
    """What the file says otherwise than it did before there were scores."""
    not_shown: int = 0
    """Scored trainings in the folder that are none of `results`."""

    @property
    def seconds(self) -> float:
        """Of one thread, of all jobs together, pretrainings included, each once, whenever they ran."""
        reports = {result.job.name: result.report for result in self.results}
        for result in self.results:
            if result.job.start is not None and result.start_report is not None:
                reports[result.job.start.name] = result.start_report
        return sum(map(seconds_of, reports.values()))


def run_experiment(config: ExperimentConfig, out: Path, *, listener: ExperimentListener | None = None) -> Outcome:
    """Do all that a config asks for and return what was found.

    What is finished is not done again. The same config and pictures on the same machine give the same numbers, with
    any number of workers and after any number of stops. Raises BoxpaintError; KeyboardInterrupt leaves what is
    finished.
    """
    listener = listener or ExperimentListener()
    _check_is_ours(out)
    with locked(out):
        changes = declare(config, out, out / _JOBS)
        materials = gather(config, out, listener=listener)
        for remark in materials.remarks:
            listener.on_stage(remark)
        grid = plan_grid(config, len(materials.train), len(materials.painted or ()))
        do = partial(run_job, materials=materials, jobs=out / _JOBS)
        with Workers(config.workers, do, waits_for=attrgetter("start")) as workers:
            _do(grid, materials, out / _JOBS, workers, listener)
            curve_jobs = list(grid)
            curve = None
            if config.value_curve is not None:
                curve, curve_jobs = _trace_curve(config.value_curve, materials, out / _JOBS, workers, listener)
        results = read_results(grid, materials, out / _JOBS)
        extra = read_results([job for job in curve_jobs if job not in grid], materials, out / _JOBS)
        outcome = summarise(materials, results, extra, curve)
        shown = {result.folder.path.name for result in outcome.results}
        return replace(outcome, changes=changes, not_shown=len(scored_folders(out / _JOBS, shown=shown)))


def is_begun(out: Path) -> bool:
    """Whether pictures or trainings are there that the same experiment goes on with."""
    return any(path.is_dir() for path in out.glob("*"))


def summarise(
    materials: Materials, results: Sequence[JobResult], extra: Sequence[JobResult], curve: ValueCurve | None
) -> Outcome:
    """Compare the arms. `results` are those of the grid, `extra` further ones of the value curve."""
    config = materials.config
    cells = cells_of(results, config)
    gains = []
    for number in sorted({cell.number for cell in cells if cell.number}):
        baselines = [cell for arm in BASELINE_ARMS if (cell := find_cell(cells, arm, number))]
        for arm in COMBINED_ARMS:
            cell = find_cell(cells, arm, number)
            if cell is not None and baselines:
                gains.append(gain_of(cell, best_of(baselines)))
    whole = find_cell(cells, "real", len(materials.train))
    alone = {arm: cell for arm in PAINTED_ARMS if (cell := find_cell(cells, arm, 0))}
    shares = {arm: share_of(cell, whole) for arm, cell in alone.items() if whole}
    return Outcome(
        materials=materials,
        results=(*results, *extra),
        cells=tuple(cells),
        gains=tuple(gains),
        shares={arm: share for arm, share in shares.items() if share},
        curve=curve,
    )


def _trace_curve(
    settings: ValueCurveConfig, materials: Materials, folder: Path, workers: Workers[Job], listener: ExperimentListener
) -> tuple[ValueCurve, list[Job]]:
    """Train point after point until a step brings nothing that shows."""
    config = materials.config
    jobs: list[Job] = []
    cells: list[Cell] = []
    curve = curve_of(cells, settings)
    for painted in settings.numbers:
        listener.on_stage(f"value curve: {painted} painted images")
        point = plan_point(config, settings, painted, len(materials.train))
        _do(point, materials, folder, workers, listener)
        jobs += point
        cells.append(best_of(cells_of(read_results(point, materials, folder), config)))
        curve = curve_of(cells, settings)
        if curve.is_over:
            break
    return curve, jobs


def _do(
    jobs: Sequence[Job], materials: Materials, folder: Path, workers: Workers[Job], listener: ExperimentListener
) -> None:
    """Do those of some jobs that are not on disk yet, and what they start from."""
    bootstrap = materials.config.bootstrap

    def is_finished(job: Job) -> bool:
        return JobFolder.of(folder, job.name, materials.digest(job)).is_finished(bootstrap)

    waiting = [job for job in jobs if not is_finished(job)]
    todo = [job for job in with_starts(waiting) if not is_finished(job)]
    steps = sum(job.settings(materials.config).steps for job in todo)
    listener.on_jobs(todo, steps, len(jobs) - len(waiting))
    workers.run(todo, _Relay(materials, folder, listener))


class _Relay(JobListener[Job]):
    """Passes on what processes tell, with the score of a finished job."""

    def __init__(self, materials: Materials, folder: Path, listener: ExperimentListener):
        self._materials = materials
        self._folder = folder
        self._listener = listener

    def on_word(self, job: Job, word: int) -> None:
        self._listener.on_job_step(job, word)

    def on_job(self, job: Job, _result: None, /) -> None:
        report = JobFolder.of(self._folder, job.name, self._materials.digest(job)).read_report()
        ap = report["scores"]["ap"] if report["scores"] else None
        self._listener.on_job_end(job, len(report["losses"]), ap)


def _check_is_ours(out: Path) -> None:
    """Raise RunMismatchError when the folder holds something else than an experiment."""
    with translate_os_errors(out):
        visible = sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) if out.exists() else []
    if visible and EXPERIMENT not in visible:
        what = ", ".join(visible[:3])
        raise RunMismatchError(f"{out} is not the folder of an experiment: it holds {what}; choose another with --out")
