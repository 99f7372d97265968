"""`boxpaint app`: what it refuses, and that it takes its server with it."""

from __future__ import annotations

import contextlib
import signal
import socket
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.boxpaint.terminal import boxpaint, start, wait_until


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    boxpaint("app", "nowhere", "--no-browser", cwd=tmp_path).refuses("nowhere: there is no such folder")


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        boxpaint("app", "--no-browser", "--port", port, cwd=tmp_path).refuses("choose another with --port")


def test_without_streamlit_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    boxpaint("app", cwd=tmp_path).refuses("boxpaint[app]")


@pytest.mark.slow
def test_the_folder_gives_neither_code_nor_settings_and_ctrl_c_ends_all(tmp_path: Path) -> None:
    (tmp_path / "streamlit.py").write_text("raise SystemExit('code of the folder')\n")
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "config.toml").write_text('[server]\nbaseUrlPath = "elsewhere"\n')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = start("app", "--port", str(port), "--no-browser", cwd=tmp_path)
    answer = b""

    def answers() -> bool:
        nonlocal answer
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health") as page:
            answer = page.read()
        return bool(answer)

    wait_until(answers, process)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    stdout, _ = process.communicate(timeout=60)
    assert answer == b"ok"
    assert f"http://localhost:{port}" in stdout.replace("\n", "")
    assert process.returncode == 0
    assert children
    assert not any(child.is_running() for child in children)
