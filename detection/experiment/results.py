"""What all the jobs found, as cells of a table: arm by number of real pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detection.experiment.config import Arm, ExperimentConfig
from detection.experiment.job_folder import JobFolder
from detection.experiment.jobs import Job, Materials
from detection.experiment.statistics import Cell
from generator.foundation.errors import StorageError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JobResult:
    """A finished job: its folder, its report (job.json) and its scores by name."""

    job: Job
    folder: JobFolder
    report: dict[str, Any]
    start_report: dict[str, Any] | None
    """Of the job that it starts from, which others may start from, too."""

    @property
    def scores(self) -> dict[str, Any]:
        """Figures of the whole test set, and of each category under `categories`. None is: nothing to find."""
        return dict(self.report["scores"])

    @property
    def seconds(self) -> float:
        """Of one thread, for all its steps: with those of the job that it starts from."""
        return seconds_of(self.report) + (seconds_of(self.start_report) if self.start_report is not None else 0.0)


def read_results(jobs: Iterable[Job], materials: Materials, folder: Path) -> list[JobResult]:
    """Read finished jobs that were scored. Raises StorageError when one is damaged."""
    results = []
    for job in jobs:
        of_job, report = _read(job, materials, folder)
        start = _read(job.start, materials, folder)[1] if job.start is not None else None
        if report["scores"] is not None:
            results.append(JobResult(job=job, folder=of_job, report=report, start_report=start))
    return results


def seconds_of(report: Mapping[str, Any]) -> float:
    """Seconds that a job took, by its report."""
    return float(sum(report["seconds"].values()))


def cells_of(results: Iterable[JobResult], config: ExperimentConfig) -> list[Cell]:
    """Put the trainings of one arm with equally many pictures together, in the order in which they come."""
    groups: dict[tuple[Arm, int, int], list[JobResult]] = {}
    for result in results:
        if result.job.kind != "pretrain":
            groups.setdefault((result.job.kind, result.job.number, result.job.painted), []).append(result)
    cells = []
    for (arm, number, painted), group in groups.items():
        ordered = sorted(group, key=lambda result: result.job.subset)
        of_category = [[result.scores["categories"][name]["ap"] for name in config.categories] for result in ordered]
        cells.append(
            Cell(
                arm=arm,
                number=number,
                painted=painted,
                measured=measured_on(ordered[0].job, config),
                ap=_numbers([result.scores["ap"] for result in ordered]),
                ap50=_numbers([result.scores["ap50"] for result in ordered]),
                ap_of_category=_numbers(of_category),
                resampled=np.stack([result.folder.read_resampled(config.bootstrap) for result in ordered]),
            )
        )
    return cells


def find_cell(cells: Iterable[Cell], arm: Arm, number: int) -> Cell | None:
    """The cell of an arm and number of real pictures; None where there is none."""
    return next((cell for cell in cells if (cell.arm, cell.number) == (arm, number)), None)


def measured_on(job: Job, config: ExperimentConfig) -> int:
    """Real pictures that the boxes of a job's painted ones were scaled on; 0 where they stay as they came."""
    return job.all_measured if config.synthetic.boxes == "calibrated" else 0


def _read(job: Job, materials: Materials, folder: Path) -> tuple[JobFolder, dict[str, Any]]:
    of_job = JobFolder.of(folder, job.name, materials.digest(job))
    report = of_job.read_report()
    if not {"scores", "losses", "seconds"} <= report.keys():
        raise StorageError(f"{of_job.path}: is damaged; remove it, and the same command makes it again")
    return of_job, report


def _numbers(values: Any) -> np.ndarray:
    """To float64; None is NaN."""
    return np.array(values, dtype=float)
