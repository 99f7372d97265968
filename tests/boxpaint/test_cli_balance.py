"""`boxpaint plan --balance-to`: what is said, and what is planned."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from boxpaint.cli import app
from tests.detection.discs import disc_splits

BACKGROUND = 'prompt,num_imgs\n"a blood smear",10\n'
CLASSES = (
    "prompt,min_appear,max_appear,width_min,height_min,width_max,height_max,name\n"
    "a red disc,0,4,5%,5%,9%,9%,red\n"
    "a green disc,1,1,5%,5%,9%,9%,green\n"
)


@pytest.fixture()
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function: options -> result of `boxpaint plan` beside a real set with `train` and `extra`."""
    monkeypatch.chdir(tmp_path)
    Path("background.csv").write_text(BACKGROUND)
    Path("classes.csv").write_text(CLASSES)
    disc_splits(tmp_path / "real", {"train": 6, "extra": 4}, seed=1)

    def run(*options: str) -> Result:
        return CliRunner().invoke(app, ["plan", *options])

    return run


def count(folder: Path, split: str) -> Counter[str]:
    content = json.loads((folder / f"real/annotations/instances_{split}.json").read_text())
    names = {item["id"]: item["name"] for item in content["categories"]}
    return Counter(names[item["category_id"]] for item in content["annotations"])


def planned(folder: Path) -> Counter[str]:
    scenes = [json.loads(line) for line in (folder / "plan/plan.jsonl").read_text().splitlines()]
    return Counter(item["category"] for scene in scenes for item in (*scene["placements"], *scene["unplaced"]))


def test_the_training_split_is_evened_out_and_the_rest_is_said(plan, tmp_path: Path) -> None:
    real = count(tmp_path, "train")
    result = plan("--balance-to", "real", "--rename", "blue=green", "--target", "red=30", "--target", "green=25")
    assert result.exit_code == 0, result.output
    assert planned(tmp_path) == {"red": 30 - real["red"], "green": 25 - real["blue"]}
    assert f"that takes {25 - real['blue']} scenes; background.csv asks for 10" in result.output


def test_without_targets_all_become_as_many_as_the_commonest(plan, tmp_path: Path) -> None:
    real = count(tmp_path, "extra")
    result = plan("--balance-to", "real:extra")
    assert result.exit_code == 0, result.output
    assert planned(tmp_path) == {"green": real["red"]}
    assert f"not in classes.csv: {real['blue']} blue; see --rename" in result.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--target", "red=3"], "--target and --rename go with --balance-to DATASET"),
        (["--balance-to", "real", "--target", "red"], "found 'red'; NAME=N is needed"),
        (["--balance-to", "real", "--target", "cat=3"], "there is no class 'cat'; classes: red, green"),
        (["--balance-to", "nowhere"], "nowhere"),
        (["--balance-to", "real:test"], "the split 'test' of real pictures is kept"),
    ],
)
def test_mistakes_are_said_and_nothing_is_written(plan, tmp_path: Path, options: list[str], words: str) -> None:
    result = plan(*options)
    assert result.exit_code != 0
    assert words in str(result.exception)
    assert not (tmp_path / "plan").exists()
