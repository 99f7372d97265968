from __future__ import annotations

import json
from pathlib import Path

import pytest

from boxpaint.studio.workspace import Workspace
from generator.foundation.errors import BoxpaintError
from tests.boxpaint.studio.conftest import save_detector_run


@pytest.mark.parametrize("name", ["../x", "/etc", "a/../../x", "x/../../../etc/passwd"])
def test_nothing_outside_is_reached(workspace: Workspace, name: str) -> None:
    with pytest.raises(BoxpaintError, match="lies outside of"):
        workspace.inside(name)


def test_no_link_leads_outside(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (workspace.folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(BoxpaintError, match="lies outside of"):
        workspace.inside("link", "file.png")
    assert workspace.inside("classes.csv").is_file()


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "", ".hidden", "-rf", "x" * 101, "a\0b", "x."])
def test_only_a_plain_name_makes_a_new_folder(workspace: Workspace, name: str) -> None:
    with pytest.raises(BoxpaintError, match="name of a folder is needed"):
        workspace.new_folder(name)


def test_a_new_folder_lies_in_the_workspace(workspace: Workspace) -> None:
    assert workspace.new_folder(" smears 2 ") == workspace.folder / "smears 2"


def test_what_boxpaint_made_is_found_by_its_files(workspace: Workspace, painted: Path) -> None:
    folder = workspace.folder
    (folder / "runs").mkdir()
    save_detector_run(folder / "runs" / "detector")
    for name, files in {
        "runs/proof": {"experiment.json": {"real": {}, "categories": []}, "summary.csv": ""},
        "runs/cells": {"run.json": {"kind": "boxpaint painter"}, "numbers.json": "{}"},
        "runs/half": {"run.json": {"kind": "boxpaint painter"}},
        "runs/scored": {"scores.json": {"kind": "boxpaint evaluation"}},
        "runs/unfinished": {"run.json": {"kind": "boxpaint detector run"}},
        "runs/other": {"run.json": [1], "scores.json": "no JSON"},
        "runs/large": {"scores.json": {"kind": "boxpaint evaluation", "text": "a" * 5_000_000}},
        "a/b/c/d/e/deep": {"scores.json": {"kind": "boxpaint evaluation"}},
    }.items():
        (folder / name).mkdir(parents=True)
        for file, content in files.items():
            (folder / name / file).write_text(content if isinstance(content, str) else json.dumps(content))
    kinds = ("data set", "detector", "experiment", "evaluation", "classifier", "captioner", "painter")
    assert [(each.kind, each.name) for each in workspace.find(*kinds)] == [
        ("painter", "runs/cells"),
        ("detector", "runs/detector"),
        ("experiment", "runs/proof"),
        ("evaluation", "runs/scored"),
    ]
    assert [(each.kind, each.name) for each in Workspace(painted.parent).find("data set")] == [("data set", "dataset")]
