"""Several data sets as one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from detection.datasets.picture_set import read_picture_set
from detection.formats.merging import merge_sets, unique_ids
from detection.formats.target import ExportOptions
from generator.dataset.validation import validate_dataset
from generator.foundation.errors import BoxpaintError, DatasetError, RunMismatchError
from tests.detection.formats.sets import NAMES, edited, label, write_set
from tests.detection.formats.sources import coco_json, draw, encode, write


def other_set(folder: Path) -> Path:
    """Two pictures of a set that calls things differently; its ids are partly those of `write_set`."""
    images = [{"id": 3, "file_name": "a b.png", "license": 1}, {"id": 40, "file_name": "new.png"}]
    labels = [label(11, 3, 1, [1, 1, 5, 5]), label(90, 40, 2, [2, 2, 6, 6])]
    content = json.loads(coco_json(images, labels, ["House Cat", "dog"]))
    content["licenses"] = [{"id": 1, "name": "MIT", "url": ""}]
    write(folder / "annotations" / "instances_train.json", json.dumps(content))
    write(folder / "annotations" / "instances_test.json", coco_json([], [], ["House Cat", "dog"]))
    for number, name in enumerate(("a b.png", "new.png"), start=20):
        write(folder / "images" / name, encode(draw(number), "PNG"))
    return folder


@pytest.fixture()
def sources(pets: Path, tmp_path: Path) -> list[Path]:
    return [pets, other_set(tmp_path / "more")]


@pytest.mark.parametrize(("ids", "unique"), [([], []), ([3, 1], [3, 1]), ([1, 2, 1, 5, 1], [1, 2, 6, 5, 7])])
def test_ids_stay_where_they_are_free(ids: list[int], unique: list[int]) -> None:
    assert unique_ids(ids) == unique


def test_one_sound_set_with_classes_by_name(sources: list[Path], tmp_path: Path) -> None:
    write(sources[1] / "run.json", "{}")
    report = merge_sets(sources, tmp_path / "all", {"dog": NAMES[1]})
    assert not validate_dataset(tmp_path / "all").faults
    data = read_picture_set(tmp_path / "all")
    assert [(item.id, item.name) for item in data.categories] == [(1, NAMES[0]), (5, NAMES[1])]
    assert [(item.id, item.name, item.split, item.source) for item in data.pictures] == [
        (3, "pets_a b.png", "train", "real"),
        (7, "x.y.jpg", "train", "real"),
        (8, "empty.png", "train", "real"),
        (41, "more_a b.png", "train", "synthetic"),
        (40, "new.png", "train", "synthetic"),
        (9, "ä.png", "val", "real"),
    ]
    assert [(item.id, item.category.id) for item in data.pictures[3].annotations] == [(91, 1)]
    assert [(item.id, item.category.id) for item in data.pictures[4].annotations] == [(90, 5)]
    assert data.pictures[0].content["flash"] is True
    assert (data.pictures[0].content["license"], data.pictures[3].content["license"]) == (1, 2)
    assert [item["name"] for item in data.heads["train"]["licenses"]] == ["CC0", "MIT"]
    assert report.sources == {"real": 4, "synthetic": 2}
    assert report.linked == 6
    assert "1 pictures and 1 labels got new ids: others had theirs" in report.notes
    assert "2 pictures got new names: others had theirs, such as a b.png is pets_a b.png" in report.notes


def test_near_duplicates_across_splits_are_said(sources: list[Path], tmp_path: Path) -> None:
    shutil.copy(sources[0] / "images" / "ä.png", sources[1] / "images" / "new.png")
    report = merge_sets(sources, tmp_path / "all")
    assert report.notes[-2:] == (
        "warning: 1 times nearly the same picture is in two splits",
        "  ä.png (val), new.png (train)",
    )
    silent = merge_sets(sources, tmp_path / "other", find_duplicates=False)
    assert not any("nearly" in note for note in silent.notes)


def test_a_merged_set_is_merged_again_and_remembers(sources: list[Path], tmp_path: Path) -> None:
    write(sources[1] / "run.json", "{}")
    merge_sets(sources, tmp_path / "all", find_duplicates=False)
    third = write_set(tmp_path / "third")
    report = merge_sets([tmp_path / "all", third], tmp_path / "both", find_duplicates=False)
    assert report.sources == {"real": 8, "synthetic": 2}
    data = read_picture_set(tmp_path / "both")
    assert len({picture.id for picture in data.pictures}) == 10


def unlabelled(folder: Path) -> dict[str, list[str]]:
    data = read_picture_set(folder)
    names = {item.id: item.name for item in data.categories}
    lists = {picture.name: picture.content.get("not_exhaustive_category_ids", []) for picture in data.pictures}
    return {name: [names[number] for number in numbers] for name, numbers in lists.items()}


def test_what_a_set_does_not_label_is_said_on_its_pictures(sources: list[Path], tmp_path: Path) -> None:
    with edited(sources[0], "val") as content:
        content["images"][0]["neg_category_ids"] = [5, 7]  # what it had before gets the new ids; 7 is no class
    report = merge_sets(sources, tmp_path / "all", find_duplicates=False)
    assert unlabelled(tmp_path / "all") == {
        **{name: ["dog"] for name in ("pets_a b.png", "x.y.jpg", "empty.png", "ä.png")},
        **{name: [NAMES[1]] for name in ("more_a b.png", "new.png")},
    }
    assert [{*of_set} for of_set in report.labelled] == [{*NAMES}, {NAMES[0], "dog"}]
    assert f"warning: {NAMES[1]}: labelled in pets, not in more" in report.notes
    assert "warning: dog: labelled in more, not in pets" in report.notes
    data = read_picture_set(tmp_path / "all")
    assert data.pictures[-1].content["neg_category_ids"] == [5]
    # Merged again, what was not labelled stays so, and a class labelled here and there is not common.
    third = write_set(tmp_path / "third")
    report = merge_sets([tmp_path / "all", third], tmp_path / "both", only_common=True, find_duplicates=False)
    assert [item.name for item in read_picture_set(tmp_path / "both").categories] == [NAMES[0]]
    assert "dog" in report.labelled[0] and "dog" not in report.labelled[1]
    assert "warning: dog: labelled in all, not in third (left out)" in report.notes
    assert not any(unlabelled(tmp_path / "both").values())


def test_no_class_in_common_is_an_error(sources: list[Path], tmp_path: Path) -> None:
    file = sources[1] / "annotations" / "instances_test.json"
    file.with_name("instances_train.json").unlink()
    write(file, coco_json([{"id": 3, "file_name": "a b.png"}], [], ["cow"]))
    with pytest.raises(BoxpaintError, match="no class is labelled on every picture"):
        merge_sets(sources, tmp_path / "all", only_common=True)
    assert not (tmp_path / "all").exists()


def test_sets_that_label_the_same_say_only_that_one_is_painted(pets: Path, tmp_path: Path) -> None:
    sources = [pets, write_set(tmp_path / "more")]
    write(sources[1] / "run.json", "{}")
    report = merge_sets(sources, tmp_path / "all", find_duplicates=False)
    assert [note for note in report.notes if note.startswith("warning")] == [
        "warning: val holds 1 real and 1 painted pictures: scores on it, and weights that a training chooses by it, "
        "are not for real pictures alone"
    ]
    assert not any(unlabelled(tmp_path / "all").values())


def test_what_cannot_be_merged(sources: list[Path], tmp_path: Path) -> None:
    with pytest.raises(BoxpaintError, match=r"there is no category wolf; known: house cat|House Cat"):
        merge_sets(sources, tmp_path / "all", {"wolf": "dog"})
    with pytest.raises(RunMismatchError, match="what is to be read lies in this folder"):
        merge_sets(sources, sources[1], options=ExportOptions(overwrite=True))
    with pytest.raises(DatasetError, match="no such file or folder"):
        merge_sets([sources[0], tmp_path / "gone"], tmp_path / "all")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["more", "pets"]
