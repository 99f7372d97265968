"""Which picture a name means: exact first, then looser rules in a fixed order, and none where nobody knows."""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePosixPath

import pytest

from detection.formats.matching import PictureNames
from tests.detection.formats.sources import ALL, coco_json, run, write, write_pictures

NFD = unicodedata.normalize("NFD", "café.jpg")
BOX = {"category_id": 1, "bbox": [4, 5, 10, 20]}
CAT = [("cat", [4, 5, 14, 25])]


def find(pictures: list[str], name: str, near: str = "all.json") -> tuple[str | list[str] | None, str]:
    """The picture (or those that it may be) and in what the name differs."""
    paths = [PurePosixPath(path) for path in pictures]
    match = PictureNames(paths, [*paths, PurePosixPath(near)]).find(name, PurePosixPath(near))
    found = list(map(str, match.rivals)) if match.path is None else str(match.path)
    return found or None, match.what.removeprefix("a picture whose name differs in ")


NAMES: dict[str, tuple[list[str], str, str | list[str] | None, str]] = {
    # pictures of the source, a name -> the picture, and in what the name differs
    "its path": (["x/a.jpg", "y/a.jpg"], "y/a.jpg", "y/a.jpg", ""),
    "its name alone": (["x/a.jpg", "x/b.jpg"], "a.jpg", "x/a.jpg", ""),
    "without its suffix": (["x/a.jpg", "x/b.jpg"], "a", "x/a.jpg", ""),
    "below another folder": (["x/a.jpg", "x/b.jpg"], "/home/someone/x/a.jpg", "x/a.jpg", ""),
    "the root before a copy": (["a.jpg", "backup/a.jpg"], "a.jpg", "a.jpg", ""),
    "of two suffixes the right one": (["a.jpg", "a.png"], "a.png", "a.png", ""),
    "a suffix inside of a name": (["a.png.jpg", "a.jpg"], "a.png.jpg", "a.png.jpg", ""),
    "exact before capitals": (["A.jpg", "a.jpg"], "a.jpg", "a.jpg", ""),
    "capitals before a suffix": (["A.JPG", "a.png"], "a.jpg", "A.JPG", "capitals"),
    "accents before capitals": ([NFD, "CAFÉ.jpg"], "café.jpg", NFD, "blanks or accents"),
    "a blank before the dot": (["a .jpg", "b.jpg"], "a .jpg", "a .jpg", ""),
    "blanks": (["a.jpg"], " a.jpg", "a.jpg", "blanks or accents"),
    "percent": (["x/a b.jpg"], "x/a%20b.jpg", "x/a b.jpg", "how it is encoded"),
    "a name with percent": (["x/a%20b.jpg", "x/a b.jpg"], "a%20b.jpg", "x/a%20b.jpg", ""),
    "an address": (["a.jpg"], "https://host/a.jpg?token=x", "a.jpg", "how it is encoded"),
    "Label Studio": (["x/a+b.jpg", "y/a+b.jpg"], "/data/local-files/?d=y%2Fa+b.jpg", "y/a+b.jpg", ""),
    "another suffix": (["a.jpg"], "a.png", "a.jpg", "the suffix"),
    "two other suffixes": (["a.jpg", "a.bmp"], "a.png", ["a.jpg", "a.bmp"], "the suffix"),
    "two that differ in capitals": (["A.jpg", "a.JPG"], "a.jpg", ["A.jpg", "a.JPG"], "capitals"),
    "an upload to Label Studio": (["x/a.jpg"], "up/1a2b3c4d-a.jpg", "x/a.jpg", "the letters of an upload"),
    "a picture of that very name": (["1a2b3c4d-a.jpg", "a.jpg"], "1a2b3c4d-a.jpg", "1a2b3c4d-a.jpg", ""),
    "two folders": (["x/a.jpg", "y/a.jpg"], "a.jpg", ["x/a.jpg", "y/a.jpg"], ""),
    "a folder that is another's": (["x/b.jpg", "y/a.jpg"], "x/a.jpg", None, ""),
    "such a folder below one": (["i/x/b.jpg", "i/y/a.jpg"], "x/a.jpg", None, ""),
    "such a folder beside the root": (["x/b.jpg", "a.jpg"], "x/a.jpg", None, ""),
    "a folder that is not here": (["y/a.jpg"], "x/a.jpg", "y/a.jpg", "the folder"),
    "Windows": (["train/images/a.jpg"], "D:\\test\\a.jpg", "train/images/a.jpg", "the folder"),
    "another split": (["train/a.jpg", "test/b.jpg"], "D:\\test\\a.jpg", None, ""),
    "no part of a name": (["cat.jpg"], "cat (2).jpg", None, ""),
    "nothing": (["a.jpg"], "", None, ""),
}


@pytest.mark.parametrize(("pictures", "name", "found", "differs"), NAMES.values(), ids=NAMES)
def test_names(pictures: list[str], name: str, found: str | list[str] | None, differs: str) -> None:
    assert find(pictures, name) == (found, differs)


@pytest.mark.parametrize(
    ("near", "found"),
    [
        ("instances_val.json", "val/a.jpg"),
        ("train/all.json", "train/a.jpg"),
        ("all.json", ["train/a.jpg", "val/a.jpg"]),
    ],
)
def test_the_annotation_file_says_which_of_two(near: str, found: str | list[str]) -> None:
    assert find(["train/a.jpg", "val/a.jpg"], "a.jpg", near) == (found, "")


LABELS = {
    # pictures, a label file -> its picture, and in what the names differ
    "beside it": (["x/a.jpg", "y/a.jpg"], "y/a.txt", "y/a.jpg", ""),
    "the same tree": (["images/x/a.jpg", "images/y/a.jpg"], "labels/y/a.txt", "images/y/a.jpg", ""),
    "a picture of another folder": (["images/x/a.jpg", "images/y/b.jpg"], "labels/y/a.txt", None, ""),
    "a picture beside the tree": (["images/y/b.jpg", "more/a.jpg"], "labels/y/a.txt", None, ""),
    "a loose name in the tree": (["images/y/A.jpg", "more/a.jpg"], "labels/y/a.txt", "images/y/A.jpg", "capitals"),
    "a picture of another site": (["x/images/a.jpg", "y/images/b.jpg"], "y/labels/a.txt", None, ""),
    "a picture of another split": (["images/train/a.jpg"], "labels/val/a.txt", None, ""),
    "pictures in one folder": (["images/a.jpg"], "labels/y/a.txt", "images/a.jpg", ""),
    "a suffix inside of its name": (["a.png.jpg", "a.jpg"], "a.png.txt", "a.png.jpg", ""),
    "a number behind a dot": (["1.25.jpg"], "1.25.txt", "1.25.jpg", ""),
    "a blank before the dot": (["a .jpg", "a.jpg"], "a .txt", "a .jpg", ""),
    "named after the whole name": (["a.jpg", "a.png"], "a.png.txt", "a.png", "a suffix more or less"),
    "percent": (["a é.jpg"], "a%20%C3%A9.txt", "a é.jpg", "how it is encoded"),
}


@pytest.mark.parametrize(("pictures", "label", "found", "differs"), LABELS.values(), ids=LABELS)
def test_label_files(pictures: list[str], label: str, found: str | None, differs: str) -> None:
    paths = [PurePosixPath(path) for path in pictures]
    match = PictureNames(paths, [*paths, PurePosixPath(label)]).find_own(PurePosixPath(label))
    assert (match.path and str(match.path)) == found
    assert match.what.removeprefix("a picture whose name differs in ") == differs


def test_of_two_names_the_one_that_fits_better_gets_the_picture(source: Path) -> None:
    write_pictures(source, "a.jpg", "b.jpg")
    images = [{"id": number, "file_name": name} for number, name in enumerate(("A.JPG", "a.jpg", "x/b.jpg", "y/b.jpg"))]
    items = [{**BOX, "id": number, "image_id": number, "bbox": [number, 5, 10, 20]} for number in range(4)]
    write(source / "all.json", coco_json(images, items))
    imported = run(source, shares=ALL)
    assert imported.boxes == {"a.jpg": [("cat", [1, 5, 11, 25])]}
    assert [(case.place, case.what) for case in imported.report.cases if case.lost_objects] == [
        ("image 0", "a picture that is missing"),
        ("image 2", "a picture that several names may mean: nobody knows whose labels these are"),
        ("image 3", "a picture that several names may mean: nobody knows whose labels these are"),
    ]


def test_a_looser_match_is_listed(source: Path) -> None:
    write_pictures(source / "train" / "images", "a.jpg", "b.jpg")
    images = [{"id": 1, "file_name": "C:\\Users\\dev\\pics\\a.jpg"}, {"id": 2, "file_name": "D:\\test\\B.jpg"}]
    items = [{**BOX, "id": number, "image_id": number} for number in (1, 2)]
    write(source / "annotations" / "instances_train.json", coco_json(images, items))
    imported = run(source)
    assert imported.splits == {"train": ["a.jpg", "b.jpg"]}
    assert imported.boxes == {"a.jpg": CAT, "b.jpg": CAT}
    assert [(case.place, case.what, case.done) for case in imported.report.cases] == [
        ("image 1", "a picture whose name differs in the folder", "mended"),
        ("image 2", "a picture whose name differs in capitals", "mended"),
    ]


@pytest.mark.parametrize("ids", [(1, 2, 3), (1, 1, 1)])
def test_one_picture_listed_several_times(source: Path, ids: tuple[int, ...]) -> None:
    write_pictures(source, "a.jpg")
    images = [{"id": number, "file_name": "a.jpg"} for number in ids]
    items = [{**BOX, "id": at, "image_id": number, "bbox": [at, 5, 10, 20]} for at, number in enumerate(ids, 1)]
    write(source / "all.json", coco_json(images, items))
    imported = run(source, shares=ALL)
    assert imported.boxes == {"a.jpg": [("cat", [number, 5, number + 10, 25]) for number in (1, 2, 3)]}
    assert imported.what == ["a picture listed several times: its objects are joined"]
    assert imported.report.pictures.source == 1


def test_a_line_of_a_list_is_cut_only_where_labels_follow(source: Path) -> None:
    write_pictures(source, "cat.jpg", "cat (2).jpg", "dog.jpg", "rat.jpg")
    for name in ("cat", "cat (2)", "dog", "rat"):
        write(source / f"{name}.txt", "0 0.5 0.5 0.1 0.1\n")
    write(source / "train.txt", "dog.jpg 10,5,20,20,0\nrat 1\n")
    write(source / "val.txt", "cat (2).jpg\ncat (3).jpg\n")
    imported = run(source)
    assert imported.splits == {"train": ["dog.jpg", "rat.jpg"], "val": ["cat (2).jpg"], "unlisted": ["cat.jpg"]}
    assert "cat (3).jpg" in [case.found for case in imported.report.cases if case.what == "a picture that is missing"]
