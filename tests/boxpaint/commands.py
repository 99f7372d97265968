"""What tests of several commands ask of each of them: help without heavy packages, and an end by Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ENVIRONMENT = {**os.environ, "COLUMNS": "200", "HF_HUB_OFFLINE": "1"}


def assert_help_is_light(*commands: str, heavy: set[str]) -> None:
    """Show the help of commands, such as "train detector", in a new process that must load no heavy package."""
    code = (
        "import sys\n"
        "from boxpaint.cli import app\n"
        "from typer.testing import CliRunner\n"
        f"for words in {commands!r}:\n"
        "    assert CliRunner().invoke(app, [*words.split(), '--help']).exit_code == 0, words\n"
        f"loaded = {heavy!r} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def press_ctrl_c(arguments: Sequence[str], folder: Path, *, once: Callable[[], bool]) -> int:
    """Run boxpaint in a folder, end it by Ctrl-C `once` this holds, and check what it says.

    Returns the number of its process group.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "boxpaint", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
        # A background job of a shell inherits an ignored SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not once() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "the same command goes on" in stdout
    assert "Traceback" not in stderr
    return process.pid
