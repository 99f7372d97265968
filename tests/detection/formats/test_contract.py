"""What holds of every format: whole or absent, linked or copied, the same bytes, refused with one message."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detection.formats.exporting import export_set
from detection.formats.registry import WRITERS, find_format
from detection.formats.target import ExportOptions
from generator.foundation.errors import DatasetError, RunMismatchError
from tests.detection.formats.sets import NAMES, edited, files_below, without_masks

FORMATS = sorted(WRITERS)
# Pictures of the four that are linked: one is a JPEG.
LINKED = {"pictures": 4, "jpegs": 1, "nothing": 0}


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_is_described_and_marked(form: str, pets: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = export_set(pets, tmp_path / "out", form, on_picture=lambda *done: seen.append(done))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert report.pictures == {"train": 3, "val": 1}
    assert report.splits == {
        "train": dict(zip(NAMES, (2, 2), strict=True)),
        "val": dict(zip(NAMES, (1, 0), strict=True)),
    }
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert f"# pets, as {form}" in card
    assert "Licence: CC0" in card
    content = json.loads((tmp_path / "out" / "export.json").read_bytes())
    assert (content["kind"], content["format"]) == ("boxpaint export", form)
    whereabouts = {str(path).encode() for path in (tmp_path, tmp_path.resolve())}
    for name, data in files_below(tmp_path / "out").items():
        assert not [place for place in whereabouts if place in data], name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "pets"]


def move(labels: list[dict[str, Any]]) -> None:
    """Move the box and its mask to the right by a pixel."""
    labels[0]["bbox"][0] += 1
    labels[0]["segmentation"][0][::2] = [x + 1 for x in labels[0]["segmentation"][0][::2]]


CHANGES: dict[str, Callable[[list[dict[str, Any]]], None]] = {
    "another class": lambda labels: labels[0].update(category_id=5),
    "a box moved": move,
    "a label less": lambda labels: labels.clear(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("form", FORMATS)
def test_every_label_is_written(form: str, change: Callable[[list[Any]], None], pets: Path, tmp_path: Path) -> None:
    path = pets / "annotations" / "instances_val.json"
    content = json.loads(path.read_bytes())
    written = []
    for name in ("before", "after"):
        path.write_text(json.dumps(content))
        export_set(pets, tmp_path / name, form)
        files = files_below(tmp_path / name)
        written.append({place: data for place, data in files.items() if place not in ("README.md", "export.json")})
        change(content["annotations"])
    assert written[0] != written[1]


@pytest.mark.parametrize("form", FORMATS)
def test_links_share_the_file_and_copies_do_not(form: str, pets: Path, tmp_path: Path) -> None:
    linked = export_set(pets, tmp_path / "linked", form)
    copied = export_set(pets, tmp_path / "copied", form, ExportOptions(copy=True))
    pictures = {path.stat().st_ino for path in (pets / "images").iterdir()}
    shared = {path.stat().st_ino for path in (tmp_path / "linked").rglob("*") if path.is_file()} & pictures
    assert len(shared) == linked.linked == LINKED[WRITERS[form].links]
    assert not {path.stat().st_ino for path in (tmp_path / "copied").rglob("*")} & pictures
    assert copied.linked == 0
    found = [files_below(tmp_path / name) for name in ("linked", "copied")]
    for files in found:
        files.pop("README.md")  # that of hf names the folder
    assert found[0] == found[1]


@pytest.mark.parametrize("form", FORMATS)
def test_twice_is_the_same_bytes_and_needs_overwrite(form: str, pets: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_set(pets, out, form)
    before = files_below(out)
    with pytest.raises(RunMismatchError, match="holds an export already"):
        export_set(pets, out, form)
    (out / "stray.txt").write_text("of the earlier one")
    export_set(pets, out, form, ExportOptions(overwrite=True))
    assert files_below(out) == before


@pytest.mark.parametrize("form", FORMATS)
def test_stopped_in_the_middle_it_leaves_what_was_there(form: str, pets: Path, tmp_path: Path) -> None:
    export_set(pets, tmp_path / "old", form)
    before = files_below(tmp_path / "old")

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    for out in ("old", "new"):
        with pytest.raises(KeyboardInterrupt):
            export_set(pets, tmp_path / out, form, ExportOptions(overwrite=True), on_picture=stop)
    assert files_below(tmp_path / "old") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "pets"]


@pytest.mark.parametrize("form", FORMATS)
def test_pictures_without_an_object(form: str, pets: Path, tmp_path: Path) -> None:
    for split in ("train", "val"):
        with edited(pets, split) as content:
            content["annotations"] = []
    if WRITERS[form].needs == "pictures":
        assert export_set(pets, tmp_path / "out", form).pictures == {"train": 3, "val": 1}
    else:
        with pytest.raises(DatasetError, match="holds no object"):
            export_set(pets, tmp_path / "out", form)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", FORMATS)
def test_labels_without_a_mask(form: str, pets: Path, tmp_path: Path) -> None:
    pets = without_masks(pets)
    if WRITERS[form].needs == "masks":
        with pytest.raises(DatasetError, match="none of its 5 labels has a mask"):
            export_set(pets, tmp_path / "out", form)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["pets"]
    else:
        export_set(pets, tmp_path / "out", form)


def test_a_place_that_is_taken_stays_as_it_is(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    options = ExportOptions(overwrite=True)
    with pytest.raises(RunMismatchError, match=r"is not an export: it holds thesis\.txt"):
        export_set(pets, tmp_path / "mine", "coco", options)
    for out in (pets, tmp_path):
        with pytest.raises(RunMismatchError, match="what is to be read lies in this folder"):
            export_set(pets, out, "coco", options)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"


def test_where_links_are_impossible_pictures_are_copied(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr("os.link", refuse)
    report = export_set(pets, tmp_path / "out", "coco")
    assert (report.linked, report.copied) == (0, 4)


def test_an_empty_folder_is_a_place(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export_set(pets, tmp_path / "out", "yolo")
    assert (tmp_path / "out" / "data.yaml").is_file()


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(DatasetError, match=r"did you mean 'yolo'\? known: coco, hf"):
        find_format("yolov8", WRITERS)


def test_a_link_to_a_picture_is_followed(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    for path in (pets / "images").iterdir():
        path.rename(tmp_path / "store" / path.name)
        path.symlink_to(Path("..") / ".." / "store" / path.name)
    export_set(pets, tmp_path / "out", "coco")
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))


@pytest.mark.parametrize("form", FORMATS)
def test_names_as_long_as_a_file_system_takes(form: str, pets: Path, tmp_path: Path) -> None:
    letters = "\u732b" * 83
    with edited(pets, "train") as content:
        for item, end in zip(content["images"], "abc", strict=True):
            name = f"{letters}a{end}{Path(item['file_name']).suffix}"
            (pets / "images" / item["file_name"]).rename(pets / "images" / name)
            item["file_name"] = name
    for split in ("train", "val"):
        with edited(pets, split) as content:
            content["categories"][0]["name"] = "\u732b" * 100
    export_set(pets, tmp_path / "out", form)
    names = [path.name for path in (tmp_path / "out").rglob("*")]
    assert max(len(name.encode()) for name in names) <= 255
    if form == "crops":
        assert len([name for name in names if name.endswith(("-11.png", "-12.png", "-13.png"))]) == 3
