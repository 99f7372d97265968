import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detection.datasets.types import DetectionDataset, Detections, Sample
from detection.datasets.write import write_coco
from detection.evaluation.coco_metrics import (
    mean_average_precision,
    score_against_itself,
    score_detections,
    score_sets,
)
from generator.labels.segmentation import decode_segmentation
from tests.detection.discs import disc_set, disc_splits, found_as_labelled
from tests.detection.drawn import boxes


@pytest.fixture()
def truth(tmp_path: Path) -> Path:
    """Two pictures, three boxes of two categories."""
    boxes = [(1, 1, [10, 10, 20, 20]), (1, 2, [50, 50, 40, 30]), (2, 1, [0, 0, 30, 60])]
    content = {
        "images": [{"id": number, "file_name": f"{number}.png", "width": 100, "height": 100} for number in (1, 2)],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": category,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
                "segmentation": [
                    [box[0], box[1], box[0] + box[2], box[1], box[0] + box[2], box[1] + box[3], box[0], box[1] + box[3]]
                ],
            }
            for number, (image, category, box) in enumerate(boxes, start=1)
        ],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
    }
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_truth_against_itself_is_perfect(truth: Path, iou_type: str) -> None:
    scores = score_against_itself(truth, iou_type=iou_type)
    assert (scores.ap, scores.ap50, scores.recall) == (1.0, 1.0, 1.0)


def test_an_annotation_with_id_0_is_seen_as_a_miss(truth: Path) -> None:
    content = json.loads(truth.read_text())
    content["annotations"][0]["id"] = 0
    truth.write_text(json.dumps(content))
    assert score_against_itself(truth).ap < 1.0


def test_no_detections_score_nothing(truth: Path) -> None:
    assert score_detections(truth, []).ap == 0.0


def test_half_the_objects_of_a_category_give_about_half(truth: Path) -> None:
    found = [
        {"image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20], "score": 0.9},
        {"image_id": 1, "category_id": 2, "bbox": [50, 50, 40, 30], "score": 0.9},
    ]
    # Category b: 1.0. Category a: recall 0.5 at precision 1, which is 51 of COCO's 101 recall points.
    assert score_detections(truth, found).ap == pytest.approx((51 / 101 + 1) / 2)


def test_a_shifted_box_loses_the_strict_thresholds(truth: Path) -> None:
    moved = [
        {"image_id": 1, "category_id": 1, "bbox": [12, 10, 20, 20], "score": 0.9},  # IoU 18 / 22 = 0.82
        {"image_id": 1, "category_id": 2, "bbox": [50, 50, 40, 30], "score": 0.9},
        {"image_id": 2, "category_id": 1, "bbox": [0, 0, 30, 60], "score": 0.9},
    ]
    scores = score_detections(truth, moved)
    assert scores.ap50 == 1.0
    assert scores.ap < 1.0


def test_a_picture_of_more_objects_than_coco_counts(tmp_path: Path) -> None:
    boxes = [[5 * number, 0, 4, 4] for number in range(120)]
    content = {
        "images": [{"id": 1, "file_name": "1.png", "width": 600, "height": 10}],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": 1, "bbox": box, "area": 16, "iscrowd": 0}
            for number, box in enumerate(boxes, start=1)
        ],
        "categories": [{"id": 1, "name": "a"}],
    }
    path = tmp_path / "many.json"
    path.write_text(json.dumps(content))
    scores = score_against_itself(path)
    assert (scores.ap, scores.ap50, scores.ap75, scores.recall) == (1, 1, 1, 1)


def test_no_labels_are_no_score(tmp_path: Path) -> None:
    content = {"images": [{"id": 1, "file_name": "1.png", "width": 9, "height": 9}], "annotations": []}
    path = tmp_path / "empty.json"
    path.write_text(json.dumps({**content, "categories": [{"id": 1, "name": "a"}]}))
    found = [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 4, 4], "score": 1.0}]
    assert np.isnan([score_detections(path, found).ap, score_detections(path, []).ap]).all()


@pytest.fixture()
def squares() -> DetectionDataset:
    """Two pictures of 200 x 200 px: 20 px squares of a, a 40 px and a 100 px square of b, nothing of c."""
    samples = (
        Sample.of(Path("1.png"), (200, 200), [[0, 0, 20, 20], [50, 50, 90, 90]], [1, 2]),
        Sample.of(Path("2.png"), (200, 200), [[30, 30, 50, 50], [90, 90, 190, 190]], [1, 2]),
    )
    return DetectionDataset(categories=("a", "b", "c"), samples=samples)


def answers(*of_pictures: list[tuple[list[float], int, float]]) -> list[Detections]:
    return [boxes(*items) for items in of_pictures]


def test_scores_of_a_set_by_category_and_size(squares: DetectionDataset) -> None:
    # Of a, one of two is found and a wrong one is surer: precision 1/2 up to recall 1/2, 51 of 101 recall thresholds.
    # Of b, both are found, the small one with IoU 32 / 40 = 0.8: a hit at seven of ten thresholds (0.50 to 0.80).
    found = answers(
        [([100, 100, 120, 120], 1, 0.9), ([0, 0, 20, 20], 1, 0.8), ([50, 50, 90, 82], 2, 0.9)],
        [([90, 90, 190, 190], 2, 0.95), ([0, 0, 9, 9], 3, 0.5)],
    )
    scores = score_sets(squares, found)
    a, b, c = scores.of_category.values()
    assert (a.objects, b.objects, c.objects, scores.whole.objects) == (2, 2, 0, 4)
    assert a.ap == a.ap50 == a.ap75 == pytest.approx(0.5 * 51 / 101)
    assert a.recall == 0.5
    assert (b.ap50, b.ap75) == (1.0, 1.0)
    # Above 0.80 the surer, large one alone is a hit.
    assert b.ap == pytest.approx(0.7 + 0.3 * 51 / 101)
    assert b.recall == pytest.approx(0.7 + 0.3 * 0.5)
    assert math.isnan(c.ap)
    assert math.isnan(c.recall)
    assert scores.ap == scores.whole.ap == pytest.approx((a.ap + b.ap) / 2)
    assert scores.whole.ap_small == a.ap_small == pytest.approx(0.5 * 51 / 101)
    assert (b.ap_medium, b.ap_large) == (pytest.approx(0.7), pytest.approx(1.0))
    assert scores.whole.ap_large == pytest.approx(1.0)
    assert math.isnan(a.ap_large)
    assert mean_average_precision(squares, found) == scores.ap


def test_a_broken_mask_costs_its_area_and_not_the_scores_of_boxes(squares: DetectionDataset) -> None:
    first, second = squares.samples
    torn = replace(first, segmentations=([[1.0, 2.0, 3.0, 4.0]], {"size": "none"}))
    broken = DetectionDataset(categories=squares.categories, samples=(torn, second))
    found = found_as_labelled(squares)
    assert score_sets(broken, found).to_json() == score_sets(squares, found).to_json()
    with pytest.raises(ValueError, match="three points or more"):
        score_sets(DetectionDataset(categories=squares.categories, samples=(torn,)), found[:1], iou_type="segm")


def test_the_101st_detection_of_a_picture_does_not_count(tmp_path: Path) -> None:
    # 100 wrong boxes, surer than the right one: of a picture with one label the best 100 are looked at, by both ways.
    sample = Sample.of(tmp_path / "images" / "1.png", (600, 20), [[0, 10, 4, 14]], [1])
    data = DetectionDataset(categories=("a",), samples=(sample,))
    (path,) = write_coco({"train": data}, tmp_path, description="one")
    wrong: list[tuple[list[float], int, float]] = [([5 * step, 0, 5 * step + 4, 4], 1, 0.9) for step in range(100)]
    for count, expected in ((99, 1 / 100), (100, 0.0)):
        (found,) = answers([*wrong[:count], ([0, 10, 4, 14], 1, 0.5)])
        results = [
            {"image_id": 1, "category_id": 1, "bbox": box, "score": score}
            for box, score in zip(found.boxes_xywh.tolist(), found.scores.tolist(), strict=True)
        ]
        assert score_detections(path, results).ap == score_sets(data, [found]).ap == pytest.approx(expected)


def test_curves_and_json(squares: DetectionDataset) -> None:
    found = answers([([0, 0, 20, 20], 1, 0.8)], [])
    scores = score_sets(squares, found)
    assert scores.precision.shape == (10, 101, 3)
    at_half = scores.precision[0]
    assert at_half[:, 0] == pytest.approx([1.0] * 51 + [0.0] * 50)
    assert at_half[:, 1].tolist() == [0.0] * 101
    assert np.isnan(at_half[:, 2]).all()
    data = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert (data["pictures"], data["objects"]) == (2, 4)
    assert data["categories"]["c"]["ap"] is None
    assert data["categories"]["a"]["ap50"] == pytest.approx(51 / 101)


def test_nothing_found_and_nothing_there(squares: DetectionDataset) -> None:
    assert score_sets(squares, answers([], [])).ap == 0.0
    empty = DetectionDataset(categories=("a",), samples=(Sample.of(Path("1.png"), (9, 9), [], []),))
    assert math.isnan(score_sets(empty, answers([([0, 0, 4, 4], 1, 0.5)])).ap)
    assert math.isnan(mean_average_precision(empty, answers([])))


def test_a_set_scores_as_its_file_does(tmp_path: Path) -> None:
    splits = disc_splits(tmp_path, {"train": 9}, seed=3)
    moved = [
        Detections(boxes_xyxy=item.boxes_xyxy + 1, labels=item.labels, scores=item.scores)
        for item in found_as_labelled(splits["train"], score=0.9)
    ]
    results = [
        {
            "image_id": number,
            "category_id": int(label),
            "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()],
            "score": 0.9,
        }
        for number, item in enumerate(moved, start=1)
        for box, label in zip(item.boxes_xyxy, item.labels, strict=True)
    ]
    of_file = score_detections(tmp_path / "annotations" / "instances_train.json", results)
    of_set = score_sets(splits["train"], moved)
    assert (of_set.ap, of_set.whole.ap50, of_set.whole.recall) == (of_file.ap, of_file.ap50, of_file.recall)
    assert 0 < of_set.ap < 1


def test_masks(tmp_path: Path) -> None:
    data = disc_set(tmp_path, 3, seed=5)
    found = found_as_labelled(data)
    with pytest.raises(ValueError, match="a detector without masks"):
        score_sets(data, found, iou_type="segm")
    masks = [
        np.stack([decode_segmentation(each, (sample.height, sample.width)) for each in sample.segmentations])
        for sample in data.samples
    ]
    right = [replace(item, masks=mask.astype(bool)) for item, mask in zip(found, masks, strict=True)]
    assert score_sets(data, right, iou_type="segm").ap == 1.0
    # A disc fills pi / 4 = 0.785 of its box: a hit at six of ten thresholds.
    filled = [
        replace(item, masks=np.stack([_fill(box, mask.shape[1:]) for box in item.boxes_xyxy.astype(int)]))
        for item, mask in zip(found, masks, strict=True)
    ]
    assert score_sets(data, filled, iou_type="segm").ap == pytest.approx(0.6)
    bare = DetectionDataset(
        categories=data.categories, samples=(Sample.of(Path("a.png"), (9, 9), [[0, 0, 4, 4]], [1]),)
    )
    with pytest.raises(ValueError, match=r"a\.png: an object without a mask"):
        score_sets(bare, right[:1], iou_type="segm")


def test_an_answer_for_each_picture_is_needed(squares: DetectionDataset) -> None:
    with pytest.raises(ValueError, match="detections of 1 pictures for a data set of 2"):
        score_sets(squares, answers([]))


def _fill(box: np.ndarray, size_hw: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(size_hw, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask
