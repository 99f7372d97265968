"""Processes that do jobs side by side, each on so many threads, so that numbers do not depend on how many there are.

A process that ends by itself (a kill, memory) is replaced, if the caller allows it, and its job done again. Libraries
read their number of threads when they are imported, so this module imports none of them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

import psutil

from generator.foundation.errors import BoxpaintError, ModelError

# Seconds between two words of a process about how far it is.
_BETWEEN_WORDS_S = 0.5
_MEMORY = "memory may have run out: try fewer workers"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
CORES = "BOXPAINT_CORES"
# Threads of OpenMP spin while they wait, for milliseconds by default: beside other work they burn the time that the
# thread which they wait for needs. GNU's is read by PyPI's torch for Linux, the other one elsewhere.
_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "2000"}


def leave_room() -> None:
    """Let this process, and those it starts, compute on half of the cores, and sleep soon where a thread waits.

    A step ends with its slowest thread. With as many threads as cores, whatever else runs holds all of them up; with
    half, they find free cores. The number does not follow the load: it decides the last bits of a training. What
    OMP_NUM_THREADS and its like say already stays. Painting has a process for each core nevertheless: `count_cores`.
    """
    for name, value in _WAITING.items():
        os.environ.setdefault(name, value)
    if "OMP_NUM_THREADS" not in os.environ:
        cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
        if hasattr(os, "sched_getaffinity"):
            cores = min(cores, len(os.sched_getaffinity(0)))
        os.environ[CORES] = str(cores)
        os.environ["OMP_NUM_THREADS"] = str(max(1, cores // 2))


def count_cores(threads: int) -> int:
    """Cores that may be used: those that `leave_room` found, else as many as the `threads` that torch computes with."""
    return int(os.environ.get(CORES) or threads)


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

    def on_job(self, job: Job, result: Any, /) -> None:
        """A job is finished; `result` is what its function returned."""

    def on_loss(self, reason: str) -> None:
        """A process ended by itself; another one does its job again. `reason` names the job."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Worker(Generic[Job]):
    process: BaseProcess
    connection: Connection
    job: Job | None = None


class Workers(Generic[Job]):
    """A fixed number of processes. Use as a context manager; leaving it ends them, jobs in hand included.

    `do` does a job and leaves it on disk; it is sent to each process once, with all that it holds. `waits_for` says
    which other job must be done before one. `environments` are variables for each process beside the number of its
    `threads`; `max_losses` is how often one job may lose its process before that is an error.
    """

    def __init__(
        self,
        count: int,
        do: Callable[[Job, Say], Any],
        *,
        waits_for: Callable[[Job], Job | None] = lambda _: None,
        threads: int = 1,
        environments: Sequence[Mapping[str, str]] = (),
        max_losses: int = 0,
    ):
        self._count = count
        self._do = do
        self._waits_for = waits_for
        self._threads = threads
        self._environments = environments
        self._max_losses = max_losses
        self._losses: Counter[Job] = Counter()
        self._workers: list[_Worker[Job]] = []

    def __enter__(self) -> Workers[Job]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.connection.close()
            worker.process.terminate()  # a training ends after its step, and is kept
        try:
            for worker in self._workers:
                worker.process.join()
        except KeyboardInterrupt:
            for worker in self._workers:
                worker.process.kill()
            raise
        finally:
            self._workers = []

    def run(
        self, jobs: Iterable[Job], listener: JobListener[Job], should_stop: Callable[[], bool] = lambda: False
    ) -> bool:
        """Do jobs; those that another one waits for must be among them, or done. Raises what a job raised.

        After an error, or an interrupt, what is finished is on disk, and a training goes on from its checkpoint. When
        `should_stop`, which is asked after every job, says so, only the jobs in hand are ended. Returns whether all
        jobs were done.
        """
        waiting = deque(jobs)
        pending = set(waiting)
        asked = len(pending)
        count = min(self._count, len(waiting))
        self._workers += [self._start(rank) for rank in range(len(self._workers), count)]
        left_out = False
        while pending:
            if waiting and len(pending) < asked and should_stop():
                pending.difference_update(waiting)
                waiting.clear()
                left_out = True
                continue
            for worker in self._workers:
                ready = next((job for job in waiting if self._waits_for(job) not in pending), None)
                if worker.job is None and ready is not None:
                    waiting.remove(ready)
                    self._hand(worker, ready)
            for connection in wait([worker.connection for worker in self._workers if worker.job is not None]):
                worker = next(each for each in self._workers if each.connection is connection)
                job = worker.job
                if job is not None and self._listen(worker, job, listener):
                    worker.job = None
                    pending.remove(job)
        return not left_out

    def _hand(self, worker: _Worker[Job], job: Job) -> None:
        worker.job = job
        _send(worker.connection, job)

    def _listen(self, worker: _Worker[Job], job: Job, listener: JobListener[Job]) -> bool:
        """Take one message; True when the job is done. Raises what the job raised."""
        try:
            message = worker.connection.recv()
        except (EOFError, ConnectionResetError):  # the second: it ended before it took what was sent
            self._replace(worker, job, listener)
            return False
        if not isinstance(message, _End):
            listener.on_word(job, message)
            return False
        if message.error is not None:
            raise message.error
        listener.on_job(job, message.result)
        return True

    def _replace(self, worker: _Worker[Job], job: Job, listener: JobListener[Job]) -> None:
        worker.process.join()
        reason = f"{job.name}: its process ended by itself ({_how_ended(worker.process.exitcode)})"
        self._losses[job] += 1
        if self._losses[job] > self._max_losses:
            # 1 is what an error of Python's ends with, which was printed.
            why = "what it said of that stands above" if worker.process.exitcode == 1 else _MEMORY
            raise ModelError(f"{reason}; {why}; what is finished is kept")
        listener.on_loss(reason)
        worker.connection.close()
        rank = self._workers.index(worker)
        self._workers[rank] = self._start(rank)
        self._hand(self._workers[rank], job)

    def _start(self, rank: int) -> _Worker[Job]:
        # A forked child would inherit torch's threads in an unknown state.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._threads))
        own = self._environments[rank] if self._environments else {}
        variables = {**dict.fromkeys(_THREADS, str(self._threads)), **own}
        with _variables(variables), _deaf_to_interrupts():
            process.start()
        theirs.close()
        # Not among the arguments: those go through a pipe of which this process holds both ends, and a new one that
        # has ended before it read them would leave us waiting for room in it.
        _send(ours, self._do)
        return _Worker(process=process, connection=ours)


def _how_ended(code: int | None) -> str:
    """Exit code in words: a negative one is the signal that killed it."""
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """The last word about a job."""

    error: Exception | None = None
    result: Any = None


@contextlib.contextmanager
def _variables(variables: Mapping[str, str]) -> Iterator[None]:
    """Give processes that start now these variables of the environment."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
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


def _work(connection: Connection, threads: int) -> None:
    """Life of a process: hear what is done with a job, take one, do it, say how it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        do: Callable[[Any, Say], Any] = connection.recv()  # before the heavy imports: the parent waits for it
    except (EOFError, OSError):  # the parent is gone
        return
    import cv2
    import torch

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    while True:
        try:
            job: NamedJob = connection.recv()
        except (EOFError, OSError):  # the parent is gone
            return
        try:
            result = do(job, _speaker(connection))
        except KeyboardInterrupt:  # the parent has ended it
            return
        except BoxpaintError as error:
            _send(connection, _End(error=BoxpaintError(f"{job.name}: {error}")))
        except Exception:
            # Of a bug the whole story is wanted, which the error itself would not carry through the pipe.
            _send(connection, _End(error=RuntimeError(f"in the job {job.name}:\n{traceback.format_exc()}")))
        else:
            _send(connection, _End(result=result))


def _send(connection: Connection, what: Any) -> None:
    """Send, and ignore that the other side is gone.

    That a process has ended by itself shows when its words are waited for. A parent that no longer listens has asked to
    stop; the job in hand is kept first.
    """
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.send(what)


def _end_with_parent() -> None:
    """Exit when the parent dies, killed too."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _speaker(connection: Connection) -> Say:
    """Send what a job says, now and then."""
    last = 0.0

    def say(word: Any) -> None:
        nonlocal last
        if time.monotonic() - last > _BETWEEN_WORDS_S:
            last = time.monotonic()
            _send(connection, word)

    return say
