"""What jobs leave on disk, and what all of them found: cells of a table, arm by number of real pictures.

jobs/<name>-<digest>/    each file whole or absent
    job.json                 what it is, everything that decided it, scores, losses, times; written last: finished
    detections.json          what was found on each test picture
    resampled-<count>.npy    AP of each category on each drawing of test pictures
    model/                   weights, where another job starts from them or they are to be kept
    pasted.jpg               some pictures of the arms that paste
    checkpoint/              while it trains
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from detection.datasets.types import Detections
from detection.experiment.config import Arm, ExperimentConfig
from detection.experiment.jobs import Job, Materials
from detection.proof.jobs import JobFolder
from detection.proof.statistics import Interval, difference, spread

SCHEMA_VERSION = 1
JOB, DETECTIONS, MODEL, CHECKPOINT, PASTED = "job.json", "detections.json", "model", "checkpoint", "pasted.jpg"
MAX_DETECTIONS = 100


class TrialFolder(JobFolder):
    """The folder of one job of an experiment."""

    @classmethod
    def of(cls, jobs: Path, job: Job, materials: Materials) -> TrialFolder:
        """Name the folder of a job among those of all jobs; makes nothing."""
        return cls(jobs / f"{job.name}-{materials.digest(job)}", JOB)

    def is_finished(self, bootstrap: int) -> bool:
        """Whether nothing is left to do; of a pretraining, no detections are wanted."""
        if not self.is_trained:
            return False
        return self.read()["scores"] is None or (self.path / _resampled(bootstrap)).is_file()

    def read_detections(self) -> list[Detections]:
        """Read what was found in each test picture. Raises StorageError when it is damaged."""
        return [
            Detections(
                boxes_xyxy=np.array(item["boxes_xyxy"], np.float32).reshape(-1, 4),
                labels=np.array(item["labels"], np.int64),
                scores=np.array(item["scores"], np.float32),
            )
            for item in self.read(DETECTIONS)
        ]

    def write_detections(self, found: Sequence[Detections]) -> list[Detections]:
        """Write the best of what was found in each test picture; returns it as it is read back."""
        # float32 as text and back is the same float32
        content = [
            {
                "boxes_xyxy": item.boxes_xyxy[:MAX_DETECTIONS].astype(float).tolist(),
                "labels": item.labels[:MAX_DETECTIONS].tolist(),
                "scores": item.scores[:MAX_DETECTIONS].astype(float).tolist(),
            }
            for item in found
        ]
        self.write(content, DETECTIONS)
        return self.read_detections()

    def read_resampled(self, bootstrap: int) -> np.ndarray:
        """AP of each drawing and category, (B, K) float64. Raises StorageError when it is damaged."""
        return self.read_array(_resampled(bootstrap))

    def write_resampled(self, ap: np.ndarray) -> None:
        """Keep AP of each drawing and category, (B, K) float64."""
        self.write_array(_resampled(len(ap)), ap)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JobResult:
    """A finished job that was scored: its folder and its report (job.json), and that of the job that it starts from."""

    job: Job
    folder: TrialFolder
    report: dict[str, Any]
    start_report: dict[str, Any] | None

    @property
    def scores(self) -> dict[str, Any]:
        """Figures of the whole test set, and of each category under `categories`. None is: nothing to find."""
        return dict(self.report["scores"])

    @property
    def seconds(self) -> dict[str, float]:
        """Of one thread, for the job and for the one that it starts from, by their names."""
        found = {self.job.name: self.report}
        if self.job.start is not None and self.start_report is not None:
            found[self.job.start.name] = self.start_report
        return {name: float(sum(report["seconds"].values())) for name, report in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """All trainings of one arm with one number of real pictures.

    `number`: also those that its own painted pictures were made from. `measured`: real pictures that the boxes of
    painted ones were scaled on. `ap`, `ap50`: (S,) of each subset on the test pictures, in [0, 1]; `ap_of_category`:
    (S, K); `resampled`: (S, B, K), AP of each category on each drawing of the test pictures; NaN where there is nothing
    to find.
    """

    arm: Arm
    number: int
    painted: int
    measured: int = 0
    ap: np.ndarray
    ap50: np.ndarray
    ap_of_category: np.ndarray
    resampled: np.ndarray

    @property
    def mean(self) -> float:
        """Mean AP over the subsets."""
        return float(self.ap.mean())

    @property
    def spread(self) -> float:
        """Standard deviation of the AP over the subsets; NaN for a single one."""
        return spread(self.ap)

    @property
    def drawn(self) -> np.ndarray:
        """AP over categories and subsets on each drawing, (B,); a drawing without any object counts as 0."""
        ap = self.resampled.mean(axis=0)
        known = ~np.isnan(ap)
        return np.asarray(np.where(known, ap, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """How much better one arm is than another at one number of real pictures: of all categories, and of each."""

    arm: Arm
    baseline: Arm
    number: int
    whole: Interval
    of_category: tuple[Interval, ...]


def read_results(jobs: Iterable[Job], materials: Materials, folder: Path) -> list[JobResult]:
    """Read finished jobs that were scored. Raises StorageError when one is damaged."""

    def read(job: Job) -> tuple[TrialFolder, dict[str, Any]]:
        of_job = TrialFolder.of(folder, job, materials)
        report = of_job.read()
        if not {"scores", "losses", "seconds"} <= report.keys():
            raise of_job.damaged(JOB)
        return of_job, report

    results = []
    for job in jobs:
        of_job, report = read(job)
        start = read(job.start)[1] if job.start is not None else None
        if report["scores"] is not None:
            results.append(JobResult(job=job, folder=of_job, report=report, start_report=start))
    return results


def cells_of(results: Iterable[JobResult], config: ExperimentConfig) -> list[Cell]:
    """Put the trainings of one arm with equally many pictures together, in the order in which they come."""
    groups: dict[tuple[Arm, int, int], list[JobResult]] = {}
    for result in results:
        if result.job.kind != "pretrain":
            groups.setdefault((result.job.arm, result.job.known, result.job.painted), []).append(result)
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
                # None becomes NaN
                ap=np.array([result.scores["ap"] for result in ordered], float),
                ap50=np.array([result.scores["ap50"] for result in ordered], float),
                ap_of_category=np.array(of_category, float),
                resampled=np.stack([result.folder.read_resampled(config.bootstrap) for result in ordered]),
            )
        )
    return cells


def measured_on(job: Job, config: ExperimentConfig) -> int:
    """Real pictures that the boxes of a job's painted ones were scaled on; 0 where they stay as they came."""
    return job.all_measured if config.synthetic.boxes == "calibrated" else 0


def paired_arms(cells: Iterable[Cell]) -> list[tuple[Cell, Cell]]:
    """Arms with painted pictures of their own, beside the arm that differs in the painter, or in the scenes, alone.

    An arm that knows nothing real stands beside those at every number.
    """
    found = {(cell.arm, cell.number): cell for cell in cells}
    pairs = []
    for (arm, number), cell in found.items():
        simpler = []
        if arm.painter == "tuned":
            simpler.append(arm.model_copy(update={"painter": "zero-shot"}))
        if arm.scenes == "photos":
            simpler.append(arm.model_copy(update={"scenes": "painted"}))
        for other in simpler:
            beside = found.get((other, number)) or found.get((other, 0))
            if beside is not None:
                pairs.append((cell, beside))
    return sorted(pairs, key=lambda pair: (pair[0].number, pair[0].arm.place, pair[1].arm.place))


def gain_of(cell: Cell, baseline: Cell) -> Gain:
    """Compare an arm with another one, paired over test pictures and subsets."""
    means, other_means = cell.resampled.mean(axis=0), baseline.resampled.mean(axis=0)
    return Gain(
        arm=cell.arm,
        baseline=baseline.arm,
        number=cell.number,
        whole=difference(cell.ap, baseline.ap, cell.drawn, baseline.drawn),
        of_category=tuple(
            difference(cell.ap_of_category[:, k], baseline.ap_of_category[:, k], means[:, k], other_means[:, k])
            for k in range(cell.ap_of_category.shape[1])
        ),
    )


def share_of(cell: Cell, whole: Cell) -> Interval | None:
    """AP of one arm as a share of another's, with its interval; None where the other has found nothing at all.

    The error of a / b is that of a / b - (a' / b') b / b' at the values a', b' that were found (the delta method).
    """
    if whole.mean == 0:
        return None
    share, scale = cell.mean / whole.mean, 1 / whole.mean
    error = difference(cell.ap * scale, whole.ap * share * scale, cell.drawn * scale, whole.drawn * share * scale)
    return replace(error, value=share)


def best_of(cells: Sequence[Cell]) -> Cell:
    """The arm with the highest mean: of baselines, the hardest to beat."""
    return max(cells, key=lambda cell: cell.mean)


def _resampled(bootstrap: int) -> str:
    return f"resampled-{bootstrap}.npy"
