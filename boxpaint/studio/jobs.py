"""Long work of the studio: a boxpaint command in a process of its own, which neither page nor server takes with it.

<workspace>/.boxpaint/<name>.json    the command, its process, and what was there when it began
<workspace>/.boxpaint/<name>.log     what it says
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from boxpaint.scenarios import folder_name_fault
from boxpaint.studio.workspace import Workspace
from generator.foundation.errors import BoxpaintError
from generator.foundation.stopping import SIGNALS, exit_code
from generator.foundation.storage import translate_os_errors, write_json

# How a job ends that was asked to: by itself, or by the signal where it does not listen for that.
STOPPED = (*map(exit_code, SIGNALS), -signal.SIGTERM)
_TAIL_BYTES = 6000
_LONGEST_NAME = 150
# So that one that has ended is not taken for a process of another program with its number.
_SAME_START_S = 2.0
# Children of this server, so that those which have ended are taken leave of.
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


class JobFile(BaseModel):
    """What is kept of a job. `finished`: scenes that were there when it began; `total`: those that are wanted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    arguments: tuple[str, ...]
    out: str
    pid: int
    created: float
    """When the process began, as the system counts it."""
    begun: float
    """The same by the clock, in seconds since 1970."""
    finished: int = 0
    total: int = 0
    stopping: int = 0
    """How often it was asked to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """How a job stands. `code` is what it ended with, None while it runs or where that is not known any more."""

    name: str
    file: JobFile
    running: bool
    code: int | None
    log: str

    @property
    def last_line(self) -> str:
        """What it said last; empty when it has not said anything yet."""
        return next((line for line in reversed(self.log.splitlines()) if line.strip()), "").strip()

    @property
    def outcome(self) -> str:
        """How it came out, once it has ended, in words."""
        if self.code is None:
            return "It has ended."
        if self.code in STOPPED:
            return "It was stopped."
        return "It is finished." if self.code == 0 else f"It ended with an error (exit code {self.code})."


class _Files(NamedTuple):
    state: Path
    log: Path
    lock: Path


def start(
    workspace: Workspace,
    name: str,
    arguments: Sequence[str],
    *,
    out: str = "",
    finished: int = 0,
    total: int = 0,
    module: str = "boxpaint",
) -> JobState:
    """Begin `boxpaint <arguments>` in the workspace, unless a job of this name runs: then BoxpaintError is raised."""
    files = _files(workspace, name)
    try:
        with FileLock(files.lock, timeout=10):
            known = state(workspace, name)
            if known is not None and known.running:
                raise BoxpaintError(f"{name} is at work already, perhaps from another window; wait, or stop it")
            with translate_os_errors(files.log), files.log.open("wb") as log:
                child = subprocess.Popen(
                    [sys.executable, "-P", "-m", module, *arguments],
                    cwd=workspace.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, "COLUMNS": "120", "PYTHONUNBUFFERED": "1"},
                    start_new_session=True,  # Ctrl-C at the server's terminal is not meant for it
                )
            _CHILDREN[child.pid] = child
            file = JobFile(
                arguments=tuple(arguments),
                out=out,
                pid=child.pid,
                created=_created(child.pid) or time.time(),
                begun=time.time(),
                finished=finished,
                total=total,
            )
            write_json(files.state, file.model_dump(mode="json"))
    except Timeout:
        raise BoxpaintError(f"{name} is just being begun in another window") from None
    return JobState(name=name, file=file, running=True, code=None, log="")


def state(workspace: Workspace, name: str) -> JobState | None:
    """How the last job of this name stands; None where there was none."""
    files = _files(workspace, name)
    try:
        file = JobFile.model_validate_json(files.state.read_bytes())
    except (OSError, ValidationError):
        return None
    child = _CHILDREN.get(file.pid)
    code = child.poll() if child is not None else None
    if child is not None:
        running = code is None
    else:  # another server began it
        created = _created(file.pid)
        running = created is not None and abs(created - file.created) < _SAME_START_S
    return JobState(name=name, file=file, running=running, code=code, log=_tail(files.log))


def stop(workspace: Workspace, name: str) -> None:
    """Ask a job to stop when what it is about is finished; asked twice, it stops at once."""
    files = _files(workspace, name)
    with contextlib.suppress(Timeout, ProcessLookupError), FileLock(files.lock, timeout=10):
        known = state(workspace, name)
        if known is not None and known.running:
            os.kill(known.file.pid, signal.SIGTERM)  # unless it has ended just now
            asked = known.file.model_copy(update={"stopping": known.file.stopping + 1})
            write_json(files.state, asked.model_dump(mode="json"))


def names(workspace: Workspace, kind: str) -> list[str]:
    """Jobs of a kind, the first word of their names, the one that was begun last first."""
    files = workspace.own_folder().glob(f"{kind} *.json")
    return [path.stem for path in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)]


def _files(workspace: Workspace, name: str) -> _Files:
    if fault := folder_name_fault(name, longest=_LONGEST_NAME):
        raise BoxpaintError(f"found {name!r}; {fault}")
    own = workspace.own_folder()
    files = _Files(own / f"{name}.json", own / f"{name}.log", own / f".{name}.lock")
    for path in files:
        if path.is_symlink():  # it came with somebody's folder, and may lead anywhere
            raise BoxpaintError(f"{path} is a link, which the studio neither reads nor writes; remove it")
    return files


def _created(pid: int) -> float | None:
    """When a process began; None where there is none, or nothing but its number is left."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return stream.read().decode(errors="replace")
    except OSError:
        return ""
