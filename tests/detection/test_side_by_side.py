"""Processes that do jobs: order, words, errors, and the end of a process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from detection.side_by_side import JobListener, Workers
from generator.errors import BoxpaintError, ModelError


@dataclass(frozen=True)
class Errand:
    name: str
    waits_for: Errand | None = None


class Diary(JobListener[Errand]):
    def __init__(self) -> None:
        self.words: list[tuple[str, Any]] = []
        self.done: list[str] = []

    def on_word(self, job: Errand, word: Any) -> None:
        self.words.append((job.name, word))

    def on_job(self, job: Errand) -> None:
        self.done.append(job.name)


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
