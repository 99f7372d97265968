"""`boxpaint app`: the studio, in a browser."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from boxpaint.cli.console import console
from boxpaint.studio import FOLDER_VARIABLE, MAX_MEGABYTES
from generator.foundation.errors import BoxpaintError

_PACKAGE = Path(__file__).parents[1]
_STUDIO = _PACKAGE / "studio" / "main.py"
_LONGEST_START_S = 60
# By Ctrl-C or a polite kill.
_STOPPED = {0, 130, 143, -signal.SIGINT, -signal.SIGTERM}


def studio(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with the scenario; the pages reach nothing outside of it.")
    ] = Path(),
    host: Annotated[
        str, typer.Option(help="Address to listen on. Whoever can reach it can paint and review: there is no password.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
) -> None:
    """Scenario, painting, data sets, photos and proofs on a page in the browser."""
    if importlib.util.find_spec("streamlit") is None:
        raise BoxpaintError("boxpaint app needs Streamlit: pip install 'boxpaint[app]'")
    if not folder.is_dir():
        raise BoxpaintError(f"{folder}: there is no such folder; `boxpaint init` lays one down")
    _check_is_free(host, port)
    name = "localhost" if host in ("127.0.0.1", "0.0.0.0") else host
    address = f"http://{f'[{name}]' if ':' in name else name}:{port}"
    console.print(f"the studio of {folder.resolve()}: {address} (Ctrl-C ends it; what is being painted goes on)")
    if browser:
        threading.Thread(target=_open, args=(address,), daemon=True).start()
    settings = {
        "server.address": host,
        "server.port": port,
        "server.headless": "true",  # else it asks for an e-mail address
        "server.maxUploadSize": MAX_MEGABYTES,
        "server.fileWatcherType": "none",
        "server.enableStaticServing": "false",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "logger.level": "warning",
    }
    # Neither Python nor Streamlit is to take code or settings from the folder, which may be somebody else's.
    command = [sys.executable, "-P", "-m", "streamlit", "run", str(_STUDIO)]
    command += [f"--{name}={value}" for name, value in settings.items()]
    # The working folder of a checkout that is not installed is not that of the server.
    paths = [str(_PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        FOLDER_VARIABLE: str(folder.resolve()),
    }
    process = subprocess.Popen(command, cwd=_STUDIO.parent, env=environment)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        code = process.wait()
    except KeyboardInterrupt:  # it got the same signal
        code = process.wait()
    raise typer.Exit(0 if code in _STOPPED else code)


def _check_is_free(host: str, port: int) -> None:
    """Raise BoxpaintError when the port cannot be listened on."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise BoxpaintError(
            f"--host {host} --port {port}: nobody can listen there ({error.strerror}); choose another with --port"
        ) from None


def _open(address: str) -> None:
    """Open the page as soon as the server answers."""
    deadline = time.monotonic() + _LONGEST_START_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):
                break
        except OSError:
            time.sleep(0.3)
    webbrowser.open(address)
