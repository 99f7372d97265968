"""COCO and its look-alikes, faults included; what goes out as COCO is what came in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from detection.datasets.read import read_detection_set
from detection.formats.exporting import export_set
from generator.dataset.validation import validate_dataset
from generator.foundation.errors import DatasetError
from tests.detection.formats.sources import ALL, coco_json, refused, run, write, write_pictures

BOX = {"image_id": 1, "category_id": 1, "bbox": [4, 5, 10, 20]}


def test_cocos_own_layout(tmp_path: Path) -> None:
    source = tmp_path / "coco"
    write_pictures(source / "train2017", "000000000009.jpg", "000000000025.jpg")
    write_pictures(source / "val2017", "000000000139.jpg", seed=5)
    write_pictures(source / "unlabeled2017", "1.jpg", "2.jpg", seed=7)
    images = [{"id": 9, "file_name": "000000000009.jpg"}, {"id": 25, "file_name": "000000000025.jpg"}]
    annotations = [
        {**BOX, "id": 1, "image_id": 9},
        {**BOX, "id": 900, "image_id": 9, "iscrowd": 1, "segmentation": {"size": [30, 40], "counts": [0, 1200]}},
    ]
    for kind in ("instances", "person_keypoints"):
        write(source / "annotations" / f"{kind}_train2017.json", coco_json(images, annotations))
    write(
        source / "annotations" / "instances_val2017.json",
        coco_json(
            [{"id": 139, "file_name": "000000000139.jpg"}], [{**BOX, "id": 2, "image_id": 139, "category_id": 2}]
        ),
    )
    captions = {"images": images, "annotations": [{"id": 1, "image_id": 9, "caption": "a cat"}]}
    write(source / "annotations" / "captions_train2017.json", json.dumps(captions))
    imported = run(source)
    assert imported.report.format == "coco"
    assert imported.splits == {"train": ["000000000009.jpg", "000000000025.jpg"], "val": ["000000000139.jpg"]}
    assert imported.boxes["000000000009.jpg"] == [("cat", [4, 5, 14, 25])]
    assert imported.boxes["000000000139.jpg"] == [("dog", [4, 5, 14, 25])]
    assert imported.cases == [
        ("annotations/person_keypoints_train2017.json", "labels of another kind beside instances", "dropped"),
        ("annotations/instances_train2017.json", "a crowd, not one object", "dropped"),
        ("unlabeled2017", "pictures that belong to no annotation", "dropped"),
    ]
    assert (imported.report.pictures.source, imported.report.pictures.written) == (5, 3)
    assert (imported.report.objects.source, imported.report.objects.written) == (3, 2)
    identifiers = [item["id"] for content in imported.contents.values() for item in content["annotations"]]
    assert sorted(identifiers) == [1, 2]


def test_roboflow_folders_and_its_heading(source: Path) -> None:
    content = json.loads(coco_json([{"id": 0, "file_name": "a.jpg"}], [{**BOX, "id": 0, "image_id": 0}]))
    content["categories"] = [
        {"id": 0, "name": "animals", "supercategory": "none"},
        {"id": 1, "name": "cat", "supercategory": "animals"},
        {"id": 2, "name": "dog", "supercategory": "animals"},
    ]
    for number, split in enumerate(("train", "valid")):
        write_pictures(source / split, "a.jpg", seed=number)
        write(source / split / "_annotations.coco.json", json.dumps(content))
    imported = run(source)
    assert imported.splits == {"train": ["train_a.jpg"], "val": ["valid_a.jpg"]}
    assert imported.report.categories == ("cat", "dog")
    assert "a heading, not a category" in imported.what


@pytest.mark.parametrize(
    ("file", "file_name"),
    [
        ("annotations/instances_default.json", "a.jpg"),  # CVAT
        ("result.json", "images\\a.jpg"),  # Label Studio on Windows
        ("result.json", "/home/someone/data/images/a.jpg"),
        ("labels.json", "images/a.jpg"),
        ("labels.json", "a.png"),
    ],
)
def test_pictures_are_found_whatever_the_file_calls_them(source: Path, file: str, file_name: str) -> None:
    write_pictures(source / "images", "a.jpg", "b.jpg")
    images = [{"id": 1, "file_name": file_name}, {"id": 2, "file_name": "b.jpg"}]
    write(source / file, coco_json(images, [{**BOX, "id": 1}]))
    imported = run(source)
    assert imported.boxes == {"a.jpg": [("cat", [4, 5, 14, 25])], "b.jpg": []}
    assert sorted(imported.splits) == ["train", "val"]  # made: no name says train


def rle(box_xyxy: tuple[int, int, int, int], *, compressed: bool) -> dict[str, Any]:
    mask = np.zeros((30, 40), np.uint8)
    x_min, y_min, x_max, y_max = box_xyxy
    mask[y_min:y_max, x_min:x_max] = 1
    if compressed:
        encoded = coco_mask.encode(np.asfortranarray(mask))
        return {"size": encoded["size"], "counts": encoded["counts"].decode()}
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(np.concatenate([[0], flat, [1 - flat[-1]]])))
    return {"size": [30, 40], "counts": np.diff(np.concatenate([[0], changes])).tolist()}


SQUARE = [4, 5, 14, 5, 14, 25, 4, 25]
ANNOTATIONS: dict[str, tuple[dict[str, Any], Any, str | None]] = {
    # annotation -> segmentation that comes in (None: the object is dropped), the case
    "polygon": ({"segmentation": [SQUARE]}, [SQUARE], None),
    "compressed": ({"segmentation": rle((4, 5, 14, 25), compressed=True)}, rle((4, 5, 14, 25), compressed=True), None),
    "counts": ({"segmentation": rle((4, 5, 14, 25), compressed=False)}, rle((4, 5, 14, 25), compressed=False), None),
    "none": ({"segmentation": []}, [], None),
    "point": (
        {"segmentation": [SQUARE, [1, 2, 3, 4]]},
        [SQUARE],
        "a polygon that cannot be drawn: left out",
    ),
    "odd": ({"segmentation": [[1, 2, 3]]}, [], "a mask that cannot be read: only the box is kept"),
    "words": ({"segmentation": "mask.png"}, [], "a mask that cannot be read: only the box is kept"),
    "another size": (
        {"segmentation": {"size": [60, 80], "counts": [0, 4800]}},
        [],
        "a mask that cannot be read: only the box is kept",
    ),
    "too short": (
        {"segmentation": {"size": [30, 40], "counts": [10, 100]}},
        [],
        "a mask that cannot be read: only the box is kept",
    ),
    "beyond the edge": (
        {"bbox": [30, 5, 1e9, 20], "segmentation": [[30, 5, 1e9, 5, 1e9, 25, 30, 25]]},
        [[30, 5, 40, 5, 40, 25, 30, 25]],
        "a box beyond the edge of its picture",
    ),
    "flat": ({"segmentation": SQUARE}, [SQUARE], None),
    "points": ({"segmentation": [[4, 5], [14, 5], [14, 25], [4, 25]]}, [SQUARE], None),
    "flat without a box": ({"bbox": None, "segmentation": SQUARE}, [SQUARE], "no box: taken from the polygons"),
    "endless": (
        {"segmentation": [[4, 5, float("inf"), 5, 14, 25]]},
        [],
        "a polygon that cannot be drawn: left out",
    ),
    "empty": ({"segmentation": {"size": [30, 40], "counts": [1200]}}, [], "an empty mask: only the box is kept"),
    "elsewhere": (
        {"segmentation": [[20, 5, 30, 5, 30, 25, 20, 25]]},
        [],
        "a mask that does not fit its box: only the box is kept",
    ),
    "no box": ({"bbox": None, "segmentation": [SQUARE]}, [SQUARE], "no box: taken from the polygons"),
    "empty box": ({"bbox": [], "segmentation": [SQUARE]}, [SQUARE], "no box: taken from the polygons"),
    "neither": ({"bbox": None}, None, "a box that is not four numbers"),
    "words in the box": ({"bbox": ["a", 1, 2, 3]}, None, "a box that is not four numbers"),
    "NaN": ({"bbox": [float("nan"), 1, 2, 3]}, None, "a box that is not four numbers"),
    "negative": ({"bbox": [14, 25, -10, -20]}, [], "a box from right to left or from bottom to top"),
    "unknown class": ({"category_id": 3}, None, "an unknown class"),
    "no class": ({"category_id": None}, None, "an unknown class"),
    "unknown picture": ({"image_id": 8}, None, "an annotation of no picture"),
    "list as id": ({"image_id": [1]}, None, "an annotation of no picture"),
}


@pytest.mark.parametrize(("item", "segmentation", "what"), ANNOTATIONS.values(), ids=ANNOTATIONS)
def test_annotations(source: Path, item: dict[str, Any], segmentation: Any, what: str | None) -> None:
    write_pictures(source, "a.jpg", "b.jpg")
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}]
    write(source / "train.json", coco_json(images, [{**BOX, "id": 5, **item}, {**BOX, "id": 6, "image_id": 2}]))
    imported = run(source)
    assert imported.what == ([what] if what else [])
    *written, _ = imported.contents["train"]["annotations"]
    assert [found["segmentation"] for found in written] == ([] if segmentation is None else [segmentation])
    assert imported.report.objects.source == 2
    if written:
        assert written[0]["bbox"] == ([30, 5, 10, 20] if "beyond" in (what or "") else [4, 5, 10, 20])
        assert written[0]["area"] == 200
    assert all(case.place == "annotation 5" for case in imported.report.cases)


IDS: dict[str, tuple[list[Any], list[Any], Any, Any, str | None]] = {
    # ids of images and of categories, those of an annotation -> the name of its picture
    "numbers": ([1, 2], [1, 2], 1, 2, "a.jpg"),
    "text": ([1, 2], [1, 2], "1", "2", "a.jpg"),
    "fractions": ([1, 2], [1, 2], 1.0, 2.0, "a.jpg"),
    "the other way round": (["1", "2"], ["1", "2"], 1, 2.0, "a.jpg"),
    "exact first": ([1, "1"], [1, 2], "1", 2, "b.jpg"),
    "two that it may be": (["1", " 1"], [1, 2], 1, 2, None),
    "names": (["a", "b"], ["x", "y"], "a", "y", "a.jpg"),
    "a number like no other": (["01", "02"], [1, 2], 1, 2, None),
}


@pytest.mark.parametrize(("images", "categories", "image", "category", "name"), IDS.values(), ids=IDS)
def test_ids_are_the_same_as_text_and_as_numbers(
    source: Path, images: list[Any], categories: list[Any], image: Any, category: Any, name: str | None
) -> None:
    write_pictures(source, "a.jpg", "b.jpg")
    entries = [{"id": number, "file_name": f"{name}.jpg"} for number, name in zip(images, "ab", strict=True)]
    plain = {**BOX, "id": 1, "image_id": images[0], "category_id": categories[0]}
    asked = {**BOX, "id": 2, "image_id": image, "category_id": category, "bbox": [1, 1, 8, 8]}
    content = json.loads(coco_json(entries, [plain, asked]))
    content["categories"] = [{"id": number, "name": name} for number, name in zip(categories, "xy", strict=True)]
    write(source / "train.json", json.dumps(content))
    imported = run(source)
    assert imported.boxes["a.jpg"][0] == ("x", [4, 5, 14, 25])
    found = {picture: boxes for picture, boxes in imported.boxes.items() if ("y", [1, 1, 9, 9]) in boxes}
    assert list(found) == ([name] if name else [])
    loose = [case.found for case in imported.report.cases if case.what.startswith("ids that are text here")]
    exact = (image in images and category in categories) or name is None
    assert bool(loose) is not exact


def test_pictures_without_ids_names_or_files(source: Path) -> None:
    write_pictures(source, "a.jpg", "b.jpg", "c.jpg")
    images: list[dict[str, Any]] = [
        {"id": 1, "file_name": "a.jpg", "width": None},
        {"id": 2, "file_name": "b.jpg"},
        {"id": 2, "file_name": "c.jpg"},
        {"id": 3, "file_name": None},
        {"file_name": "c.jpg"},
        {"id": 4, "file_name": "gone.jpg"},
    ]
    annotations = [{**BOX, "id": number, "image_id": image} for number, image in enumerate((1, 2, 2, 3, 4), start=1)]
    content = json.loads(coco_json(images, annotations))
    content["images"].append("a.jpg")
    content["annotations"].append("a box")
    write(source / "train.json", json.dumps(content))
    imported = run(source)
    assert imported.boxes == {"a.jpg": [("cat", [4, 5, 14, 25])]}
    assert [(case.place, case.lost_pictures, case.lost_objects) for case in imported.report.cases] == [
        ("annotations[5]", 0, 1),
        ("image 2", 1, 2),
        ("image 2", 1, 0),
        ("image 3", 1, 1),
        ("images[4]", 1, 0),
        ("images[6]", 1, 0),
        ("", 2, 0),  # b.jpg and c.jpg
        ("image 4", 1, 1),
    ]
    assert (imported.report.pictures.source, imported.report.objects.source) == (9, 6)


def test_a_category_without_a_name_is_none_and_one_with_too_long_a_name_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "s", "a.jpg")
    content = json.loads(coco_json([{"id": 1, "file_name": "a.jpg"}], [{**BOX, "id": 1}]))
    content["categories"].append({"id": 77, "name": ""})
    write(tmp_path / "s" / "train.json", json.dumps(content))
    imported = run(tmp_path / "s")
    assert imported.boxes == {"a.jpg": [("cat", [4, 5, 14, 25])]}
    assert "" not in read_detection_set(imported.report.folder).categories
    content["categories"].append({"id": 78, "name": "x" * 300})
    write(tmp_path / "t" / "train.json", json.dumps(content))
    write_pictures(tmp_path / "t", "a.jpg")
    with pytest.raises(DatasetError, match="at most 255 letters"):
        run(tmp_path / "t")


def test_a_picture_of_two_files_goes_to_the_one_to_measure_on(source: Path) -> None:
    write_pictures(source / "images", "a.jpg", "b.jpg")
    images = [{"id": 1, "file_name": "a.jpg"}]
    both = [*images, {"id": 2, "file_name": "b.jpg"}]
    write(source / "instances_train.json", coco_json(both, [{**BOX, "id": 1}]))
    write(source / "instances_test.json", coco_json(images, [{**BOX, "id": 1, "category_id": 2}]))
    imported = run(source)
    assert imported.splits == {"test": ["a.jpg"], "train": ["b.jpg"]}
    assert imported.boxes["a.jpg"] == [("dog", [4, 5, 14, 25])]
    assert imported.what == ["a picture annotated twice: the other annotation is taken"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"images": [], "annotations": [], "categories": [', ["train.json", "is not JSON"]),
        ('["images", "annotations", "categories"]', ["train.json", "a JSON object with images"]),
        (
            '{"images": {}, "annotations": [], "categories": []}',
            ["train.json", "images", "a list of this name is missing"],
        ),
        ('{"images": [], "annotations": [], "categories": []}', ["no picture could be imported as coco"]),
    ],
)
def test_what_cannot_be_read_is_refused_and_nothing_is_left(source: Path, content: str, words: list[str]) -> None:
    write(source / "train.json", content)
    refused(source, *words)


def test_what_boxpaint_wrote_comes_back_the_same(source: Path) -> None:
    write_pictures(source / "images", *(f"{name}.jpg" for name in "abcdef"))
    images = [{"id": number, "file_name": f"{name}.jpg"} for number, name in enumerate("abcdef", start=1)]
    annotations = [{**BOX, "id": number, "image_id": number, "segmentation": [SQUARE]} for number in range(1, 7)]
    write(source / "all.json", coco_json(images, annotations))
    once = run(source, shares={"one": 0.5, "two": 0.5})
    again = run(once.out)
    assert again.contents.keys() == once.contents.keys() == {"one", "two"}
    for split in once.contents:
        for section in ("images", "annotations", "categories"):
            assert again.contents[split][section] == once.contents[split][section]
    assert not again.cases


def test_what_a_picture_does_not_label_is_kept_by_the_new_names(tmp_path: Path) -> None:
    write_pictures(tmp_path / "s", "a.jpg", "b.jpg")
    images = [
        {"id": 1, "file_name": "a.jpg", "not_exhaustive_category_ids": [2, 99]},
        {"id": 2, "file_name": "b.jpg"},
    ]
    write(tmp_path / "s" / "set.json", coco_json(images, [{**BOX, "id": 1}, {**BOX, "id": 2, "image_id": 2}]))
    run(tmp_path / "s", shares=ALL, rename={"dog": "hound"})
    assert read_detection_set(tmp_path / "s.imported").unlabelled() == {"hound": 1}


def test_everything_stays(pets: Path, tmp_path: Path) -> None:
    export_set(pets, tmp_path / "out", "coco")
    for split in ("train", "val"):
        before, after = (
            json.loads((folder / "annotations" / f"instances_{split}.json").read_bytes())
            for folder in (pets, tmp_path / "out")
        )
        assert after == before
    assert not validate_dataset(tmp_path / "out").faults


def test_a_file_for_each_class_is_one_set_and_a_second_opinion_is_not(source: Path) -> None:
    write_pictures(source, "a.jpg", "b.jpg")
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}]

    def labels(number: int, *boxes: list[int]) -> list[dict[str, Any]]:
        return [{"id": each, "image_id": each, "category_id": number, "bbox": box} for each, box in enumerate(boxes, 1)]

    cat, dog = [4, 5, 10, 20], [1, 1, 8, 8]
    write(source / "cats.json", coco_json(images, labels(1, cat, cat), ["cat"]))
    write(source / "dogs.json", coco_json(images, labels(1, dog), ["dog"]))
    imported = run(source, shares=ALL)
    assert imported.boxes == {
        "a.jpg": [("cat", [4, 5, 14, 25]), ("dog", [1, 1, 9, 9])],
        "b.jpg": [("cat", [4, 5, 14, 25])],
    }
    assert imported.report.pictures.source == 2
    assert imported.cases == [
        ("cats.json", "categories that other files of the set list and this one does not", "kept"),
        ("dogs.json", "categories that other files of the set list and this one does not", "kept"),
        ("cats.json", "a picture in several files, each with classes of its own: its objects are joined", "mended"),
        ("cats.json", "a picture in several files, each with classes of its own: its objects are joined", "mended"),
    ]
    write(source / "dogs.json", coco_json(images, labels(1, dog)))  # these are cats, too
    imported = run(source, shares=ALL, overwrite=True)
    assert imported.boxes["a.jpg"] == [("cat", [4, 5, 14, 25])]
    assert imported.what.count("a picture annotated twice: the other annotation is taken") == 2
