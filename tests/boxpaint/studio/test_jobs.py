from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from boxpaint.studio import jobs
from boxpaint.studio.jobs import JobState
from boxpaint.studio.workspace import Workspace
from generator.foundation.errors import BoxpaintError

pytestmark = pytest.mark.slow


def wait(
    workspace: Workspace, name: str, until: Callable[[JobState], bool] = lambda state: not state.running
) -> JobState:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        state = jobs.state(workspace, name)
        assert state is not None
        if until(state):
            return state
        time.sleep(0.1)
    raise AssertionError(state.log)


@pytest.mark.parametrize(
    ("arguments", "code", "said", "outcome"),
    [
        ([], 0, "good: 40 pictures", "It is finished."),
        (["--classes", "nowhere.csv"], 2, "nowhere.csv: there is no such file", "ended with an error (exit code 2)"),
    ],
)
def test_a_job_says_what_it_does_and_how_it_ended(
    workspace: Workspace, arguments: list[str], code: int, said: str, outcome: str
) -> None:
    assert jobs.state(workspace, "check") is None
    assert jobs.start(workspace, "check", ["check-spec", *arguments]).running
    ended = wait(workspace, "check")
    assert ended.code == code
    assert said in ended.log
    assert outcome in ended.outcome


def test_only_one_of_a_name_runs_and_it_stops_when_asked(workspace: Workspace) -> None:
    jobs.start(workspace, "generate out", ["generate", "--out", "out"], out="out", total=40)
    wait(workspace, "generate out", lambda _: any((workspace.folder / "out" / "records").glob("*.json")))
    with pytest.raises(BoxpaintError, match="is at work already"):
        jobs.start(workspace, "generate out", ["generate", "--out", "out"], out="out", total=40)
    jobs.stop(workspace, "generate out")
    ended = wait(workspace, "generate out")
    assert ended.code == 143
    assert "the same command goes on from what is kept in" in ended.log
    assert (workspace.folder / "out" / "annotations" / "instances_train.json").is_file()


def test_another_server_knows_it_too(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = jobs.start(workspace, "long", ["generate", "--out", "out"], out="out")
    monkeypatch.setattr(jobs, "_CHILDREN", {})
    known = jobs.state(workspace, "long")
    assert known is not None
    assert known.running
    os.kill(begun.file.pid, signal.SIGKILL)
    ended = wait(workspace, "long")
    assert ended.code is None


def test_another_program_with_its_number_is_not_taken_for_it(workspace: Workspace) -> None:
    jobs.start(workspace, "check", ["check-spec"])
    wait(workspace, "check")
    path = workspace.folder / ".boxpaint" / "check.json"
    file = jobs.JobFile.model_validate_json(path.read_bytes())
    path.write_text(file.model_copy(update={"pid": os.getpid()}).model_dump_json())
    state = jobs.state(workspace, "check")
    assert state is not None
    assert not state.running


@pytest.mark.parametrize("name", ["check.log", "check.json", ".check.lock"])
def test_links_that_came_with_a_folder_are_neither_read_nor_written(workspace: Workspace, name: str) -> None:
    private = workspace.folder.parent / "private"
    private.write_text("mine")
    (workspace.own_folder() / name).symlink_to(private)
    with pytest.raises(BoxpaintError, match="is a link"):
        jobs.start(workspace, "check", ["check-spec"])
    with pytest.raises(BoxpaintError, match="is a link"):
        jobs.state(workspace, "check")
    assert private.read_text() == "mine"


@pytest.mark.parametrize("name", ["../x", "a/b", ""])
def test_a_name_is_no_path(workspace: Workspace, name: str) -> None:
    with pytest.raises(BoxpaintError, match="name of a folder is needed"):
        jobs.start(workspace, name, ["check-spec"])
