"""Labels of YOLO, boxes and polygons: what is written by hand, and what ultralytics makes of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from detection.datasets.picture_set import Annotation, Category
from detection.detectors.yolo_library import DEFAULT_CFG  # before ultralytics, which it keeps from changing the process
from detection.formats.exporting import export_set
from detection.formats.yolo import box_line, join_parts, polygon_line, polygons_of
from generator.foundation.errors import DatasetError
from generator.labels.segmentation import decode_segmentation
from tests.detection.exporters.sets import NAMES, PARTS, RUNS, SQUARE, write_set

CATEGORY = Category(id=1, name="cat", content={})


def annotation(box_xywh: tuple[float, float, float, float], segmentation: object = None) -> Annotation:
    return Annotation(
        id=1,
        category=CATEGORY,
        box_xywh=box_xywh,
        area=1,
        segmentation=segmentation,
        is_crowd=False,
        score=None,
        content={},
    )


@pytest.mark.parametrize(
    ("box", "line"),
    [
        ((20, 10, 40, 20), "0.200000 0.200000 0.200000 0.200000"),
        ((0, 0, 200, 100), "0.500000 0.500000 1.000000 1.000000"),
        ((0.5, 0, 0.5, 100), "0.003750 0.500000 0.002500 1.000000"),
    ],
)
def test_lines_are_centre_and_size_in_shares(box: tuple[float, float, float, float], line: str) -> None:
    assert box_line(annotation(box), (200, 100)) == line


@given(
    size_wh=st.tuples(st.integers(1, 8192), st.integers(1, 8192)),
    shares=st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_boxes_come_back_to_a_hundredth_of_a_pixel(size_wh: tuple[int, int], shares: list[float]) -> None:
    (left, right), (top, bottom) = sorted(shares[:2]), sorted(shares[2:])
    size = np.array([*size_wh, *size_wh])
    box = np.array([left, top, right - left, bottom - top]) * size
    x, y, width, height = map(float, box_line(annotation(tuple(box)), size_wh).split())
    read = np.array([x - width / 2, y - height / 2, width, height]) * size
    assert np.abs(read - box).max() < 0.0125
    assert all(0 <= value <= 1 for value in (x, y, width, height))


def test_the_layout(tmp_path: Path) -> None:
    report = export_set(write_set(tmp_path / "pets"), tmp_path / "out", "yolo")
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


def test_a_split_that_ultralytics_needs_is_never_missing(tmp_path: Path) -> None:
    file = write_set(tmp_path / "pets") / "annotations" / "instances_train.json"
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
def test_test_pictures_choose_no_weights(tmp_path: Path, renamed: dict[str, str], folders: dict[str, str]) -> None:
    folder = write_set(tmp_path / "pets") / "annotations"
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


def test_polygons_in_shares_and_boxes_where_there_is_no_mask(tmp_path: Path) -> None:
    square = "0.100000 0.166667 0.350000 0.166667 0.350000 0.500000 0.100000 0.500000"
    for segmentation in (SQUARE, None):
        assert polygon_line(annotation((4, 5, 10, 10), segmentation), (40, 30)) == square
    with pytest.raises(DatasetError, match="annotation 1: its mask"):
        polygon_line(annotation((4, 5, 10, 10), [[1, 2]]), (40, 30))
    report = export_set(write_set(tmp_path / "pets"), tmp_path / "out", "yolo-seg")
    assert report.notes == ("1 labels have no mask: the corners of their boxes are written as the polygon",)


@pytest.mark.parametrize("form", ["yolo", "yolo-seg"])
def test_ultralytics_reads_the_folder_wherever_it_is_moved(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    export_set(
        write_set(tmp_path / "pets"),
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
