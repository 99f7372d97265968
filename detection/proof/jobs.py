"""Jobs that are listed, done side by side, each in a folder of its own, and not done again.

A comparison gives its `Job` (one training of one arm), the step that does a job and leaves it on disk, and a listener;
what is finished is recognised by its folder. After a stop the same call goes on: a training from its checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from generator.foundation.errors import StorageError
from generator.foundation.processes import JobListener, NamedJob, Workers
from generator.foundation.storage import atomic_writer, make_folder, remove_leftovers, translate_os_errors, write_json


class StartedJob(NamedJob, Protocol):
    """One training; its name is unique among the jobs."""

    @property
    def start(self) -> Any:
        """The job whose weights it goes on from; None where it begins with fresh ones."""


J = TypeVar("J", bound=StartedJob)


class ProofListener(Generic[J]):
    """What trainings tell; override what is of interest. An error raised here stops them, and they can go on later."""

    def on_stage(self, text: str) -> None:
        """Something other than training begins."""

    def on_jobs(self, jobs: Sequence[J], steps: int, finished: int) -> None:
        """These jobs are to be done, of so many steps in all; `finished` others are on disk."""

    def on_job_step(self, job: J, step: int, loss: float) -> None:
        """Step `step` of a job is trained; not all of them are told."""

    def on_job_end(self, job: J, steps: int, score: float | None) -> None:
        """A job of so many steps is finished and kept on disk; `score` on the test pictures, None where it has none."""


def run_jobs(
    jobs: Sequence[J],
    workers: Workers[J],
    *,
    is_finished: Callable[[J], bool],
    steps_of: Callable[[J], int],
    listener: ProofListener[J],
) -> None:
    """Do those that are not on disk yet, and what they start from, in `workers` of one thread each, so that numbers do
    not depend on how many there are.

    What does a job says (step, loss) while it trains, and returns (steps, score). Raises what a job raised.
    """
    waiting = [job for job in jobs if not is_finished(job)]
    todo = [job for job in with_starts(waiting) if not is_finished(job)]
    listener.on_jobs(todo, sum(map(steps_of, todo)), len(jobs) - len(waiting))
    workers.run(todo, _Relay(listener))


class _Relay(JobListener[J]):
    def __init__(self, listener: ProofListener[J]):
        self._listener = listener

    def on_word(self, job: J, word: tuple[int, float]) -> None:
        self._listener.on_job_step(job, *word)

    def on_job(self, job: J, result: tuple[int, float | None], /) -> None:
        self._listener.on_job_end(job, *result)


def with_starts(jobs: Iterable[J]) -> list[J]:
    """All jobs and those that they start from, each once, those that others wait for first."""
    wanted = list(jobs)
    starts = [job.start for job in wanted if job.start is not None]
    return list(dict.fromkeys([*starts, *wanted]))


@dataclass(frozen=True, slots=True)
class JobFolder:
    """What a job leaves on disk, each file whole or absent. `last` is written last: with it the job is finished."""

    path: Path
    last: str

    @property
    def is_trained(self) -> bool:
        """Whether the last file is there."""
        return (self.path / self.last).is_file()

    def begin(self) -> Path:
        """Make the folder, and clear up after a killed process. Raises StorageError."""
        remove_leftovers(make_folder(self.path))
        return self.path

    def read(self, name: str | None = None) -> Any:
        """Read a JSON file, the last one where none is named. Raises StorageError when it is damaged."""
        path = self.path / (name or self.last)
        with translate_os_errors(path):
            try:
                return json.loads(path.read_bytes())
            except ValueError:
                raise self.damaged(path.name) from None

    def write(self, content: Any, name: str | None = None, *, indent: int | None = None) -> None:
        """Write a JSON file, the last one where none is named. Raises StorageError."""
        write_json(make_folder(self.path) / (name or self.last), content, indent=indent)

    def read_array(self, name: str) -> np.ndarray:
        """Read an array. Raises StorageError when it is damaged."""
        path = self.path / name
        with translate_os_errors(path):
            try:
                return np.asarray(np.load(path, allow_pickle=False))
            except (ValueError, EOFError):
                raise self.damaged(name) from None

    def write_array(self, name: str, array: np.ndarray) -> None:
        """Keep an array as .npy. Raises StorageError."""
        with atomic_writer(self.path / name) as stream:
            np.save(stream, array, allow_pickle=False)

    def damaged(self, name: str) -> StorageError:
        """Say that a file is not what was written there, and what to do."""
        path = self.path / name
        return StorageError(f"{path} is damaged; remove the folder {self.path}, and the same command makes it again")
