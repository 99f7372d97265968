"""What we write, opened by programs that no one here wrote: counts, boxes, masks and categories agree."""

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from detection.coco_metrics import score_against_itself
from generator import Config, Dataset, load_spec
from tests.generator.records import draw_run


@pytest.fixture(scope="module", params=["polygon", "rle"])
def dataset(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, quick_config: dict[str, object]
) -> Dataset:
    folder = tmp_path_factory.mktemp("readers")
    (folder / "background.csv").write_text("prompt,num_imgs\na blood smear with many red blood cells,4\n")
    (folder / "classes.csv").write_text(
        "prompt,min_appear,max_appear,width_min,height_min,width_max,height_max,name\n"
        "a large purple white blood cell,1,1,30%,30%,40%,40%,white blood cell\n"
        "a small purple platelet,1,1,12%,12%,16%,16%,platelet\n"
    )
    output = {"segmentation": request.param, "val_share": 0.5}
    config = Config.load(**{**quick_config, "canvas": {"width": 128, "height": 96}, "output": output})
    spec = load_spec(folder / "background.csv", folder / "classes.csv", canvas_wh=config.canvas_wh)
    run = draw_run(folder / "out", spec, config, scenes=4)
    return Dataset(folder=run, num_scenes=4, num_objects=8, complete=True, problem="")


def test_pycocotools(dataset: Dataset) -> None:
    for split in ("train", "val"):
        path = dataset.annotations.with_name(f"instances_{split}.json")
        coco = COCO(str(path))
        assert len(coco.getImgIds()) == 2
        assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == ["white blood cell", "platelet"]
        for item in coco.loadAnns(coco.getAnnIds()):
            mask = coco.annToMask(item)
            assert mask.shape == (96, 128)
            assert int(mask.sum()) == item["area"]
            x, y, width, height = item["bbox"]
            rows, columns = np.nonzero(mask)
            assert [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1] == [x, y, width, height]
        assert score_against_itself(path).ap == pytest.approx(1.0)
        assert score_against_itself(path, iou_type="segm").ap == pytest.approx(1.0)


def test_torchvision(dataset: Dataset) -> None:
    from torchvision.datasets import CocoDetection

    content = json.loads(dataset.annotations.read_bytes())
    detection = CocoDetection(str(dataset.images), str(dataset.annotations))
    assert len(detection) == len(content["images"])
    labels = 0
    for picture, targets in detection:
        assert picture.size == (128, 96)
        labels += len(targets)
    assert labels == len(content["annotations"]) == 4


def test_supervision(dataset: Dataset) -> None:
    import supervision

    content = json.loads(dataset.annotations.read_bytes())
    loaded = supervision.DetectionDataset.from_coco(str(dataset.images), str(dataset.annotations), force_masks=True)
    assert loaded.classes == ["white blood cell", "platelet"]
    assert len(loaded) == len(content["images"])
    names = {item["id"]: item["file_name"] for item in content["images"]}
    for path, picture, found in loaded:
        expected = [item for item in content["annotations"] if names[item["image_id"]] == Path(path).name]
        assert picture.shape == (96, 128, 3)
        assert len(found) == len(expected)
        boxes = np.array([item["bbox"] for item in expected], float)
        assert np.allclose(found.xyxy, np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]))
        assert [int(number) + 1 for number in found.class_id] == [item["category_id"] for item in expected]
        for mask, item in zip(found.mask, expected, strict=True):
            # supervision draws polygons through the pixels' centres: a rim of a pixel more than pycocotools.
            assert abs(int(mask.sum()) - item["area"]) <= 2 * (item["bbox"][2] + item["bbox"][3]) + 4
