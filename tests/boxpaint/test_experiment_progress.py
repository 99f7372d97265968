from __future__ import annotations

import io

import pytest
from rich.console import Console

from boxpaint import time_left
from boxpaint.experiment_progress import ExperimentProgress
from detection.experiment.jobs import Job


def test_the_time_left_counts_from_the_first_step_and_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time_left.time, "monotonic", lambda: clock[0])
    stream, job = io.StringIO(), Job(kind="real", number=3, painted=0, subset=0)
    with ExperimentProgress(Console(file=stream, width=100)) as progress:
        progress.on_jobs([job], 100, 0)
        for step in (1, 2, 3, 4, 51):
            clock[0] += 600 if step == 1 else 60 * (step == 51) + 1
            progress.on_job_step(job, step, 0.5)
        progress.on_job_end(job, 51, 0.5)
    said = stream.getvalue().splitlines()
    assert said[0] == "trainings to do: 1, 100 steps in all"
    assert said[1:] == ["about 2 min for these trainings", "real-real3-painted0-seed0: mAP 50.0; 0 to do, 1 min left"]
