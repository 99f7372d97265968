"""`boxpaint review`, driven by keys on a real terminal, and the run that follows it."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from generator.config import Config
from generator.dataset.record import SceneRecord, read_record
from generator.dataset.review import REVIEW
from generator.run import generate
from generator.spec import Spec, load_spec
from tests.boxpaint.terminal import ENVIRONMENT, boxpaint
from tests.generator.records import draw_run

pytestmark = pytest.mark.slow  # commands in processes of their own
Files = Callable[[Path], dict[str, bytes]]
SCENES = 3
# The keys that may be pressed, or the classes that it may be instead.
QUESTION = re.compile(rb"q quit|1 (white blood cell|platelet)")


@pytest.fixture()
def config(quick_config: dict[str, object]) -> Config:
    return Config.load(**quick_config)


@pytest.fixture()
def spec(csv_folder: Path, config: Config) -> Spec:
    return load_spec(csv_folder / "background.csv", csv_folder / "classes.csv", canvas_wh=config.canvas_wh)


@pytest.fixture()
def run_folder(spec: Spec, config: Config, tmp_path: Path) -> Path:
    return draw_run(tmp_path / "out", spec, config, scenes=SCENES)


def press(keys: str, *arguments: str) -> str:
    """Run boxpaint on a terminal of its own, press keys, and return what it showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "boxpaint", "review", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**ENVIRONMENT, "TERM": "xterm-256color"},
        start_new_session=True,
    )
    os.close(theirs)
    shown, answered, waiting, deadline = b"", 0, list(keys), time.monotonic() + 240
    while time.monotonic() < deadline:
        # What is typed ahead is thrown away when a key is asked for: one at a time, when it has fallen silent.
        if not select.select([ours], [], [], 0.4)[0]:
            if waiting and QUESTION.search(shown, answered):
                answered = len(shown)
                os.write(ours, waiting.pop(0).encode())
            continue
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side is closed: it has ended
            break
        if not part:
            break
        shown += part
    else:
        process.kill()
    os.close(ours)
    text = shown.decode(errors="replace")
    assert process.wait(timeout=60) == 0, text
    return text


def records(folder: Path) -> list[SceneRecord]:
    return [read_record(path) for path in sorted((folder / "records").glob("*.json"))]


def painted(folder: Path) -> list[tuple[int, int, str]]:
    """Scene, number and class of every object, in the order in which they are shown."""
    return [
        (record.index, item.object_index, item.category)
        for record in records(folder)
        for item in record.objects
        if item.painted_box is not None
    ]


def decisions(folder: Path) -> list[dict[str, object]]:
    content: list[dict[str, object]] = json.loads((folder / REVIEW).read_text())["decisions"]
    return content


def test_keys_become_decisions_and_only_the_rejected_is_painted_again(
    spec: Spec, config: Config, run_folder: Path, run_folder_files: Files
) -> None:
    objects = painted(run_folder)
    beside = sum(scene == 0 for scene, *_ in objects) - 1
    before = run_folder_files(run_folder)
    # x means nothing; b goes back to what was accepted, which is rejected then; 1 is the first other class.
    shown = press("xabr" + "a" * beside + "c1q", str(run_folder))
    assert f"1 of {len(objects)}" in shown
    assert "paints what was rejected again" in shown
    found = {(each["scene"], each["object_index"]): each for each in decisions(run_folder)}
    assert {key: each["decision"] for key, each in found.items()} == {
        (0, 0): "reject",
        **{(0, number): "accept" for number in range(1, beside + 1)},
        (1, 0): "wrong class",
    }
    assert found[1, 0]["category"] == "platelet"

    generate(spec, config, run_folder, limit=SCENES)
    after = run_folder_files(run_folder)
    rejected, *others = next(record for record in records(run_folder) if record.index == 0).objects
    (said,) = [verdict for verdict in rejected.attempts[0].verdicts if verdict.check == "review"]
    assert not said.passed
    assert rejected.attempts[1].seed != rejected.attempts[0].seed
    assert all(verdict.check != "review" for each in others for verdict in each.attempts[0].verdicts)
    changed = {name for name in before if before[name] != after[name]}
    assert {name for name in changed if name.startswith(("images/", "records/"))} == {
        "images/000000.png",
        "records/000000.json",
    }
    # The right class is in the labels, not in the record of what was painted.
    labels = [
        (each["image_id"] - 1, each["category_id"])
        for split in ("train", "val")
        for each in json.loads((run_folder / f"annotations/instances_{split}.json").read_text())["annotations"]
    ]
    drawn = [name for scene, _, name in painted(run_folder) if scene == 1]
    assert drawn[0] == "white blood cell"
    names = list(spec.categories)
    assert sorted(names[category - 1] for scene, category in labels if scene == 1) == sorted(["platelet", *drawn[1:]])

    same = run_folder_files(run_folder)
    generate(spec, config, run_folder, limit=SCENES)
    assert run_folder_files(run_folder) == same, "nothing is waiting any more"


def test_what_is_decided_is_not_asked_again(run_folder: Path) -> None:
    objects = painted(run_folder)
    press("a" * len(objects), str(run_folder))
    assert [each["decision"] for each in decisions(run_folder)] == ["accept"] * len(objects)
    assert "nothing is left to review" in press("", str(run_folder))
    assert "decided: accept" in press("q", str(run_folder), "--all")


def test_without_a_terminal_it_says_so(tmp_path: Path) -> None:
    boxpaint("review", "nowhere", cwd=tmp_path).refuses("needs a terminal")
