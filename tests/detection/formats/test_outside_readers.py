"""Exports opened by programs that no one here wrote; more of them in test_yolo.py, test_voc.py and test_crops.py.

A reader and a writer of ours that are wrong in the same way understand each other: here both are held to known boxes.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detection.formats.exporting import export_set
from detection.formats.registry import FORMATS
from generator import Config, load_spec
from tests.detection.formats.sets import NAMES, write_set
from tests.detection.formats.sources import ALL, draw, lay_out, run
from tests.generator.records import draw_run


def exported(folder: Path, form: str) -> Path:
    export_set(write_set(folder / "pets"), folder / form, form)
    return folder / form


def test_pycocotools_and_torchvision_read_coco(tmp_path: Path) -> None:
    from torchvision.datasets import CocoDetection

    out = exported(tmp_path, "coco")
    read = CocoDetection(str(out / "images"), str(out / "annotations" / "instances_train.json"))
    assert read.ids == [3, 7, 8]
    assert [len(targets) for _, targets in read] == [2, 2, 0]
    masks = [int(read.coco.annToMask(item).sum()) for item in read.coco.loadAnns([11, 12])]
    assert masks == [32, 100]


@pytest.mark.parametrize(("form", "has_masks"), [("yolo", False), ("yolo-seg", True)])
def test_supervision_reads_yolo(tmp_path: Path, form: str, has_masks: bool) -> None:
    import supervision

    out = exported(tmp_path, form)
    read = supervision.DetectionDataset.from_yolo(
        str(out / "images" / "train"), str(out / "labels" / "train"), str(out / "data.yaml"), force_masks=has_masks
    )
    assert read.classes == [*NAMES]
    found = {Path(path).name: item for path, _, item in read}
    assert sorted(found) == ["a b.png", "empty.png", "x.y.jpg"]
    assert np.allclose(found["a b.png"].xyxy, [[20, 2, 34, 6], [4, 5, 14, 15]], atol=1.01 if has_masks else 1e-3)
    assert len(found["empty.png"]) == 0
    if has_masks:
        assert found["a b.png"].mask.shape == (2, 30, 40)


def test_supervision_reads_coco(tmp_path: Path) -> None:
    import supervision

    out = exported(tmp_path, "coco")
    file = str(out / "annotations" / "instances_val.json")
    read = supervision.DetectionDataset.from_coco(str(out / "images"), file, force_masks=True)
    ((_, picture, found),) = list(read)
    assert (read.classes, picture.shape) == ([*NAMES], (30, 40, 3))
    assert (found.xyxy.tolist(), found.class_id.tolist()) == ([[4, 5, 14, 15]], [0])
    # It draws polygons through the pixels' centres: a rim of a pixel more than pycocotools.
    assert 100 <= found.mask.sum() <= 11 * 11


def test_polars_and_the_tar_command_read_shards(tmp_path: Path) -> None:
    import subprocess

    import polars

    out = exported(tmp_path, "webdataset")
    listed = subprocess.run(["tar", "tf", "val-000000.tar"], cwd=out, capture_output=True, check=True)
    assert len(listed.stdout.splitlines()) == 2
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=out, check=True)
    assert len(polars.read_parquet(out / "*.parquet")) == 6


Found = list[tuple[str, tuple[float, ...]]]
"""Classes and boxes (left, top, right, bottom) in pixels, counted from 0."""
EXPECTED: Found = [(NAMES[0], (20, 2, 34, 6)), (NAMES[1], (4, 5, 14, 15))]
"""What is in "a b.png"."""


def by_supervision(out: Path, form: str) -> Found:
    import supervision

    if form == "coco":
        read = supervision.DetectionDataset.from_coco(
            str(out / "images"), str(out / "annotations" / "instances_train.json")
        )
    else:
        folders = (str(out / kind / "train") for kind in ("images", "labels"))
        read = supervision.DetectionDataset.from_yolo(*folders, str(out / "data.yaml"))
    (found,) = (item for path, _, item in read if Path(path).name == "a b.png")
    return [(read.classes[kind], tuple(box)) for kind, box in zip(found.class_id, found.xyxy.tolist(), strict=True)]


def by_torchvision_voc(out: Path) -> Found:
    from torchvision.datasets import VOCDetection

    _, target = VOCDetection(str(out), year="2012", image_set="train")[0]
    # Pixels from 1, the last one included: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf
    found = []
    for item in target["annotation"]["object"]:
        left, top, right, bottom = (int(item["bndbox"][side]) for side in ("xmin", "ymin", "xmax", "ymax"))
        found.append((item["name"], (left - 1, top - 1, right, bottom)))
    return found


def by_torchvision_folder(out: Path) -> Found:
    from torchvision.datasets import ImageFolder

    read = ImageFolder(str(out / "train"))
    picture = np.asarray(draw(0))
    found = []
    for path, kind in read.samples:
        crop = np.asarray(Image.open(path))
        height, width = crop.shape[:2]
        windows = np.lib.stride_tricks.sliding_window_view(picture, crop.shape)[:, :, 0]
        for top, left in np.argwhere((windows == crop).all(axis=(2, 3, 4))):
            found.append((read.classes[kind], (left, top, left + width, top + height)))
    return found


def by_polars(out: Path) -> Found:
    import polars

    row = polars.read_parquet(out / "train" / "metadata.parquet").row(0, named=True)
    return named(zip(row["objects"]["category"], row["objects"]["bbox"], strict=True))


def by_tarfile(out: Path) -> Found:
    with tarfile.open(out / "train-000000.tar") as tar:
        content = tar.extractfile("a b.json")
        assert content is not None
        return named((item["category"], item["bbox"]) for item in json.load(content)["objects"])


def named(pairs: Any) -> Found:
    return [(name, (x, y, x + width, y + height)) for name, (x, y, width, height) in pairs]


def by_pillow(out: Path) -> Found:
    names = {item["value"]: item["name"] for item in json.loads((out / "legend.json").read_bytes())["legend"]}
    values = np.asarray(Image.open(out / "masks" / "train" / "a b.png"))
    found = []
    for value, name in names.items():
        rows, columns = np.nonzero(values == value)
        found.append((name, (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)))
    return found


# How "a b.png" of an export is read without a line of ours, and how far an edge may be off, in pixels.
READ: dict[str, tuple[Callable[[Path], Found], float]] = {
    "coco": (lambda out: by_supervision(out, "coco"), 0.002),
    "yolo": (lambda out: by_supervision(out, "yolo"), 0.002),
    "yolo-seg": (lambda out: by_supervision(out, "yolo-seg"), 1.01),  # it takes the last pixel of a mask as the edge
    "voc": (by_torchvision_voc, 0),
    "hf": (by_polars, 0),
    "webdataset": (by_tarfile, 0),
    "crops": (by_torchvision_folder, 0),
    "semantic": (by_pillow, 0),
}


@pytest.mark.parametrize("form", READ)
def test_an_outside_reader_finds_the_boxes_that_went_in(form: str, tmp_path: Path) -> None:
    read, tolerance = READ[form]
    found = read(exported(tmp_path, form))
    assert [name for name, _ in found] == [name for name, _ in EXPECTED]
    assert np.abs(np.array([box for _, box in found]) - [box for _, box in EXPECTED]).max() <= tolerance


# Of a format that is read alone: a file as other people write it, for a.jpg, with the boxes of EXPECTED.
BY_HAND: dict[str, tuple[str, str]] = {
    # https://docs.roboflow.com: "Tensorflow Object Detection CSV"
    "csv": (
        "_annotations.csv",
        "filename,width,height,class,xmin,ymin,xmax,ymax\n"
        f"a.jpg,40,30,{NAMES[0]},20,2,34,6\na.jpg,40,30,{NAMES[1]},4,5,14,15\n",
    ),
}


@pytest.mark.parametrize("form", BY_HAND)
def test_a_file_that_was_written_by_hand_has_the_boxes_that_it_says(form: str, source: Path) -> None:
    file, content = BY_HAND[form]
    imported = run(lay_out(source, "a.jpg", {file: content}), shares=ALL)
    assert imported.report.format == form
    assert imported.boxes["a.jpg"] == [(name, list(box)) for name, box in EXPECTED]


def test_every_format_is_held_to_known_boxes() -> None:
    assert READ.keys() == {name for name, both in FORMATS.items() if both.writer is not None}
    assert {*READ, *BY_HAND} == {*FORMATS}


@pytest.mark.parametrize("segmentation", ["polygon", "rle"])
def test_all_of_them_read_a_painted_set(
    segmentation: str, csv_folder: Path, quick_config: dict[str, object], tmp_path: Path
) -> None:
    import supervision
    from torchvision.datasets import CocoDetection

    size = {"width": 128, "height": 96}
    config = Config.load(**{**quick_config, "canvas": size, "output": {"segmentation": segmentation, "val_share": 0}})
    spec = load_spec(csv_folder / "background.csv", csv_folder / "classes.csv", canvas_wh=config.canvas_wh)
    out = draw_run(tmp_path / "out", spec, config, scenes=2)
    file = out / "annotations" / "instances_train.json"
    read = CocoDetection(str(out / "images"), str(file))
    found = supervision.DetectionDataset.from_coco(str(out / "images"), str(file), force_masks=True)
    assert found.classes == ["white blood cell", "platelet"]
    of_supervision = {Path(path).name: item for path, _, item in found}
    assert len(read) == len(of_supervision) == 2
    for number, (picture, targets) in zip(read.ids, read, strict=True):
        same = of_supervision[read.coco.imgs[number]["file_name"]]
        assert picture.size == (128, 96)
        assert len(targets) == len(same) >= 2
        for target, box, mask, label in zip(targets, same.xyxy, same.mask, same.class_id, strict=True):
            drawn = read.coco.annToMask(target)
            (x, y, width, height), (rows, columns) = target["bbox"], np.nonzero(drawn)
            assert drawn.sum() == target["area"]
            assert [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] == [x, y, x + width, y + height]
            assert np.allclose(box, [x, y, x + width, y + height])
            assert label + 1 == target["category_id"]
            # supervision draws polygons through the pixels' centres: a rim of a pixel more than pycocotools.
            assert abs(int(mask.sum()) - target["area"]) <= 2 * (width + height) + 4
