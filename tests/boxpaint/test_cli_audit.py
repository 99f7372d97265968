"""`boxpaint audit` on a run folder that was laid down without painting."""

import re
from pathlib import Path

import pytest

from generator.audit.files import AUDIT, AUDIT_PICTURE
from tests.boxpaint.terminal import Terminal
from tests.generator.audit.test_leak_gate import config, finished_run


def test_the_command_keeps_an_audit_that_says_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal(monkeypatch, capsys, tmp_path)
    finished_run(tmp_path / "out", config(), leaks=True)
    code, stdout, _ = terminal.boxpaint("audit", "out", "--no-network")
    assert code == 0
    assert "all numbers: out/audit.json" in stdout
    stored = {name: (tmp_path / "out" / name).read_bytes() for name in (AUDIT, AUDIT_PICTURE)}

    code, stdout, _ = terminal.boxpaint("audit", "out", "--no-network", "--scenes", "3")
    assert code == 0
    assert re.search(r"decoys: too few, \d could be compared with an untouched place, 20 in 2 pictures or more", stdout)
    assert "out/audit.json keeps an earlier audit, of 30 pictures, which says more" in stdout
    assert {name: (tmp_path / "out" / name).read_bytes() for name in stored} == stored

    (tmp_path / "out" / AUDIT).write_text("{")
    assert "all numbers" in terminal.boxpaint("audit", "out", "--no-network", "--scenes", "3")[1]
