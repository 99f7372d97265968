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
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from generator.errors import BoxpaintError, ModelError

# Seconds between two words of a process about how far it is.
_BETWEEN_WORDS_S = 0.5
# Libraries read these when they are imported.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class NamedJob(Protocol):
    """What can be done side by side; it must be hashable, and travel to another process."""

    @property
    def name(self) -> str:
        """For messages."""


Job = TypeVar("Job", bound=NamedJob)
Say = Callable[[Any], None]
"""What a job tells while it runs; most of it is dropped, so that telling costs nothing."""


class JobListener(Generic[Job]):
    """What the processes tell; override what is of interest."""

    def on_word(self, job: Job, word: Any) -> None:
        """A job has said this, such as how many of its steps are trained."""

    def on_job(self, job: Job) -> None:
        """A job is finished and on disk."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Worker(Generic[Job]):
    process: BaseProcess
    connection: Connection
    job: Job | None = None


class Workers(Generic[Job]):
    """A fixed number of processes. Use as a context manager; leaving it ends them, jobs in hand included.

    `do` does a job and leaves it on disk; it is sent to each process once, with all that it holds. `waits_for` says
    which other job must be done before one.
    """

    def __init__(
        self,
        count: int,
        do: Callable[[Job, Say], None],
        *,
        waits_for: Callable[[Job], Job | None] = lambda _: None,
    ):
        self._count = count
        self._do = do
        self._waits_for = waits_for
        self._workers: list[_Worker[Job]] = []

    def __enter__(self) -> Workers[Job]:
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

    def run(self, jobs: Iterable[Job], listener: JobListener[Job]) -> None:
        """Do jobs; those that another one waits for must be among them, or done. Raises what a job raised.

        After an error, or an interrupt, what is finished is on disk, and a training goes on from its checkpoint.
        """
        waiting = list(jobs)
        pending = set(waiting)
        self._start(min(self._count, len(waiting)))
        while pending:
            for worker in self._workers:
                ready = next((job for job in waiting if self._waits_for(job) not in pending), None)
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
                if not isinstance(message, _End):
                    listener.on_word(job, message)
                    continue
                worker.job = None
                if message.error is not None:
                    raise message.error
                pending.remove(job)
                listener.on_job(job)

    def _start(self, count: int) -> None:
        # A forked child would inherit torch's threads in an unknown state.
        context = multiprocessing.get_context("spawn")
        while len(self._workers) < count:
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, self._do))
            with _one_thread(), _deaf_to_interrupts():
                process.start()
            theirs.close()
            self._workers.append(_Worker(process=process, connection=ours))

    def _receive(self, worker: _Worker[Job]) -> Any:
        try:
            return worker.connection.recv()
        except (EOFError, ConnectionResetError):  # the second: it ended before it took what was sent
            worker.process.join()
            name = worker.job.name if worker.job else "a process"
            code = worker.process.exitcode
            advice = "memory may have run out: try fewer workers; the same command goes on"
            raise ModelError(f"{name}: its process ended by itself (exit code {code}); {advice}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """The last word about a job."""

    error: Exception | None = None


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Give processes that start now one thread for each library: jobs beside each other would fight for the cores."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


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


def _work(connection: Connection, do: Callable[[Any, Say], None]) -> None:
    """Life of a process: take a job, do it, say how it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    while True:
        try:
            job: NamedJob = connection.recv()
        except (EOFError, OSError):  # the parent is gone
            return
        try:
            do(job, _speaker(connection))
        except (BrokenPipeError, ConnectionResetError):
            return
        except BoxpaintError as error:
            connection.send(_End(error=BoxpaintError(f"{job.name}: {error}")))
        except Exception:
            # Of a bug the whole story is wanted, which the error itself would not carry through the pipe.
            connection.send(_End(error=RuntimeError(f"in the job {job.name}:\n{traceback.format_exc()}")))
        else:
            connection.send(_End())


def _speaker(connection: Connection) -> Say:
    """Send what a job says, now and then."""
    last = 0.0

    def say(word: Any) -> None:
        nonlocal last
        if time.monotonic() - last > _BETWEEN_WORDS_S:
            last = time.monotonic()
            connection.send(word)

    return say
