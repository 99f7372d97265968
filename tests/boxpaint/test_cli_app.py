"""`boxpaint app`: what it refuses, and that it takes its server with it."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.boxpaint.commands import ENVIRONMENT
from tests.boxpaint.terminal import Terminal

pytestmark = pytest.mark.slow


@pytest.fixture()
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capsys, tmp_path)


def test_a_folder_that_is_not_there(terminal: Terminal) -> None:
    code, _, stderr = terminal.boxpaint("app", "nowhere", "--no-browser")
    assert code == 2
    assert "nowhere: there is no such folder" in stderr


def test_a_port_that_is_taken(terminal: Terminal, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, _, stderr = terminal.boxpaint("app", str(tmp_path), "--no-browser", "--port", str(taken.getsockname()[1]))
    assert code == 2
    assert "choose another with --port" in stderr


def test_without_streamlit_it_says_how_to_get_it(terminal: Terminal, tmp_path: Path) -> None:
    terminal.monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    code, _, stderr = terminal.boxpaint("app", str(tmp_path))
    assert code == 2
    assert "boxpaint[app]" in stderr


def test_the_folder_gives_neither_code_nor_settings_and_ctrl_c_ends_all(tmp_path: Path) -> None:
    (tmp_path / "streamlit.py").write_text("raise SystemExit('code of the folder')\n")
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "config.toml").write_text('[server]\nbaseUrlPath = "elsewhere"\n')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "boxpaint", "app", "--port", str(port), "--no-browser"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    answer, deadline = b"", time.monotonic() + 120
    while not answer and time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health") as page:
            answer = page.read()
        time.sleep(0.2)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    stdout, _ = process.communicate(timeout=60)
    assert answer == b"ok"
    assert f"http://localhost:{port}" in stdout.replace("\n", "")
    assert process.returncode == 0
    assert children
    assert not any(child.is_running() for child in children)
