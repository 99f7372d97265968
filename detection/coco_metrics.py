"""COCO's average precision, by pycocotools: https://cocodataset.org/#detection-eval"""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

# COCO's own scores count the best 100 detections of a picture; one with more objects is scored on all of them.
COCO_MAX_DETECTIONS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoScores:
    """Average precision over IoU 0.50:0.95, at 0.50, at 0.75, and average recall with 100 detections; -1 without
    labels."""

    ap: float
    ap50: float
    ap75: float
    recall: float


def score_detections(
    ground_truth: Path, detections: Sequence[dict[str, Any]], *, iou_type: Literal["bbox", "segm"] = "bbox"
) -> CocoScores:
    """Score detections (COCO result dicts: image_id, category_id, bbox xywh or segmentation, score) against a COCO
    file."""
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
        truth = COCO(str(ground_truth))
        if not detections:
            nothing = 0.0 if truth.getAnnIds(iscrowd=False) else -1.0
            return CocoScores(ap=nothing, ap50=nothing, ap75=nothing, recall=nothing)
        evaluation = COCOeval(truth, truth.loadRes(list(detections)), iou_type)
        most = max(Counter(item["image_id"] for item in detections).values())
        if most > COCO_MAX_DETECTIONS:
            evaluation.params.maxDets = [*evaluation.params.maxDets[:-1], most]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    ap, ap50, ap75, *_ = (float(value) for value in evaluation.stats)
    return CocoScores(ap=ap, ap50=ap50, ap75=ap75, recall=float(evaluation.stats[8]))


def score_against_itself(ground_truth: Path, *, iou_type: Literal["bbox", "segm"] = "bbox") -> CocoScores:
    """Score a COCO file's own labels as if a perfect detector had found them: 1.0 unless ids or fields are broken."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(ground_truth))
    key = "bbox" if iou_type == "bbox" else "segmentation"
    detections = []
    for item in truth.dataset["annotations"]:
        if item.get(key) and not item["iscrowd"]:
            value = item[key] if iou_type == "bbox" else truth.annToRLE(item)
            detections.append(
                {"image_id": item["image_id"], "category_id": item["category_id"], key: value, "score": 1.0}
            )
    return score_detections(ground_truth, detections, iou_type=iou_type)
