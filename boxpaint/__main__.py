"""Entry point: errors of the user's making end with one message and exit code 2, never with a traceback."""

from __future__ import annotations

import io
import sys
import warnings
from pathlib import Path

from rich.console import Console

from boxpaint.cli import app
from generator.foundation.errors import USER_ERROR, BoxpaintError, FaultsError
from generator.foundation.processes import leave_room
from generator.foundation.stopping import end_by_sigterm
from generator.foundation.storage import translate_os_errors


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a class name that this terminal cannot show is no reason to stop
    warnings.formatwarning = format_warning
    leave_room()
    end_by_sigterm()
    try:
        _run()
    except BoxpaintError as error:
        console = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
        if isinstance(error, FaultsError) and len(error.faults) > 1:
            console.print(f"{len(error.faults)} faults:", style="bold red")
        console.print(str(error), style="red")
        sys.exit(USER_ERROR)


_format_warning = warnings.formatwarning


def format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Say what is old in a user's file as a fault of it is said, in one line; code's warnings as Python has them.

    >>> format_warning("grain is now called sensor_noise", FutureWarning, "config.yaml", 3)
    'warning: config.yaml:3: grain is now called sensor_noise\\n'
    """
    if filename.endswith(".py"):
        return _format_warning(message, category, filename, lineno, line)
    return f"warning: {filename}:{lineno}: {message}\n"


def _run() -> None:
    try:
        app(standalone_mode=True)
    except PermissionError as error:  # a look at whether something is there fails, too, in a folder that is closed
        with translate_os_errors(Path(error.filename or "")):
            raise


if __name__ == "__main__":
    main()
