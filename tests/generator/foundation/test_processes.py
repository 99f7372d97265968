"""Processes that do jobs: order, words, errors, and the end of a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import psutil
import pytest

from generator.foundation.errors import BoxpaintError, ModelError
from generator.foundation.processes import CORES, JobListener, Workers, count_cores, leave_room
from generator.foundation.stopping import StopRequest

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Errand:
    name: str
    waits_for: Errand | None = None


class Diary(JobListener[Errand]):
    def __init__(self) -> None:
        self.words: list[tuple[str, Any]] = []
        self.done: list[str] = []
        self.results: list[Any] = []
        self.losses: list[str] = []

    def on_word(self, job: Errand, word: Any) -> None:
        self.words.append((job.name, word))

    def on_job(self, job: Errand, result: Any, /) -> None:
        self.done.append(job.name)
        self.results.append(result)

    def on_loss(self, reason: str) -> None:
        self.losses.append(reason)


def write(job: Errand, say: Callable[[Any], None], *, folder: Path) -> None:
    """Leave a file; the one that is waited for must be there."""
    say(("begun", os.environ["OMP_NUM_THREADS"]))
    if job.waits_for is not None and not (folder / job.waits_for.name).exists():
        raise RuntimeError("too early")
    time.sleep(0.05)
    (folder / job.name).write_text(str(os.getpid()))


def fail(job: Errand, say: Callable[[Any], None]) -> None:
    """Go wrong in the way that the job is called."""
    if job.name == "user":
        raise BoxpaintError("no such file")
    if job.name == "bug":
        raise ZeroDivisionError("a bug")
    os._exit(3)


def fail_with(job: Errand, say: Callable[[Any], None], *, load: bytes) -> None:
    """Go wrong, and be large."""
    fail(job, say)


def test_each_job_is_done_once_after_those_that_it_waits_for(tmp_path: Path) -> None:
    first = Errand("first")
    jobs = [*(Errand(f"then{number}", waits_for=first) for number in range(3)), first, Errand("other")]
    diary = Diary()
    with Workers(2, partial(write, folder=tmp_path), waits_for=attrgetter("waits_for")) as workers:
        workers.run(jobs, diary)
        workers.run([Errand("later")], diary)
    assert sorted(diary.done) == ["first", "later", "other", "then0", "then1", "then2"]
    assert diary.done.index("first") < min(diary.done.index(f"then{number}") for number in range(3))
    assert dict(diary.words) == dict.fromkeys(diary.done, ("begun", "1"))
    assert len({path.read_text() for path in tmp_path.iterdir()}) == 2


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("user", BoxpaintError, "user: no such file"),
        ("bug", RuntimeError, r"(?s)in the job bug:.*ZeroDivisionError: a bug"),
        ("gone", ModelError, r"gone: its process ended by itself \(exit code 3\); memory may have run out"),
    ],
)
def test_what_goes_wrong_is_said(name: str, kind: type[Exception], words: str) -> None:
    diary = Diary()
    with pytest.raises(kind, match=words), Workers(1, fail) as workers:
        workers.run([Errand(name)], diary)
    assert diary.done == []


def test_the_environment_of_the_parent_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS")
    with Workers(1, partial(write, folder=tmp_path)) as workers:
        workers.run([Errand("one")], Diary())
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def say_where(job: Errand, say: Callable[[Any], None]) -> tuple[str, str]:
    return os.environ["OMP_NUM_THREADS"], os.environ["PLACE"]


def test_each_process_has_its_own_environment_and_results_come_back() -> None:
    diary = Diary()
    places: list[dict[str, str]] = [{"PLACE": "here"}, {"PLACE": "there"}]
    with Workers(2, say_where, threads=3, environments=places) as workers:
        workers.run([Errand("a"), Errand("b")], diary)
    assert sorted(diary.results) == [("3", "here"), ("3", "there")]


def die_once(job: Errand, say: Callable[[Any], None], *, folder: Path) -> str:
    mark = folder / job.name
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def test_a_lost_process_is_replaced_and_its_job_done_again(tmp_path: Path) -> None:
    diary = Diary()
    with Workers(1, partial(die_once, folder=tmp_path), max_losses=1) as workers:
        assert workers.run([Errand("a"), Errand("b")], diary)
    assert diary.results == ["done", "done"]
    assert diary.losses == [f"{name}: its process ended by itself (killed by SIGKILL)" for name in "ab"]


def test_a_job_that_loses_every_process_is_an_error() -> None:
    diary = Diary()
    losing = Workers(1, fail, max_losses=2)
    with pytest.raises(ModelError, match=r"gone: its process ended by itself \(exit code 3\)"), losing as workers:
        workers.run([Errand("gone")], diary)
    assert len(diary.losses) == 2


def test_a_process_that_cannot_even_start_is_an_error_too() -> None:
    """It has read nothing of what it was sent, which is more than a pipe holds."""
    do = partial(fail_with, load=bytes(1_000_000))
    with (
        pytest.raises(ModelError, match="first: its process ended by itself"),
        Workers(1, do, environments=[{"PYTHONHOME": os.devnull}]) as workers,
    ):
        workers.run([Errand("first")], Diary())


def test_a_stop_ends_what_is_in_hand_and_hands_out_no_more(tmp_path: Path) -> None:
    diary = Diary()
    with Workers(1, partial(write, folder=tmp_path)) as workers:
        assert not workers.run([Errand(name) for name in "abc"], diary, should_stop=lambda: len(diary.done) == 1)
        assert diary.done == ["a"]
        # What is done when the wish to stop comes was not stopped.
        assert workers.run([Errand("d")], diary, should_stop=lambda: "d" in diary.done)


def sleep(job: Errand, say: Callable[[Any], None]) -> None:
    Path(job.name).write_text(str(os.getpid()))
    time.sleep(600)


def test_processes_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    script = (
        "from tests.generator.foundation import test_processes as t\n"
        "if __name__ == '__main__':\n"
        f"    with t.Workers(1, t.sleep) as w: w.run([t.Errand({str(mark)!r})], t.Diary())\n"
    )
    path = tmp_path / "parent.py"
    path.write_text(script)
    parent = subprocess.Popen([sys.executable, str(path)], env={**os.environ, "PYTHONPATH": str(Path.cwd())})
    deadline = time.monotonic() + 120
    while not (mark.exists() and mark.read_text()):
        assert parent.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    child = psutil.Process(int(mark.read_text()))
    parent.kill()
    parent.wait()
    child.wait(timeout=30)
    assert not child.is_running()


def test_a_script_that_calls_without_a_guard_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "from functools import partial\n"
        "from pathlib import Path\n"
        "from generator.foundation.processes import JobListener, Workers\n"
        "from generator.foundation.run_folder import working_in\n"
        "from tests.generator.foundation.test_processes import Errand, write\n"
        "with working_in(Path('out')), Workers(1, partial(write, folder=Path('out'))) as workers:\n"
        "    workers.run([Errand('one')], JobListener())\n"
    )
    repository = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": repository},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "put the calls below if __name__ == '__main__'" in done.stderr
    assert "one: its process ended by itself (exit code 1); what it said of that stands above" in done.stderr


def train(job: Errand, say: Callable[[Any], None], *, folder: Path) -> None:
    """Work until a signal comes, and leave a file then, as a training does."""
    stop = StopRequest("")
    with stop.listening():
        say("begun")
        os.kill(os.getpid(), signal.SIGINT)  # reaches the whole group, and is the parent's affair
        while not stop():
            time.sleep(0.01)
        time.sleep(0.6)  # of words that follow each other closely only the first is sent
        say("stepped")  # nobody listens any more
        (folder / job.name).touch()
        stop.check()


def test_what_is_stopped_keeps_its_work(tmp_path: Path) -> None:
    class Interrupting(Diary):
        def on_word(self, job: Errand, word: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Workers[Errand](1, partial(train, folder=tmp_path)) as workers:
        workers.run([Errand("a")], Interrupting())
    assert (tmp_path / "a").exists()


VARIABLES = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", CORES)


@pytest.mark.parametrize(("cores", "threads"), [(1, "1"), (2, "1"), (5, "2"), (16, "8")])
def test_half_of_the_cores_compute(monkeypatch: pytest.MonkeyPatch, cores: int, threads: str) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that what is set below is put back
        monkeypatch.delenv(name)
    monkeypatch.setattr(psutil, "cpu_count", lambda **_: cores)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    leave_room()
    assert [os.environ[name] for name in VARIABLES] == [threads, "PASSIVE", "2000", str(cores)]
    assert count_cores(int(threads)) == cores


def test_what_the_user_says_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(VARIABLES, ("7", "ACTIVE", "1", ""), strict=True):
        monkeypatch.setenv(name, value)
    leave_room()
    assert [os.environ[name] for name in VARIABLES] == ["7", "ACTIVE", "1", ""]
    assert count_cores(7) == 7
