"""`boxpaint experiment` as a user meets it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
import yaml

from tests.boxpaint.terminal import boxpaint, start, wait_until
from tests.detection.discs import disc_splits
from tests.detection.experiment.conftest import settings

pytestmark = pytest.mark.slow

COMMAND = "experiment", "experiment.yaml", "--out", "out"
FEW = {"arms": ["real"], "real_images": [{"number": 2, "subsets": 1}]}


@pytest.fixture()
def workplace(tmp_path: Path) -> Path:
    """A folder with experiment.yaml and the data sets that it names."""
    disc_splits(tmp_path / "real", {"train": 3, "val": 3, "test": 4}, seed=1)
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(settings(**FEW)))
    return tmp_path


def test_ctrl_c_stops_all_processes_and_the_same_command_goes_on(workplace: Path) -> None:
    long = settings(**FEW, fit={"steps": 4000, "batch_size": 4, "checkpoint_every": 5})
    (workplace / "experiment.yaml").write_text(yaml.safe_dump(long))
    process = start(*COMMAND, cwd=workplace)
    assert process.stdout is not None
    assert process.stdout.readline() == "trainings to do: 1, 4000 steps in all\n"
    checkpoints = workplace / "out" / "jobs"
    wait_until(lambda: any(checkpoints.glob("*/checkpoint/checkpoint.pt")), process)
    children = psutil.Process(process.pid).children()
    assert children
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped; the same command goes on from what is kept in out" in output
    assert "Traceback" not in errors
    # Python's own tracker of shared memory ends a moment after its parent.
    _, left = psutil.wait_procs(children, timeout=20)
    assert not left

    (workplace / "experiment.yaml").write_text(yaml.safe_dump(settings(**FEW)))
    lines = boxpaint(*COMMAND, cwd=workplace).says().splitlines()
    assert lines[0] == "trainings to do: 1, 10 steps in all"
    assert lines[1].startswith("real-real2-painted0-seed0: mAP ")
    assert lines[2].startswith("No verdict: no arm with painted pictures")
    assert lines[-1] == "proof card: out/card.md"
    assert "- Command: `boxpaint experiment experiment.yaml --out out`" in (workplace / "out" / "card.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "text", "words"),
    [
        ([], "arm: [real]\n", ["experiment.yaml:1", "did you mean 'arms'?"]),
        (["--real", "nowhere"], None, ["nowhere"]),
        ([], None, ["has no category 'red'"]),
        (["--out", "real"], None, ["real is not an experiment"]),
    ],
)
def test_a_mistake_is_said_in_one_message(
    workplace: Path, arguments: list[str], text: str | None, words: list[str]
) -> None:
    wrong = text or yaml.safe_dump(settings(**FEW, real={"data": "real", "rename": {"red": "pink"}}))
    (workplace / "experiment.yaml").write_text(wrong)
    boxpaint("experiment", "experiment.yaml", *arguments, cwd=workplace).refuses(*words)
