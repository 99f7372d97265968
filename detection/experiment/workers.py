"""Processes that do jobs side by side, each on one thread, so that the numbers do not depend on how many there are."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType

from detection.experiment.jobs import Job, Materials
from generator.errors import BoxpaintError, ModelError

# Seconds between two words of a process about its steps.
_BETWEEN_STEPS_S = 0.5


class JobListener:
    """What the processes tell; override what is of interest."""

    def on_step(self, job: Job, steps: int) -> None:
        """So many steps of a job are trained."""

    def on_job(self, job: Job) -> None:
        """A job is finished and on disk."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Worker:
    process: BaseProcess
    connection: Connection
    job: Job | None = None


class Workers:
    """A fixed number of processes. Use as a context manager; leaving it ends them, jobs in hand included."""

    def __init__(self, count: int, materials: Materials, jobs: Path):
        self._count = count
        self._materials = materials
        self._jobs = jobs
        self._workers: list[_Worker] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.connection.close()
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join()
        self._workers = []

    def run(self, jobs: Iterable[Job], listener: JobListener) -> None:
        """Do jobs; those that another one starts from must be among them, or done. Raises what a job raised.

        After an error, or an interrupt, what is finished is on disk, and a training goes on from its checkpoint.
        """
        waiting = list(jobs)
        pending = set(waiting)
        self._start(min(self._count, len(waiting)))
        while pending:
            for worker in self._workers:
                ready = next((job for job in waiting if job.start not in pending), None)
                if worker.job is None and ready is not None:
                    waiting.remove(ready)
                    worker.job = ready
                    worker.connection.send(ready)
            for connection in wait([worker.connection for worker in self._workers if worker.job is not None]):
                worker = next(each for each in self._workers if each.connection is connection)
                job = worker.job
                message = self._receive(worker)
                if job is None:
                    continue
                if isinstance(message, int):
                    listener.on_step(job, message)
                    continue
                worker.job = None
                if message is not None:
                    raise message
                pending.remove(job)
                listener.on_job(job)

    def _start(self, count: int) -> None:
        # A forked child would inherit torch's threads in an unknown state.
        context = multiprocessing.get_context("spawn")
        while len(self._workers) < count:
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, self._materials, self._jobs))
            with _deaf_to_interrupts():
                process.start()
            theirs.close()
            self._workers.append(_Worker(process=process, connection=ours))

    def _receive(self, worker: _Worker) -> int | BaseException | None:
        try:
            message: int | BaseException | None = worker.connection.recv()
        except (EOFError, ConnectionResetError):  # the second: it ended before it took what was sent
            worker.process.join()
            name = worker.job.name if worker.job else "a process"
            code = worker.process.exitcode
            advice = "memory may have run out: try fewer workers; the same command goes on"
            raise ModelError(f"{name}: its process ended by itself (exit code {code}); {advice}") from None
        return message


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C for the moment in which a process starts; what is ignored stays so in the new process.

    Ctrl-C reaches the whole group, and the parent decides what it means.
    """
    if threading.current_thread() is not threading.main_thread():  # none reaches another thread
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(connection: Connection, materials: Materials, jobs: Path) -> None:
    """Life of a process: take a job, do it, say how it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Libraries read these when they are imported.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    import cv2
    import torch

    from detection.experiment.training import run_job

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    while True:
        try:
            job: Job = connection.recv()
        except (EOFError, OSError):  # the parent is gone
            return
        try:
            run_job(job, materials, jobs, _speaker(connection))
        except (BrokenPipeError, ConnectionResetError):
            return
        except BoxpaintError as error:
            connection.send(BoxpaintError(f"{job.name}: {error}"))
        except Exception:
            # Of a bug the whole story is wanted, which the error itself would not carry through the pipe.
            connection.send(RuntimeError(f"in the job {job.name}:\n{traceback.format_exc()}"))
        else:
            connection.send(None)


def _speaker(connection: Connection) -> Callable[[int], None]:
    """Send numbers of steps, now and then."""
    last = 0.0

    def say(steps: int) -> None:
        nonlocal last
        if time.monotonic() - last > _BETWEEN_STEPS_S:
            last = time.monotonic()
            connection.send(steps)

    return say
