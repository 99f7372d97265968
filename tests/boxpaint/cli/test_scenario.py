"""`boxpaint init`, `check-spec`, `plan`, `doctor`: what is laid down is whole, what is wrong is said."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from generator.bundles import BUNDLES, load_card
from generator.config import Config
from generator.foundation.run_folder import DETECTOR_RUN, PAINTER
from tests.boxpaint.terminal import boxpaint, nothing_written
from tests.conftest import POCKET
from tests.detection.discs import disc_splits
from tests.detection.formats.sets import NAMES, write_set
from tests.detection.formats.sources import draw, encode, write

SCENARIOS = ["blood_smear", "forest_fire", "pets", "power_plant", "safari"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a data set in COCO form, real/."""
    write_set(tmp_path / "real")
    return tmp_path


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_is_laid_down_whole_and_passes_its_own_check(scenario: str, tmp_path: Path) -> None:
    boxpaint("init", "here", "--scenario", scenario, cwd=tmp_path).says("wrote here/classes.csv")
    assert "warning" not in boxpaint("check-spec", cwd=tmp_path / "here").says("good:")


def test_what_generate_refuses_is_not_called_good(tmp_path: Path) -> None:
    boxpaint("init", ".", "--scenario", "safari", cwd=tmp_path).says()
    (tmp_path / "config.yaml").write_text("bundle: pocket\n")
    assert "good:" not in boxpaint("check-spec", cwd=tmp_path).says("generate will refuse it: ")


def test_what_is_made_from_real_pictures_passes_its_own_check(folder: Path) -> None:
    boxpaint("init", "mine", "--from", "real", cwd=folder).says(
        "measured real:train, 3 pictures", "edit: background.csv says", *NAMES
    )
    boxpaint("check-spec", cwd=folder / "mine").says("good: 100 pictures")
    assert sorted(path.name for path in (folder / "mine").iterdir()) == ["background.csv", "classes.csv", "config.yaml"]


@pytest.mark.parametrize("bundle", BUNDLES)
def test_the_config_is_that_of_the_bundle_which_paints(folder: Path, bundle: str) -> None:
    boxpaint("init", "mine", "--from", "real", "--bundle", bundle, cwd=folder).says()
    config = Config.load(folder / "mine/config.yaml")
    own = load_card(bundle).defaults["canvas"]
    assert config.bundle == bundle
    assert "\ncanvas: {width: " in (folder / "mine/config.yaml").read_text()
    assert 0.8 < config.canvas.width * config.canvas.height / (own["width"] * own["height"]) < 1.25


def write_painter(folder: Path, classes: dict[str, dict[str, list[str]]]) -> None:
    """Write a trained painter, as far as its card: the models are the pocket's."""
    pocket = {
        role: {"folder": str(POCKET.parent / name)} for role, name in {"inpaint": "inpaint", "clip": "clip"}.items()
    }
    card = {
        **dict.fromkeys(("title", "paints", "licence", "source"), ""),
        "name": folder.name,
        "vocabulary": ["a", "quiet", "place", "house", "cat", "dog", "small", "large"],
        "subjects": ["cat", "dog"],
        "scene": "a quiet place",
        "classes": classes,
        "models": {**pocket, "embedder": pocket["clip"]},
        "defaults": {
            "canvas": {"width": 96, "height": 64},
            "prompts": {"enrich": "none", "max_similarity": 1.0, "min_similarity": -1.0},
        },
    }
    write(folder / "bundle.yaml", json.dumps(card))


def test_what_a_trained_painter_was_taught_is_asked_of_it(folder: Path) -> None:
    write_painter(folder / "painters/mine", {"dog": {}, "House Cat": {"size": ["large", "small"]}})
    options = ["--from", "real", "--bundle", "painters/mine"]
    boxpaint("init", "a/cat", *options, cwd=folder).says(
        "the painter was not taught weißer Hund: left out; see --rename"
    )
    boxpaint("init", "a/here", *options, "--rename", "weißer Hund=dog", cwd=folder).says()
    here = folder / "a/here"
    assert (here / "background.csv").read_text() == "prompt,num_imgs\na quiet place,100\n"
    attributes = "attribute,text,applies_to\nsize,large,House Cat\nsize,small,House Cat\n"
    assert (here / "attributes.csv").read_text() == (folder / "a/cat/attributes.csv").read_text() == attributes
    rows = list(csv.DictReader((here / "classes.csv").open()))
    assert [row["name"] for row in rows] == ["dog", "House Cat"]
    assert "references" not in rows[0]  # nobody would read them
    for where, config in ((here, "config.yaml"), (folder, "a/here/config.yaml")):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(where)
            assert Config.load(config).canvas_wh == (96, 64)
    boxpaint("check-spec", cwd=here).says("good: 100 pictures of 96 x 64 px; classes: dog, House Cat")
    boxpaint("plan", cwd=here).says("planned 100 scenes")
    boxpaint("prompts", cwd=here).says("a House Cat, small")
    assert "can use ../../painters/mine? yes, without a network" in " ".join(
        boxpaint("doctor", cwd=here).says().split()
    )


def test_a_painter_of_other_classes_is_refused(folder: Path) -> None:
    write_painter(folder / "wolves", {"wolf": {}})
    boxpaint("init", "here", "--from", "real", "--bundle", "wolves", cwd=folder).refuses(
        f"the painter was taught wolf, and these pictures show {', '.join(NAMES)}; see --rename"
    )


def test_an_unfinished_painter_is_told_from_no_bundle(folder: Path) -> None:
    PAINTER.begin(folder / "begun", {})
    DETECTOR_RUN.begin(folder / "other", {})
    init = "init", "here", "--from", "real", "--bundle"
    boxpaint(*init, "begun", cwd=folder).refuses(
        "--bundle: found 'begun'", "unfinished: the command that began it goes on"
    )
    boxpaint(*init, "other", cwd=folder).refuses(f"it is {DETECTOR_RUN.what}: {DETECTOR_RUN.use}")


def write_yolo(folder: Path, pictures: int) -> None:
    for number in range(pictures):
        write(folder / f"yolo/images/{number}.png", encode(draw(number), "PNG"))
        write(folder / f"yolo/labels/{number}.txt", "0 0.5 0.5 0.3 0.3\n")
    write(folder / "yolo/data.yaml", "names: [weiße Zelle]\ntrain: images\n")


def test_a_set_in_another_form_is_imported_first(folder: Path) -> None:
    write_yolo(folder, 4)
    boxpaint("init", "mine", "--from", "yolo", cwd=folder).says("4 pictures came in")
    classes = (folder / "mine/classes.csv").read_text("utf-8")
    assert "coco:real/annotations/instances_train.json#weiße Zelle" in classes


def test_what_was_imported_for_nothing_is_gone_again(folder: Path) -> None:
    write_yolo(folder, 1)
    write(folder / "yolo/labels/0.txt", "")
    write(folder / "mine/notes.txt", "mine")
    for name in ("mine", "new"):
        with nothing_written(folder):
            boxpaint("init", name, "--from", "yolo", cwd=folder).refuses("no picture of it has a box to measure")
    assert not (folder / "new").exists()


INIT_MISTAKES = {
    "unknown scenario": (["--scenario", "moon"], "known: blood_smear, forest_fire, pets, power_plant, safari"),
    "both": (["--from", "real", "--scenario", "safari"], "exclude each other"),
    "missing": (["--from", "gone"], "gone"),
    "no such bundle": (
        ["--from", "real", "--bundle", "sd3"],
        "--bundle: found 'sd3'; one of pocket, sd21, or a folder",
    ),
    "a bundle alone": (["--bundle", "pocket"], "--bundle and --rename go with --from"),
    "no boxes": (["--from", "real:empty"], "no picture of it has a box"),
}


@pytest.mark.parametrize(("arguments", "words"), INIT_MISTAKES.values(), ids=INIT_MISTAKES)
def test_what_cannot_be_laid_down_is_said_and_nothing_is_written(
    folder: Path, arguments: list[str], words: str
) -> None:
    content = (folder / "real/annotations/instances_val.json").read_text()
    write(folder / "real/annotations/instances_empty.json", content.replace('"image_id": 9', '"image_id": 99'))
    boxpaint("init", "mine", *arguments, cwd=folder).refuses(words)
    assert not (folder / "mine").exists()


@pytest.mark.parametrize("arguments", [[], ["--from", "real"]], ids=["scenario", "from"])
def test_files_that_are_there_stay(folder: Path, arguments: list[str]) -> None:
    write(folder / "mine/classes.csv", "mine")
    with nothing_written(folder):
        boxpaint("init", "mine", *arguments, cwd=folder).refuses("classes.csv is already there")


def test_what_would_be_imported_takes_no_place(folder: Path) -> None:
    write_yolo(folder, 1)
    boxpaint("init", ".", "--from", "yolo", cwd=folder).refuses("real is already there and stays as it is")


def test_planning_loads_no_torch(csv_folder: Path) -> None:
    code = (
        "import sys\n"
        "from boxpaint.cli import app\n"
        "app(['plan'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=csv_folder)
    assert len((csv_folder / "plan" / "plan.jsonl").read_text().splitlines()) == 40
    assert (csv_folder / "plan" / "plan.png").stat().st_size > 1000


@pytest.fixture
def scarce(tmp_path: Path) -> Path:
    """A folder with a scenario of red and green discs, beside a real set with `train` and `extra`."""
    (tmp_path / "background.csv").write_text('prompt,num_imgs\n"a blood smear",10\n')
    (tmp_path / "classes.csv").write_text(
        "prompt,min_appear,max_appear,width_min,height_min,width_max,height_max,name\n"
        "a red disc,0,4,5%,5%,9%,9%,red\n"
        "a green disc,1,1,5%,5%,9%,9%,green\n"
    )
    disc_splits(tmp_path / "real", {"train": 6, "extra": 4}, seed=1)
    return tmp_path


def count(folder: Path, split: str) -> Counter[str]:
    content = json.loads((folder / f"real/annotations/instances_{split}.json").read_text())
    names = {item["id"]: item["name"] for item in content["categories"]}
    return Counter(names[item["category_id"]] for item in content["annotations"])


def planned(folder: Path) -> Counter[str]:
    scenes = [json.loads(line) for line in (folder / "plan/plan.jsonl").read_text().splitlines()]
    return Counter(item["category"] for scene in scenes for item in (*scene["placements"], *scene["unplaced"]))


def test_the_training_split_is_evened_out_and_the_rest_is_said(scarce: Path) -> None:
    real = count(scarce, "train")
    options = ["--balance-to", "real", "--rename", "blue=green", "--target", "red=30", "--target", "green=25"]
    scenes = f"that takes {25 - real['blue']} scenes; background.csv asks for 10"
    boxpaint("plan", *options, cwd=scarce).says(scenes)
    assert planned(scarce) == {"red": 30 - real["red"], "green": 25 - real["blue"]}


def test_without_targets_all_become_as_many_as_the_commonest(scarce: Path) -> None:
    real = count(scarce, "extra")
    ignored = f"not in classes.csv: {real['blue']} blue; see --rename"
    boxpaint("plan", "--balance-to", "real:extra", cwd=scarce).says(ignored)
    assert planned(scarce) == {"green": real["red"]}


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
def test_what_cannot_be_balanced_is_said_and_nothing_is_written(scarce: Path, options: list[str], words: str) -> None:
    boxpaint("plan", *options, cwd=scarce).refuses(words)
    assert not (scarce / "plan").exists()


def test_doctor_says_what_is_there_and_what_is_missing(tmp_path: Path) -> None:
    words = "torch", "memory", "bundle pocket", "ready", "bundle sd21", "licence", "sd2-community"
    said = boxpaint("doctor", cwd=tmp_path).says(*words)
    pocket, sd21 = said.split("can use ")[1:]
    assert pocket.split() == ["pocket?", "yes,", "without", "a", "network"]
    assert "boxpaint doctor --get sd21" in " ".join(sd21.split())
