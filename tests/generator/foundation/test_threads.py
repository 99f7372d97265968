from __future__ import annotations

import os

import psutil
import pytest

from generator.foundation.threads import CORES, count_cores, leave_room

NAMES = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", CORES)


@pytest.mark.parametrize(("cores", "threads"), [(1, "1"), (2, "1"), (5, "2"), (16, "8")])
def test_half_of_the_cores_compute(monkeypatch: pytest.MonkeyPatch, cores: int, threads: str) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "")  # so that what is set below is put back
        monkeypatch.delenv(name)
    monkeypatch.setattr(psutil, "cpu_count", lambda **_: cores)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    leave_room()
    assert [os.environ[name] for name in NAMES] == [threads, "PASSIVE", "2000", str(cores)]
    assert count_cores(int(threads)) == cores


def test_what_the_user_says_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(NAMES, ("7", "ACTIVE", "1", ""), strict=True):
        monkeypatch.setenv(name, value)
    leave_room()
    assert [os.environ[name] for name in NAMES] == ["7", "ACTIVE", "1", ""]
    assert count_cores(7) == 7
