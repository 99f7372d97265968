"""YOLO as Ultralytics, Roboflow, CVAT, Darknet and LabelImg lay it out, faults included, and as we write it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from detection.datasets.picture_set import Category
from detection.detectors.yolo_library import DEFAULT_CFG
from detection.formats.exporting import export_set
from detection.formats.raw import Cases
from detection.formats.yolo import box_line, join_parts, looks_like_labels, polygon_line, polygons_of, read_lines
from generator.foundation.errors import DatasetError
from generator.labels.segmentation import decode_segmentation
from tests.detection.formats.sets import NAMES, PARTS, RUNS, SQUARE, annotation
from tests.detection.formats.sources import ALL, lay_out, refused, run, write, write_pictures

# 40 x 30 px: centre (10, 15), 20 x 10 px.
CAT, CAT_BOX = "0 0.25 0.5 0.5 0.333333\n", [0, 10, 20, 20]
DOG, DOG_BOX = "1 0.5 0.5 0.1 0.2\n", [18, 12, 22, 18]


def write_splits(root: Path, *splits: str, pattern: str = "{kind}/{split}") -> None:
    """Two pictures a split: one with a cat and a dog, one whose label file is empty."""
    for number, split in enumerate(splits):
        images, labels = (root / pattern.format(kind=kind, split=split) for kind in ("images", "labels"))
        write_pictures(images, f"{split}_a.jpg", f"{split}_b.jpg", seed=10 * number)
        write(labels / f"{split}_a.txt", CAT + DOG)
        write(labels / f"{split}_b.txt", "")


ULTRALYTICS = """# COCO8-like
path: coco8 # dataset root dir
train: images/train # train images (relative to 'path')
val: images/val
test: # test images (optional)

names:
  0: cat
  1: dog
"""
ROBOFLOW = """train: ../train/images
val: ../valid/images
test: ../test/images

nc: 2
names: ['cat', 'dog']

roboflow:
  workspace: w
  license: CC BY 4.0
"""


def test_ultralytics(source: Path) -> None:
    write_splits(source, "train", "val")
    write(source / "coco8.yaml", ULTRALYTICS)
    imported = run(source)
    assert imported.report.format == "yolo"
    assert imported.splits == {"train": ["train_a.jpg", "train_b.jpg"], "val": ["val_a.jpg", "val_b.jpg"]}
    for split in ("train", "val"):
        assert imported.boxes[f"{split}_a.jpg"] == [("cat", CAT_BOX), ("dog", DOG_BOX)]
    assert imported.report.categories == ("cat", "dog")
    assert not imported.cases


def test_roboflow_with_its_dots(source: Path) -> None:
    write_splits(source, "train", "valid", "test", pattern="{split}/{kind}")
    write(source / "data.yaml", ROBOFLOW)
    write(source / "README.dataset.txt", "# animals > 2024\nhttps://universe.roboflow.com\n")
    imported = run(source)
    assert imported.splits == {
        "train": ["train_a.jpg", "train_b.jpg"],
        "val": ["valid_a.jpg", "valid_b.jpg"],
        "test": ["test_a.jpg", "test_b.jpg"],
    }
    assert not imported.cases


def test_a_folder_that_data_yaml_names_is_not_there(source: Path) -> None:
    write_splits(source, "train", pattern="{split}/{kind}")
    write(source / "data.yaml", ROBOFLOW)
    imported = run(source)
    assert imported.splits == {"train": ["train_a.jpg", "train_b.jpg"]}
    assert [(case.place, case.found) for case in imported.report.cases] == [
        ("val", "../valid/images"),
        ("test", "../test/images"),
    ]


def test_train_and_val_are_the_same_folder_as_in_coco128(source: Path) -> None:
    write_splits(source, "train2017")
    write(source / "coco128.yaml", "train: images/train2017\nval: images/train2017\nnames: [cat, dog]\n")
    imported = run(source)
    assert list(imported.splits) == ["train"]
    assert imported.what == ["one folder or list for two splits: it is the first one's"]


def test_cvat_with_lists_in_data_yaml(source: Path) -> None:
    write_splits(source, "train", "validation")
    write(source / "data.yaml", "path: ./\ntrain: train.txt\nval: [val.txt]\nnames: {0: cat, 1: dog}\n")
    write(source / "train.txt", "data/images/train/train_a.jpg\nimages/train/train_b.jpg\n")
    write(source / "val.txt", "images/validation/validation_b.jpg\nC:\\data\\images\\validation\\validation_a.jpg\n")
    imported = run(source)
    assert imported.splits == {
        "train": ["train_a.jpg", "train_b.jpg"],
        "val": ["validation_a.jpg", "validation_b.jpg"],
    }
    assert not imported.cases


def test_darknet(source: Path) -> None:
    write_pictures(source / "obj_train_data", "a.jpg", "b.jpg", "c.jpg")
    for name in "abc":
        write(source / "obj_train_data" / f"{name}.txt", DOG)
    write(source / "obj.names", "cat\ndog\n")
    write(
        source / "obj.data",
        "classes = 2\ntrain = data/train.txt\nvalid = data/test.txt\nnames = data/obj.names\nbackup = backup/\n",
    )
    write(source / "train.txt", "data/obj_train_data/a.jpg\ndata/obj_train_data/b.jpg\n")
    write(source / "test.txt", "data/obj_train_data/c.jpg\n")
    imported = run(source)
    assert imported.splits == {"train": ["a.jpg", "b.jpg"], "val": ["c.jpg"]}
    assert imported.boxes["c.jpg"] == [("dog", DOG_BOX)]
    assert not imported.cases


def test_labelimg_in_one_folder(source: Path) -> None:
    imported = run(
        lay_out(source, "a.jpg b.jpg c.png", {"classes.txt": "cat\ndog\n", "a.txt": CAT, "b.txt": DOG}),
        shares={"train": 0.5, "val": 0.5},
    )
    assert imported.boxes == {"a.jpg": [("cat", CAT_BOX)], "b.jpg": [("dog", DOG_BOX)], "c.png": []}
    assert imported.cases == [("c.png", "no annotation: a picture without objects", "kept")]


def test_polygons(source: Path) -> None:
    imported = run(
        lay_out(
            source,
            "images/train/a.jpg",
            {
                "labels/train/a.txt": "1 0.25 0.2 0.5 0.2 0.5 0.6 0.25 0.6\n0 .1 .1 .5 .1 .5 .5\n",
                "data.yaml": "train: images/train\nnames: [cat, dog]\n",
            },
        )
    )
    dog, cat = imported.contents["train"]["annotations"]
    assert dog["segmentation"] == [[10, 6, 20, 6, 20, 18, 10, 18]]
    assert (dog["bbox"], dog["area"]) == ([10, 6, 10, 12], 120)
    assert cat["bbox"] == [4, 3, 16, 12]
    assert not imported.cases


def test_faults(source: Path) -> None:
    write_pictures(source / "images", "a.jpg", "b.jpg")
    lines = [CAT.strip(), "7 0.5 0.5 0.1 0.1", "0 0.5 0.5 0.1", "dog 0.5 0.5 0.1 0.1", "0 nan 0.5 0.1 0.1"]
    lines += ["0 0.5 0.5 0 0.1", "", "1 1.5 0.5 0.1 0.1", "0 0.95 0.5 0.2 0.2", "-1 .5 .5 .1 .1", CAT.strip()]
    write(source / "labels" / "a.txt", "\n".join(lines))
    write(source / "labels" / "b.txt", "some words\n")
    write(source / "labels" / "gone.txt", CAT + DOG)
    write(source / "classes.txt", "cat\ndog\n")
    imported = run(source, shares=ALL)
    assert imported.boxes == {"a.jpg": [("cat", CAT_BOX), ("cat", [34, 12, 40, 18])], "b.jpg": []}
    listed = [(case.place, case.what, case.done) for case in imported.report.cases if case.file == "labels/a.txt"]
    assert listed == [
        ("line 2", "an unknown class", "dropped"),
        ("line 3", "a line that is no label", "dropped"),
        ("line 4", "an unknown class", "dropped"),
        ("line 10", "an unknown class", "dropped"),
        ("line 5", "a box that is not four numbers", "dropped"),
        ("line 6", "a box without an area", "dropped"),
        ("line 8", "a box outside of its picture", "dropped"),
        ("line 9", "a box beyond the edge of its picture", "mended"),
        ("line 11", "the same box of the same class twice", "dropped"),
    ]
    others = [(case.file, case.what, case.lost_objects) for case in imported.report.cases if "a.txt" not in case.file]
    assert others == [
        ("labels/b.txt", "a line that is no label", 1),
        ("labels/gone.txt", "a picture that is missing", 2),
    ]
    assert (imported.report.objects.source, imported.report.objects.written) == (13, 2)
    assert (imported.report.pictures.source, imported.report.pictures.written) == (3, 2)


def test_without_names_classes_are_numbers(source: Path) -> None:
    imported = run(lay_out(source, "a.jpg", {"a.txt": "10 0.5 0.5 0.1 0.2\n2 0.25 0.5 0.5 0.333333\n"}), shares=ALL)
    assert imported.report.categories == ("2", "10")
    assert imported.what == ["no names of the classes: they are called by their numbers"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"data.yaml": "names: {cat: 0}\n"}, ["data.yaml", "names", "0: cat"]),
        ({"data.yaml": "names: [cat\ntrain: x\n"}, ["data.yaml", "YAML"]),
        ({"x/classes.txt": "cat\n", "y/classes.txt": "dog\n"}, ["x/classes.txt", "y/classes.txt", "differ"]),
    ],
)
def test_names_that_cannot_be_read(source: Path, files: dict[str, str], words: list[str]) -> None:
    write_pictures(source, "a.jpg")
    write(source / "a.txt", CAT)
    for name, content in files.items():
        write(source / name, content)
    refused(source, *words)


@pytest.mark.parametrize(
    ("line", "has_keypoints", "box"),
    [
        ("0 0.5 0.5 0.2 0.4", False, (0.4, 0.3, 0.6, 0.7)),
        ("0 0.5 0.5 0.2 0.4 0.93", False, (0.4, 0.3, 0.6, 0.7)),  # a confidence
        ("0.0 0.5 0.5 0.2 0.4", False, (0.4, 0.3, 0.6, 0.7)),
        ("0 0.1 0.2 0.3 0.2 0.3 0.6", False, (0.1, 0.2, 0.3, 0.6)),
        ("0 0.5 0.5 0.2 0.4 0.1 0.1 2 0.2 0.2 0", True, (0.4, 0.3, 0.6, 0.7)),
        ("0 0.5 0.5 0.2 0.4 0.1 0.1 2 0.2 0.2 0", False, (0.1, 0.0, 2, 0.5)),  # nothing says that it is none
    ],
)
def test_lines(line: str, has_keypoints: bool, box: tuple[float, ...]) -> None:
    (item,) = read_lines(line, "a.txt", {0: "cat"}, cases := Cases(), has_keypoints=has_keypoints)
    assert not cases
    assert item.box == pytest.approx(box)


words = st.sampled_from(["0", "1", "9", "-1", "0.5", "1e999", "nan", "cat", "", " ", "\t", "0x1", "1_0", "٣"])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(lines=st.lists(st.lists(words, max_size=9)), has_keypoints=st.booleans())
def test_every_line_is_an_object_or_a_case(lines: list[list[str]], has_keypoints: bool) -> None:
    text = "\n".join(" ".join(line) for line in lines)
    objects = read_lines(text, "a.txt", {0: "cat", 1: "dog"}, cases := Cases(), has_keypoints=has_keypoints)
    assert len(objects) + sum(case.lost_objects for case in cases) == sum(
        bool(line.strip()) for line in text.split("\n")
    )
    assert all(item.category in ("cat", "dog") for item in objects)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("\n\n0 .1 .1 .1 .1\n", True),
        ("0 .1 .1 .1", False),
        ("a cat on a mat is here", False),
        ("BloodImage_00001\n", False),
        ("0 1 nan 1 1", False),
    ],
)
def test_what_looks_like_labels(text: str, expected: bool) -> None:
    assert looks_like_labels(text) is expected


CATEGORY = Category(id=1, name="cat", content={})


@given(
    size_wh=st.tuples(st.integers(1, 8192), st.integers(1, 8192)),
    shares=st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_boxes_come_back_to_a_hundredth_of_a_pixel(size_wh: tuple[int, int], shares: list[float]) -> None:
    (left, right), (top, bottom) = sorted(shares[:2]), sorted(shares[2:])
    size = np.array([*size_wh, *size_wh])
    box = np.array([left, top, right - left, bottom - top]) * size
    x, y, width, height = map(float, box_line(annotation(CATEGORY, tuple(box)), size_wh).split())
    read = np.array([x - width / 2, y - height / 2, width, height]) * size
    assert np.abs(read - box).max() < 0.0125
    assert all(0 <= value <= 1 for value in (x, y, width, height))


def test_the_layout(pets: Path, tmp_path: Path) -> None:
    report = export_set(pets, tmp_path / "out", "yolo")
    out = tmp_path / "out"
    assert (out / "labels" / "train" / "a b.txt").read_text() == (
        "0 0.675000 0.133333 0.350000 0.133333\n1 0.225000 0.333333 0.250000 0.333333\n"
    )
    assert (out / "labels" / "train" / "x.y.txt").read_text().count("\n") == 1  # the crowd is none
    assert (out / "labels" / "train" / "empty.txt").read_text() == ""
    assert (out / "images" / "val" / "ä.png").is_file()
    assert yaml.safe_load((out / "data.yaml").read_text(encoding="utf-8")) == {
        "train": "images/train",
        "val": "images/val",
        "names": dict(enumerate(NAMES)),
    }
    assert report.notes == ()


def test_a_split_that_ultralytics_needs_is_never_missing(pets: Path, tmp_path: Path) -> None:
    file = pets / "annotations" / "instances_train.json"
    report = export_set(file, tmp_path / "out", "yolo")
    content = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text(encoding="utf-8"))
    assert content["train"] == content["val"] == "images/train"
    assert "there is no split val" in report.notes[0]


@pytest.mark.parametrize(
    ("renamed", "folders"),
    [
        ({"val": "test"}, {"train": "images/train", "test": "images/test", "val": "images/train"}),
        ({"train": "test"}, {"test": "images/test", "val": "images/val", "train": "images/val"}),
    ],
)
def test_test_pictures_choose_no_weights(
    pets: Path, tmp_path: Path, renamed: dict[str, str], folders: dict[str, str]
) -> None:
    folder = pets / "annotations"
    for old, new in renamed.items():
        (folder / f"instances_{old}.json").rename(folder / f"instances_{new}.json")
    export_set(tmp_path / "pets", tmp_path / "out", "yolo")
    content = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text(encoding="utf-8"))
    assert {key: value for key, value in content.items() if key != "names"} == folders


def test_parts_are_tied_without_changing_the_area() -> None:
    polygon = join_parts(polygons_of(PARTS, (30, 40)))
    x, y = polygon.T
    assert abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2 == 32
    assert {tuple(point) for point in polygon} == {tuple(point) for point in np.reshape(PARTS, (-1, 2))}
    mask = decode_segmentation([polygon.reshape(-1).tolist()], (30, 40))
    assert np.array_equal(mask, decode_segmentation(PARTS, (30, 40)))


def test_run_lengths_are_traced() -> None:
    assert np.array_equal(polygons_of(SQUARE, (30, 40)), np.reshape(SQUARE, (1, -1, 2)))
    (polygon,) = polygons_of(RUNS, (30, 40))
    drawn = decode_segmentation([polygon.reshape(-1).tolist()], (30, 40))
    assert np.array_equal(drawn, decode_segmentation(RUNS, (30, 40)))


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ([[1, 2]], "three points"),
        ([[1, 2, 3]], "x and y in turn"),
        (["words"], "x and y in turn"),
        (7, "x and y in turn"),
    ],
)
def test_what_is_no_polygon(segmentation: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        polygons_of(segmentation, (30, 40))


def test_polygons_in_shares_and_boxes_where_there_is_no_mask(pets: Path, tmp_path: Path) -> None:
    square = "0.100000 0.166667 0.350000 0.166667 0.350000 0.500000 0.100000 0.500000"
    for segmentation in (SQUARE, None):
        assert polygon_line(annotation(CATEGORY, (4, 5, 10, 10), segmentation), (40, 30)) == square
    with pytest.raises(DatasetError, match="annotation 1: its mask"):
        polygon_line(annotation(CATEGORY, (4, 5, 10, 10), [[1, 2]]), (40, 30))
    report = export_set(pets, tmp_path / "out", "yolo-seg")
    assert report.notes == ("1 labels have no mask: the corners of their boxes are written as the polygon",)


@pytest.mark.parametrize("form", ["yolo", "yolo-seg"])
def test_ultralytics_reads_the_folder_wherever_it_is_moved(
    form: str, pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    export_set(
        pets,
        tmp_path / "made",
        form,
    )
    shutil.move(tmp_path / "made", tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    described = check_det_dataset(str(tmp_path / "moved" / "data.yaml"), autodownload=False)
    assert described["names"] == dict(enumerate(NAMES))
    task = "segment" if form == "yolo-seg" else "detect"
    hyp, found = DEFAULT_CFG, {}
    for split in ("train", "val"):
        read = YOLODataset(img_path=described[split], data=described, hyp=hyp, augment=False, task=task).labels
        found.update({Path(item["im_file"]).name: item for item in read})
    assert {name: item["cls"].reshape(-1).tolist() for name, item in found.items()} == {
        "a b.png": [0, 1],
        "x.y.jpg": [1],
        "empty.png": [],
        "ä.png": [0],
    }
    assert np.allclose(found["a b.png"]["bboxes"] * (40, 30, 40, 30), [[27, 4, 14, 4], [9, 10, 10, 10]], atol=1e-3)
    if form == "yolo-seg":
        assert [len(points) for points in found["a b.png"]["segments"]] == [10, 4]
        assert np.allclose(found["ä.png"]["segments"][0] * (40, 30), np.reshape(SQUARE, (-1, 2)), atol=1e-3)
