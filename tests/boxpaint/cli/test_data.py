"""`boxpaint import`, `export` and `merge`: what came in, what is in, and one message where nothing is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import get_type_hints

import pytest

from boxpaint.cli.data import export, import_command
from detection.formats.registry import READERS, WRITERS
from generator.dataset.validation import validate_dataset
from tests.boxpaint.terminal import boxpaint, nothing_written
from tests.detection.formats.sets import without_masks, write_set
from tests.detection.formats.sources import voc_xml, write, write_pictures


@pytest.fixture()
def photos(tmp_path: Path) -> Path:
    """A folder with pets/: five photos with XML, a box without an area among them, and one that is missing."""
    source = tmp_path / "pets"
    write_pictures(source, *(f"{name}.jpg" for name in "abcde"))
    for name in "abcde":
        write(source / f"{name}.xml", voc_xml(f"{name}.jpg", [("cat", (4, 5, 14, 25)), ("dog", (3, 3, 9, 9))]))
    write(source / "e.xml", voc_xml("e.jpg", [("cat", (4, 5, 4, 25))]))
    write(source / "gone.xml", voc_xml("gone.jpg", [("cat", (4, 5, 14, 25))] * 2))
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_what_came_in_what_is_in_and_what_is_not(photos: Path) -> None:
    arguments = ["import", "pets", "--out", "real", "--rename", "cat=house cat", "--split", "train=0.5,val=0.5"]
    boxpaint(*arguments, "--seed", "3", cwd=photos).says(
        "read as voc: 6 XML files",
        "a picture that is missing",
        "gone.xml: gone.jpg",
        "a box without an area",
        "e.xml: object 1 cat: cat [4, 5, 4, 25]",
        "house cat",
        "made: train=0.5, val=0.5, seed 3",
        "6 pictures came in: 5 are in, 1 are dropped and listed",
        "11 objects came in: 8 are in, 3 are dropped and listed",
        "boxpaint validate real",
    )
    content = json.loads((photos / "real" / "import.json").read_bytes())
    assert content["options"]["rename"] == {"cat": "house cat"}
    boxpaint("validate", "real", cwd=photos).says("5 pictures")
    boxpaint(*arguments, cwd=photos).refuses("--overwrite")


IMPORT_MISTAKES = {
    "no source": (["gone"], ["gone", "no such file or folder"]),
    "unknown format": (["--format", "vok"], ["did you mean 'voc'", ", ".join(READERS)]),
    "not that format": (["--format", "coco"], ["Looked for coco: JSON files", "Found 6 .xml, 5 .jpg"]),
    "empty": (["empty"], ["empty", "this folder is empty"]),
    "taken": (["--out", "pets"], ["is not an imported data set", "a.jpg"]),
    "rename": (["--rename", "cats=x"], ["'cats'", "did you mean 'cat'"]),
    "rename without =": (["--rename", "cat"], ["OLD=NEW is needed"]),
    "rename twice": (["--rename", "cat=x", "--rename", "cat=y"], ["cat=y", "each OLD once"]),
    "column": (["--column", "clas=kind"], ["'clas=kind'", "unknown key; did you mean 'class'?", "x_min"]),
    "column without =": (["--column", "image"], ["KEY=COLUMN is needed"]),
    "no such column": (["--column", "image=file"], ["image=file", "no CSV file has such a column"]),
    "keep": (["--keep", "dgo"], ["'dgo'", "did you mean 'dog'"]),
    "split": (["--split", "80/20"], ["80/20", "train=0.7,val=0.15,test=0.15"]),
    "pattern": (["--group-by", "["], ["--group-by", "no regular expression"]),
}


@pytest.mark.parametrize(("arguments", "words"), IMPORT_MISTAKES.values(), ids=IMPORT_MISTAKES)
def test_what_cannot_be_imported_is_said_and_nothing_is_written(
    photos: Path, arguments: list[str], words: list[str]
) -> None:
    source = ["pets"] if arguments[0].startswith("--") else []
    with nothing_written(photos):
        boxpaint("import", *source, "--out", "real", *arguments, cwd=photos).refuses(*words)
    assert not (photos / "real").exists()


@pytest.fixture()
def sets(tmp_path: Path) -> Path:
    """A folder with pets/, others/ of the same names and ids, boxes/ without masks, and torn/ without anything."""
    for name in ("pets", "others"):
        write_set(tmp_path / name)
    without_masks(write_set(tmp_path / "boxes"))
    (tmp_path / "torn").mkdir()
    return tmp_path


@pytest.mark.parametrize("form", WRITERS)
def test_every_format(form: str, sets: Path) -> None:
    boxpaint("export", "pets", "--format", form, "--out", "out", cwd=sets).says(f"wrote out as {form}: 4 pictures")
    assert (sets / "out" / "README.md").is_file()


def test_all_options_of_an_export(sets: Path) -> None:
    arguments = ["export", "pets", "--format", "crops", "--out", "out", "--classes", "house cat", "--min-score", "0.6"]
    boxpaint(*arguments, "--margin", "0.1", "--balanced", "--max-images", "3", "--seed", "5", cwd=sets).says(
        "1 labels with a score below 0.6 are left out"
    )
    assert [path.name for path in (sets / "out").rglob("*.png")] == ["a b-11.png"]
    options = json.loads((sets / "out" / "export.json").read_bytes())["options"]
    assert (options["classes"], options["seed"], options["max_images"]) == (["house cat"], 5, 3)


def test_a_folder_that_is_taken_is_refused_and_ours_is_replaced_when_asked(sets: Path) -> None:
    (sets / "mine").mkdir()
    (sets / "mine" / "thesis.txt").write_text("mine")
    boxpaint("export", "pets", "--format", "coco", "--out", "mine", "--overwrite", cwd=sets).refuses(
        "it holds thesis.txt"
    )
    boxpaint("export", "pets", "--format", "coco", "--out", "out", cwd=sets).says()
    assert not validate_dataset(sets / "out").faults
    boxpaint("export", "out", "--format", "yolo", "--out", "again", cwd=sets).says()
    boxpaint("export", "pets", "--format", "yolo", "--out", "out", cwd=sets).refuses("--overwrite")
    boxpaint("export", "pets", "--format", "yolo", "--out", "out", "--overwrite", cwd=sets).says()
    assert not (sets / "out" / "annotations").exists()


def test_two_become_one(sets: Path) -> None:
    merge = "merge", "pets", "others", "--out", "out"
    boxpaint(*merge, "--rename", "house cat=tiger", cwd=sets).says(
        "4 pictures and 5 labels got new ids", "8 pictures got new names", "source: 8 real", "tiger"
    )
    assert not validate_dataset(sets / "out").faults
    boxpaint(*merge, cwd=sets).refuses("--overwrite")
    boxpaint(*merge, "--overwrite", "--no-duplicates", "--copy", cwd=sets).says()


def test_classes_that_not_all_label_are_shown_or_left_out(sets: Path) -> None:
    for file in (sets / "others/annotations").iterdir():
        file.write_text(file.read_text("utf-8").replace("house cat", "tiger"), "utf-8")
    merge = "merge", "pets", "others", "--no-duplicates", "--out"
    boxpaint(*merge, "all", cwd=sets).says(
        "not labelled", "tiger: labelled in others, not in pets", "not_exhaustive_category_ids", "--only-common"
    )
    boxpaint(*merge, "common", "--only-common", cwd=sets).says("tiger: labelled in others, not in pets (left out)")
    assert not validate_dataset(sets / "common").faults


MISTAKES = {
    "format": (["export", "pets", "--format", "yolov8"], ["--format", "did you mean 'yolo'"]),
    "missing": (["export", "gone", "--format", "coco"], ["gone", "no such file or folder"]),
    "no masks": (["export", "boxes", "--format", "yolo-seg"], ["boxes", "none of its 5 labels has a mask"]),
    "no label maps": (["export", "boxes", "--format", "semantic"], ["boxes", "none of its 5 labels has a mask"]),
    "nothing left": (
        ["export", "pets", "--format", "yolo", "--classes", "house cat", "--min-score", "0.99"],
        ["no label is left after --classes house cat --min-score 0.99"],
    ),
    "class": (["export", "pets", "--format", "yolo", "--classes", "rat"], ["'rat'", "house cat, weißer Hund"]),
    "no class": (["export", "pets", "--format", "yolo", "--classes", ","], ["--classes", "commas"]),
    "margin": (["export", "pets", "--format", "yolo", "--margin", "1"], ["--margin goes with --format crops"]),
    "shards": (
        ["export", "pets", "--format", "yolo", "--shard-size", "1"],
        ["--shard-size goes with --format webdataset"],
    ),
    "no picture": (["export", "torn", "--format", "yolo"], ["no COCO file"]),
    "merge one": (["merge", "pets"], ["two data sets or more"]),
    "merge missing": (["merge", "pets", "gone"], ["gone"]),
    "merge rename": (["merge", "pets", "others", "--rename", "wolf=x"], ["there is no category wolf"]),
    "merge no rename": (["merge", "pets", "others", "--rename", "wolf"], ["OLD=NEW is needed"]),
}


@pytest.mark.parametrize(("arguments", "words"), MISTAKES.values(), ids=MISTAKES)
def test_what_cannot_be_written_is_said_and_nothing_is(sets: Path, arguments: list[str], words: list[str]) -> None:
    boxpaint(*arguments, "--out", "out", cwd=sets).refuses(*words)
    assert sorted(path.name for path in sets.iterdir()) == ["boxes", "others", "pets", "torn"]


@pytest.mark.parametrize(
    ("place", "command"),
    [
        ("detection.formats.target.Target.link", ["export", "pets", "--format", "yolo"]),
        ("detection.formats.importing.mend_objects", ["import", "pets"]),
    ],
)
def test_stopped_in_the_middle_it_leaves_nothing(
    sets: Path, monkeypatch: pytest.MonkeyPatch, place: str, command: list[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(place, stop)
    ended = boxpaint(*command, "--out", "out", cwd=sets)
    assert (ended.code, "stopped; out is as it was" in ended.out) == (130, True)
    assert not (sets / "out").exists()


@pytest.mark.parametrize(("command", "known"), [(import_command, READERS), (export, WRITERS)])
def test_the_help_names_every_format(command: Callable[..., None], known: Collection[str]) -> None:
    names = get_type_hints(command, include_extras=True)["form"].__metadata__[0].help.split(" (")[0]
    assert {*re.split(", | or ", names.removesuffix("."))} == {*known}
