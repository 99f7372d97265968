"""The command line in the process of the tests: a new one takes seconds to start."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from boxpaint.__main__ import main


class Terminal:
    """Types commands, and reads what they say."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path):
        """Wide, and in this folder."""
        monkeypatch.chdir(folder)
        monkeypatch.setenv("COLUMNS", "200")
        self.monkeypatch = monkeypatch
        self._capsys = capsys

    def boxpaint(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        self.monkeypatch.setattr(sys, "argv", ["boxpaint", *arguments])
        with pytest.raises(SystemExit) as raised:
            main()
        code = raised.value.code
        assert isinstance(code, int)
        return code, *self._capsys.readouterr()
