"""The whole of an import: formats, categories, splits, the folder, what stands beside a set, and what is no success."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from detection.datasets.read import read_detection_set
from detection.formats import importing as run_module
from detection.formats.importing import ImportOptions, import_set
from generator.foundation.errors import DatasetError, RunMismatchError
from tests.detection.formats.sets import files_below
from tests.detection.formats.sources import (
    ALL,
    coco_json,
    draw,
    encode,
    lay_out,
    refused,
    run,
    voc_xml,
    write,
    write_pictures,
)

PETS = {"a": "cat", "b": "cat", "c": "dog", "d": "dog", "e": "cat", "f": "dog"}


@pytest.fixture()
def animals(source: Path) -> Path:
    files = {
        f"{name}.xml": voc_xml(f"{name}.jpg", [(category, (4, 5, 14, 25)), ("rat", (1, 1, 4, 4))])
        for name, category in PETS.items()
    }
    return lay_out(source, "a.jpg b.jpg c.jpg d.jpg e.jpg f.jpg", files)


def test_without_splits_of_its_own_it_is_split(animals: Path) -> None:
    imported = run(animals)
    kinds = {split: sorted(PETS[name[0]] for name in names) for split, names in imported.splits.items()}
    assert kinds == {"train": ["cat", "cat", "dog", "dog"], "val": ["cat", "dog"]}
    assert imported.report.splits_are == "made: train=0.8, val=0.2, seed 0"
    assert run(animals, overwrite=True).contents == imported.contents
    others = [run(animals, overwrite=True, seed=seed).splits for seed in range(1, 6)]
    assert any(splits != imported.splits for splits in others)


def test_categories_are_renamed_merged_and_kept(animals: Path) -> None:
    imported = run(animals, rename={"cat": "pet", "dog": "pet"}, keep=("pet",))
    assert imported.report.categories == ("pet",)
    assert [(case.what, case.found, case.lost_objects) for case in imported.report.cases] == [
        ("a category that --keep does not name", "rat: 6", 6)
    ]
    assert imported.boxes["c.jpg"] == [("pet", [4, 5, 14, 25])]
    swapped = run(animals, rename={"cat": "dog", "dog": "cat"}, keep=("rat", "cat"), overwrite=True)
    assert swapped.report.categories == ("rat", "cat")
    assert swapped.boxes["c.jpg"] == [("cat", [4, 5, 14, 25]), ("rat", [1, 1, 4, 4])]


WRONG: dict[str, tuple[dict[str, Any], list[str]]] = {
    "rename": ({"rename": {"cats": "pet"}}, ["--rename", "'cats'", "did you mean 'cat'"]),
    "keep": ({"keep": ("horse",)}, ["--keep", "'horse'", "known: cat, dog, rat"]),
    "keep the old name": ({"rename": {"cat": "pet"}, "keep": ("cat",)}, ["--keep", "known: pet, dog"]),
    "format": ({"format": "cocoo"}, ["--format", "did you mean 'coco'", "voc"]),
    "another format": ({"format": "csv"}, ["CSV files with columns", "Found 6 .jpg, 6 .xml"]),
    "pattern": ({"group_by": "("}, ["--group-by", "no regular expression"]),
    "pattern that fits nothing": ({"group_by": "scene_"}, ["--group-by", "fits no file name", "a.jpg"]),
    "more splits than pictures": (
        {"shares": {str(number): 0.1 for number in range(10)}},
        ["6 x pictures that stay together cannot fill 10 splits"],
    ),
}


@pytest.mark.parametrize(("options", "words"), WRONG.values(), ids=WRONG)
def test_wrong_options_leave_nothing_behind(animals: Path, options: dict[str, Any], words: list[str]) -> None:
    refused(animals, *words, **options)


def test_no_data_set(source: Path) -> None:
    refused(source, "no such file or folder")
    (source).mkdir()
    refused(source, "is empty")
    (source / "b.jpg").symlink_to("/nowhere/b.jpg")
    refused(source, "nothing but 1 x a link that leads nowhere")
    for name, content in (("notes.txt", b"words"), ("a.jpg", encode(draw(1)))):
        write(source / name, content)
        refused(source, "no data set of a known format")


def test_several_formats_the_one_that_says_most_is_taken_and_the_others_are_named(animals: Path) -> None:
    write(animals / "labels.csv", "filename,class,xmin,ymin,xmax,ymax\na.jpg,whale,1,1,9,9\n")
    imported = run(animals)
    assert (imported.report.format, imported.report.other_formats) == ("voc", {"csv": "labels.csv"})
    assert run(animals, format="csv", overwrite=True).boxes["a.jpg"] == [("whale", [1, 1, 9, 9])]


def test_one_annotation_file_may_be_named(animals: Path) -> None:
    content = coco_json(
        [{"id": 1, "file_name": "a.jpg"}], [{"id": 1, "image_id": 1, "category_id": 2, "bbox": [1, 1, 8, 8]}]
    )
    write(animals / "one.json", content)
    write(animals / "two.json", content.replace("a.jpg", "b.jpg"))
    out = animals.with_name("out")
    report = import_set(animals / "two.json", out, ImportOptions(shares=ALL))
    assert report.format == "coco"
    assert [sample.path.name for sample in read_detection_set(out).samples] == ["b.jpg"]


def near_twin(seed: int) -> bytes:
    return encode(draw(seed).resize((60, 45)))


def test_near_duplicates_are_never_split(source: Path) -> None:
    for number in range(10):
        for twin, data in (("x", encode(draw(number))), ("y", near_twin(number))):
            write(source / f"{number}{twin}.jpg", data)
            write(source / f"{number}{twin}.xml", voc_xml("", [("cat", (4, 5, 14, 25))], size_wh=None))
    for seed in range(3):
        splits = run(source, seed=seed, shares={"a": 0.5, "b": 0.5}, overwrite=True).splits
        for names in splits.values():
            assert len(names) == 10
            assert {name[0] for name in names if "x" in name} == {name[0] for name in names if "y" in name}


def test_near_duplicates_in_splits_of_the_source_are_listed_and_stay(source: Path) -> None:
    for folder, data in (("train", encode(draw(1))), ("test", near_twin(1))):
        write(source / folder / f"{folder}.jpg", data)
        write(source / folder / f"{folder}.xml", voc_xml("", [("cat", (4, 5, 14, 25))], size_wh=None))
    imported = run(source)
    assert imported.splits == {"train": ["train.jpg"], "test": ["test.jpg"]}
    (case,) = imported.report.cases
    assert (case.what, case.done) == ("nearly the same picture in two splits", "kept")
    assert case.found == "test/test.jpg (test), train/train.jpg (train)"


def test_pictures_of_one_group_stay_together(source: Path) -> None:
    for patient in "pqrs":
        for slide in range(3):
            name = f"{patient}_{slide}"
            write(source / f"{name}.jpg", encode(draw(ord(patient) * 10 + slide)))
            write(source / f"{name}.xml", voc_xml("", [("cat", (4, 5, 14, 25))], size_wh=None))
    for pattern in (r"(\w)_\d", r"[pqrs]"):
        splits = run(source, group_by=pattern, shares={"a": 0.5, "b": 0.5}, overwrite=True).splits
        assert [sorted(name[0] for name in names).count(names[0][0]) for names in splits.values()] == [3, 3]
        assert not {name[0] for name in splits["a"]} & {name[0] for name in splits["b"]}


def test_an_import_is_replaced_only_when_told_to(animals: Path) -> None:
    first = run(animals)
    before = files_below(first.out)
    with pytest.raises(RunMismatchError, match="--overwrite"):
        run(animals, keep=("rat",))
    assert files_below(first.out) == before
    assert run(animals, keep=("rat",), overwrite=True).report.categories == ("rat",)


@pytest.mark.parametrize("step", ["write_coco", "write_json", "mend_objects"])
def test_an_interrupted_import_looks_like_none_and_the_earlier_one_stays(
    animals: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_stopped(**options: Any) -> None:
        def stop(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(run_module, step, stop)
            run(animals, **options)

    run_stopped()
    assert not animals.with_name(f"{animals.name}.imported").exists()
    before = run(animals).contents
    run_stopped(keep=("rat",), overwrite=True)
    assert run(animals, overwrite=True).contents == before


def test_the_result_may_lie_inside_of_the_source(animals: Path) -> None:
    out = animals / "imported"
    first = import_set(animals, out)
    again = import_set(animals, out, ImportOptions(overwrite=True))
    assert (first.pictures, first.cases) == (again.pictures, again.cases)


def test_links_that_go_round_are_followed_once(animals: Path) -> None:
    (animals / "again").symlink_to(animals)
    assert run(animals).report.pictures.source == 6


def test_hidden_files_and_archives_of_a_mac_are_no_part(animals: Path) -> None:
    shutil.copytree(animals, animals / "__MACOSX")
    write(animals / "._a.jpg", "resource fork")
    write(animals / ".git" / "x.jpg", encode(draw(3)))
    assert run(animals).report.pictures.source == 6


def test_the_report_says_it_all(animals: Path) -> None:
    write(animals / "a.xml", voc_xml("a.jpg", [("cat", (4, 5, 4, 25)), ("cat", (14, 5, 4, 25))]))
    report = run(animals, seed=3).report
    assert [(what, done, count, objects) for what, done, count, _, objects, _ in report.kinds()] == [
        ("a box without an area", "dropped", 1, 1),
        ("a box from right to left or from bottom to top", "mended", 1, 0),
    ]
    content = json.loads((report.folder / "import.json").read_bytes())
    assert content["found"] == {
        "pictures": {"source": 6, "written": 6},
        "objects": {"source": 12, "written": 11},
    }
    assert content["cases"][0] == {
        "file": "a.xml",
        "what": "a box without an area",
        "done": "dropped",
        "place": "object 1 cat",
        "found": "cat [4, 5, 4, 25]",
        "lost_pictures": 0,
        "lost_objects": 1,
    }
    assert content["options"]["seed"] == 3
    assert sum(content["splits"]["train"]["labels"].values()) + sum(content["splits"]["val"]["labels"].values()) == 11


def test_formats_that_are_not_read_are_no_missing_pictures(source: Path) -> None:
    write(source / "a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    write(source / "phone.jpg", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic")
    write(source / "raw.dng", encode(draw(1), "TIFF"))
    write_pictures(source, "b.jpg")
    for name in ("a.heic", "phone.jpg", "raw.dng", "b.jpg"):
        write((source / name).with_suffix(".xml"), voc_xml(name, [("cat", (1, 2, 30, 20))]))
    imported = run(source, shares=ALL)
    assert [(case.what, case.found, case.lost_objects) for case in imported.report.cases] == [
        (
            "a picture in a format that is not read here",
            f"{name}: is {kind}, which is not read here; save it as {other}",
            1,
        )
        for name, kind, other in (
            ("a.heic", "HEIC or the like (heic)", "JPEG or PNG"),
            ("phone.jpg", "HEIC or the like (mif1)", "JPEG or PNG"),
            ("raw.dng", "DNG", "PNG or TIFF"),
        )
    ]
    assert [*imported.boxes] == ["b.jpg"]


def test_too_few_pictures_for_the_splits_that_nobody_asked_for(source: Path) -> None:
    write_pictures(source, "a.jpg")
    write(source / "a.xml", voc_xml("a.jpg", [("cat", (4, 5, 14, 25))]))
    reason = "splits: the source has none, and 1 x pictures that look alike cannot fill train=0.8, val=0.2"
    refused(source, f"{reason}; --split all=1 makes one")
    assert run(source, shares=ALL).splits == {"all": ["a.jpg"]}


BOX = {"category_id": 1, "bbox": [4, 5, 10, 20]}
LINE = "0 0.25 0.5 0.5 0.333333\n"
CAT = ("cat", [0, 10, 20, 20])


@pytest.fixture()
def yolo(source: Path) -> Path:
    """Pictures in images/, labels in labels/, data.yaml below set/."""
    pictures = "images/a.jpg images/b.jpg images/c.jpg images/d.jpg"
    labels = {f"labels/{name}.txt": LINE for name in "abcd"}
    return lay_out(source, pictures, {**labels, "set/data.yaml": "train: ../images\nnames: [cat]\n"})


CATS = {f"{name}.jpg": [CAT] for name in "abcd"}
STRAYS = {
    "one XML": {"images/a.xml": voc_xml("a.jpg", [("dog", (1, 1, 9, 9))])},
    "COCO without anything": {"coco.json": coco_json([], [])},
    "COCO of other pictures": {
        "coco.json": coco_json([{"id": 1, "file_name": "z.jpg"}], [{**BOX, "id": 1, "image_id": 1}])
    },
    "a damaged COCO file": {"coco.json": '{"images", "annotations", "categories"'},
    "a damaged table": {"metadata.jsonl": '{"objects": {"bbox": '},
}


@pytest.mark.parametrize("files", STRAYS.values(), ids=STRAYS)
def test_the_format_that_has_objects_of_most_pictures_is_taken(yolo: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        write(yolo / name, content)
    imported = run(yolo)
    assert imported.report.format == "yolo"
    assert len(imported.report.other_formats) == 1
    assert imported.boxes == CATS


YAMLS = {
    "a tag of Python": "emoji: !!python/name:material.extensions.emoji.twemoji\n",
    "two documents": "a: 1\n---\nb: 2\n",
    "names of something else": "names: {left: right}\n",
    "names without splits": "names: [dog, rat]\n",
}


@pytest.mark.parametrize("text", YAMLS.values(), ids=YAMLS)
def test_yaml_of_something_else_stops_nothing(yolo: Path, text: str) -> None:
    write(yolo / "mkdocs.yml", text)
    imported = run(yolo)
    assert imported.boxes == CATS
    what = ["a YAML file that cannot be read: another describes the set"]
    assert imported.what == ([] if "dog" in text or "emoji" in text else what)


def test_two_descriptions_that_differ(yolo: Path) -> None:
    write(yolo / "more" / "data.yaml", "train: ../images\nnames: [dog]\n")
    with pytest.raises(DatasetError, match=r"more/data.yaml and set/data.yaml list different classes"):
        run(yolo)
    write(yolo / "more" / "data.yaml", "train: ../images\nnames: {0: cat}\n")
    assert run(yolo).report.categories == ("cat",)


def test_links_that_lead_nowhere_are_listed(yolo: Path) -> None:
    for name in ("stats.json", "images/e.jpg", "labels/e.txt", "images/f.jpg"):
        (yolo / name).symlink_to("/nowhere/.git/annex/objects/x")
    write(yolo / "labels" / "f.txt", LINE)
    imported = run(yolo)
    assert imported.boxes == CATS
    assert [(case.file, case.what) for case in imported.report.cases] == [
        ("images/e.jpg", "a link that leads nowhere"),
        ("images/f.jpg", "a link that leads nowhere"),
        ("labels/e.txt", "a link that leads nowhere"),
        ("stats.json", "a link that leads nowhere"),
        ("labels/f.txt", "a picture that is missing"),
    ]


@pytest.mark.parametrize("union", ["annotations.csv", "zzz.csv"])
def test_tables_of_splits_count_before_a_table_of_all(source: Path, union: str) -> None:
    header = "filename,class,xmin,ymin,xmax,ymax\n"
    write_pictures(source, "a.jpg", "b.jpg", "c.jpg")
    rows = [f"{name}.jpg,cat,4,5,14,25\n" for name in "abc"]
    write(source / union, header + "".join(rows))
    write(source / "train.csv", header + rows[0])
    write(source / "test.csv", header + rows[1])
    imported = run(source)
    assert imported.splits == {"train": ["a.jpg"], "test": ["b.jpg"], "unlisted": ["c.jpg"]}
    # A table whose rows all stand in others is no failure.
    write(source / union, header + "".join(rows[:2]))
    assert run(source, overwrite=True).splits["test"] == ["b.jpg"]


def test_a_file_of_which_all_annotations_are_lost_is_no_success(source: Path) -> None:
    write_pictures(source, "a.jpg", "b.jpg")
    images = [{"id": number, "file_name": f"{name}.jpg"} for number, name in enumerate("ab")]
    good = [{**BOX, "id": number, "image_id": number} for number in range(2)]
    bad = [{**item, "category_id": 7} for item in good]
    write(source / "train.json", coco_json(images, good))
    write(source / "val.json", coco_json(images, bad))
    reason = "val.json: none of 2 annotations could be imported: 2 x an unknown class"
    refused(source, f"{reason}, such as val.json: annotation 0: category_id 7")
    write(source / "val.json", coco_json(images, [*bad, *good]))
    assert run(source).report.objects.written == 2


def test_label_files_are_judged_together(yolo: Path) -> None:
    write(yolo / "labels" / "a.txt", "7 0.5 0.5 0.1 0.1\n")
    assert run(yolo).boxes["a.jpg"] == []
    for name in "bcd":
        write(yolo / "labels" / f"{name}.txt", "0 0.5 0.5 0 0\n")
    with pytest.raises(DatasetError, match="none of 4 annotations could be imported: 3 x a box without an area; 1 x"):
        run(yolo, overwrite=True)


def test_the_reason_names_an_example_of_the_kind(source: Path) -> None:
    write_pictures(source / "images", "x.jpg", "y.jpg")
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in (1, 2, 3)]
    write(source / "all.json", coco_json(images, []))
    reasons = "3 x a picture that is missing; 1 x pictures that belong to no annotation"
    refused(source, f"{reasons}, such as all.json: image 1: 1.jpg")
