"""How many threads libraries compute with, and how these wait for each other: read when a library is imported."""

from __future__ import annotations

import os

import psutil

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
