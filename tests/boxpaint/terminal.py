"""The command line as a user meets it, in the process of the tests or, where signals matter, in one of its own."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from boxpaint.__main__ import main

ENVIRONMENT = {**os.environ, "COLUMNS": "200", "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a command said and ended with."""

    code: int
    out: str
    err: str

    def says(self, *words: str) -> str:
        """All went well and these words were said; returns all of them."""
        assert self.code == 0, self.err
        for each in words:
            assert each in self.out, self.out
        return self.out

    def refuses(self, *words: str) -> str:
        """A user's mistake: one message with these words, no traceback, exit code 2; returns the message."""
        assert self.code == 2, self.out + self.err
        assert "Traceback" not in self.err
        said = " ".join(self.err.split())
        for each in words:
            assert each in said, said
        return said


def boxpaint(*arguments: str | Path, cwd: Path) -> Ended:
    """Type a command in a folder: in this process, where libraries are loaded, with a wide terminal."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.chdir(cwd)
        patch.setenv("COLUMNS", "200")
        patch.setattr(sys, "argv", ["boxpaint", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    return Ended(code=int(ended.value.code or 0), out=out.getvalue(), err=err.getvalue())


@contextlib.contextmanager
def nothing_written(folder: Path) -> Iterator[None]:
    """All files of a folder are as they were."""
    before = files_of(folder)
    yield
    assert files_of(folder) == before


def files_of(folder: Path) -> dict[str, bytes]:
    """All files of a folder but locks, by name."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def start(*arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    """Begin a command in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "boxpaint", *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
        # A background job of a shell inherits an ignored SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_until(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait until this holds, or the process ends, or two minutes have passed."""
    deadline = time.monotonic() + 120
    while not condition() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def press_ctrl_c(arguments: Sequence[str | Path], cwd: Path, *, once: Callable[[], object]) -> int:
    """End a command by Ctrl-C `once` this holds, and check what it says; returns the number of its process group."""
    process = start(*arguments, cwd=cwd)
    wait_until(once, process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert "the same command goes on from what is kept in" in stdout
    assert "Traceback" not in stderr
    return process.pid
