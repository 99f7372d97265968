"""Exports opened by programs that no one here wrote; more of them in test_yolo.py, test_voc.py and test_crops.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detection.formats.exporting import export_set
from generator import Config, load_spec
from tests.detection.formats.sets import NAMES, write_set
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
