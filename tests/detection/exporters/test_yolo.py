"""What is written is what other readers read: ours, which knows many dialects, and ultralytics' own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from detection.datasets.types import DetectionSet, Sample
from detection.datasets.yolo_format import label_lines, write_yolo
from detection.detectors.yolo_library import DEFAULT_CFG  # before ultralytics, which it keeps from changing the process
from detection.importers import yolo
from detection.importers.files import SourceFiles
from generator.errors import DatasetError
from tests.detection.discs import COLOURS, SIZE_WH, disc_splits

CATEGORIES = tuple(COLOURS)
COUNTS = {"train": 5, "val": 3}


@pytest.mark.parametrize(
    ("boxes", "labels", "lines"),
    [
        ([], [], ""),
        ([[20, 10, 60, 30]], [2], "1 0.200000 0.200000 0.200000 0.200000\n"),
        (
            [[0, 0, 200, 100], [0.5, 0, 1, 100]],
            [1, 3],
            "0 0.500000 0.500000 1.000000 1.000000\n2 0.003750 0.500000 0.002500 1.000000\n",
        ),
    ],
)
def test_lines_are_centre_and_size_in_shares(boxes: list[list[float]], labels: list[int], lines: str) -> None:
    assert label_lines(Sample.of(Path("a.png"), (200, 100), boxes, labels)) == lines


@given(
    size_wh=st.tuples(st.integers(1, 8192), st.integers(1, 8192)),
    shares=st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_boxes_come_back_to_a_hundredth_of_a_pixel(size_wh: tuple[int, int], shares: list[float]) -> None:
    (left, right), (top, bottom) = sorted(shares[:2]), sorted(shares[2:])
    size = np.array([*size_wh, *size_wh])
    sample = Sample.of(Path("a.png"), size_wh, [[left, top, right, bottom] * size], [1])
    x, y, width, height = map(float, label_lines(sample).split()[1:])
    read = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2]) * size
    assert np.abs(read - sample.boxes_xyxy[0]).max() < 0.01
    assert all(0 <= value <= 1 for value in (x, y, width, height))


def test_ultralytics_reads_the_folder_wherever_it_is_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    splits = disc_splits(tmp_path / "made", COUNTS, seed=3)
    write_yolo(splits, tmp_path / "made")
    shutil.move(tmp_path / "made", tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    described = check_det_dataset(str(tmp_path / "moved" / "data.yaml"), autodownload=False)
    assert described["names"] == dict(enumerate(CATEGORIES))
    for split, data in splits.items():
        read = YOLODataset(img_path=described[split], data=described, hyp=DEFAULT_CFG, augment=False).labels
        by_name = {Path(item["im_file"]).name: item for item in read}
        assert set(by_name) == {sample.path.name for sample in data.samples}
        for sample in data.samples:
            item = by_name[sample.path.name]
            assert item["cls"].reshape(-1).tolist() == (sample.labels - 1).tolist()
            centre, size = item["bboxes"][:, :2] * SIZE_WH, item["bboxes"][:, 2:] * SIZE_WH
            corners = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
            assert np.abs(corners - sample.boxes_xyxy).max() < 0.01


def test_our_importer_reads_it_back_without_a_case(tmp_path: Path) -> None:
    splits = disc_splits(tmp_path, COUNTS, seed=3)
    write_yolo(splits, tmp_path)
    read = yolo.read(SourceFiles.open(tmp_path))
    assert (read.categories, read.cases) == (CATEGORIES, ())
    by_path = {tmp_path / picture.path: picture for picture in read.pictures if picture.path is not None}
    assert len(by_path) == sum(COUNTS.values())
    for split, data in splits.items():
        for sample in data.samples:
            picture = by_path[sample.path]
            assert picture.split == split
            assert [CATEGORIES.index(item.category) + 1 for item in picture.objects] == sample.labels.tolist()
            boxes = np.array([item.box for item in picture.objects]) * (*SIZE_WH, *SIZE_WH)
            assert np.abs(boxes - sample.boxes_xyxy).max() < 0.01


def test_subfolders_lists_and_empty_pictures(tmp_path: Path) -> None:
    data = disc_splits(tmp_path, {"train": 2}, seed=0)["train"]
    below = tmp_path / "images" / "a b" / "ä.png"
    below.parent.mkdir()
    shutil.copy(data.samples[0].path, below)
    empty = Sample.of(below, SIZE_WH, [], [])
    data = replace(data, samples=(*data.samples, empty, data.samples[0]))  # one of them twice
    path = write_yolo({"train": data, "test": data.choose([2])}, tmp_path)
    assert (tmp_path / "labels" / "a b" / "ä.txt").read_text() == ""
    assert (tmp_path / "test.txt").read_text(encoding="utf-8") == "./images/a b/ä.png\n"
    assert len((tmp_path / "train.txt").read_text(encoding="utf-8").splitlines()) == 4
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == {
        "train": "train.txt",
        "test": "test.txt",
        "names": {0: "red", 1: "blue"},
    }


def test_pictures_that_would_share_labels_are_refused(tmp_path: Path) -> None:
    data = disc_splits(tmp_path, {"train": 2}, seed=0)["train"]
    first, second = data.samples
    cases = [
        replace(second, path=first.path),
        replace(second, path=first.path.with_suffix(".jpg")),
    ]
    for other in cases:
        with pytest.raises(DatasetError, match=r"would both be in labels/disc_train_000\.txt"):
            write_yolo({"train": DetectionSet(categories=CATEGORIES, samples=(first, other))}, tmp_path)
    assert not (tmp_path / "labels").exists()


def test_splits_of_other_categories_are_refused(tmp_path: Path) -> None:
    splits = disc_splits(tmp_path, COUNTS, seed=0)
    splits["val"] = replace(splits["val"], categories=("blue", "red"))
    with pytest.raises(ValueError, match="same categories"):
        write_yolo(splits, tmp_path)
