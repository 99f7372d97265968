"""Entry point: errors of the user's making end with one message and exit code 2, never with a traceback."""

from __future__ import annotations

import sys

from rich.console import Console

from boxpaint.cli import app
from generator.errors import BoxpaintError, FaultsError

USER_ERROR = 2


def main() -> None:
    """Run the command line."""
    try:
        app(standalone_mode=True)
    except BoxpaintError as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        if isinstance(error, FaultsError) and len(error.faults) > 1:
            console.print(f"{len(error.faults)} faults:", style="bold red", markup=False)
        console.print(str(error), style="red", markup=False)
        sys.exit(USER_ERROR)


if __name__ == "__main__":
    main()
