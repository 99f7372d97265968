"""plan.jsonl goes as far as painting has come, in whole lines, whatever happened in between."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from generator import plan as manifest
from generator.config import Config
from generator.plan import Plan, count_planned, extend_plan, write_plan
from generator.spec import BackgroundSpec, ClassSpec, Spec


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "AHEAD", 8)
    monkeypatch.setattr(manifest, "STEP", 4)


def plan_of(num_imgs: int) -> Plan:
    spec = Spec(
        backgrounds=(BackgroundSpec(prompt="a smear", num_imgs=num_imgs),),
        classes=(ClassSpec(prompt="a cell", name="cell", min_appear=1, max_appear=2),),
    )
    return Plan(spec=spec, config=Config(canvas={"width": 96, "height": 64}, seed=7))


def whole(folder: Path, plan: Plan) -> list[str]:
    write_plan(plan, folder / "whole")
    return (folder / "whole").read_text().splitlines()


@pytest.mark.parametrize(
    ("scenes", "until", "held"),
    [
        (6, 0, 6),  # a usual run: all, before the first is painted
        (30, 0, 8),
        (30, 7, 8),
        (30, 8, 12),
        (30, 12, 16),
        (30, 29, 30),
    ],
)
def test_how_far_it_goes_depends_on_the_last_scene(tmp_path: Path, scenes: int, until: int, held: int) -> None:
    plan = plan_of(scenes)
    assert extend_plan(plan, tmp_path / "plan.jsonl", until=until) == held
    assert (tmp_path / "plan.jsonl").read_text().splitlines() == whole(tmp_path, plan)[:held]
    assert count_planned(tmp_path / "plan.jsonl") == held


def test_in_steps_or_at_once_it_is_the_same_file(tmp_path: Path) -> None:
    plan = plan_of(40)
    for until in (0, 3, 11, 12, 12, 25, 11, 39):
        extend_plan(plan, tmp_path / "steps", until=until)
    extend_plan(plan, tmp_path / "once", until=39)
    write_plan(plan, tmp_path / "whole")
    assert (tmp_path / "steps").read_bytes() == (tmp_path / "once").read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize("cut", [1, 40, 400, 2000])
def test_a_line_that_a_kill_cut_short_is_written_again(tmp_path: Path, cut: int) -> None:
    plan, path = plan_of(30), tmp_path / "plan.jsonl"
    extend_plan(plan, path, until=25)
    before = path.read_bytes()
    path.write_bytes(before[:-cut])
    assert extend_plan(plan, path, until=25) == 28
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"{", b"{}\n", b"[1]\n", b"\x00" * 50, b'{"index": 3}\n\x00\x00\n', b'{"index":"x"}\n'],
)
def test_a_damaged_file_is_begun_again(tmp_path: Path, content: bytes) -> None:
    plan, path = plan_of(30), tmp_path / "plan.jsonl"
    path.write_bytes(content)
    assert extend_plan(plan, path, until=0) == 8
    assert [json.loads(line)["index"] for line in path.read_text().splitlines()] == list(range(8))


def test_lines_longer_than_what_is_looked_at_are_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, path = plan_of(30), tmp_path / "plan.jsonl"
    extend_plan(plan, path, until=15)
    monkeypatch.setattr(manifest, "_TAIL_BYTES", 100)
    assert count_planned(path) == 0
    assert extend_plan(plan, path, until=15) == 16
    assert path.read_text().splitlines() == whole(tmp_path, plan)[:16]
