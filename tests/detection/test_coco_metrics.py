import json
from pathlib import Path

import pytest

from detection.coco_metrics import score_against_itself, score_detections


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
