"""COCO's average precision, by pycocotools: https://cocodataset.org/#detection-eval"""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detection.datasets.picture_set import not_exhaustive_ids
from detection.datasets.types import DetectionDataset, Detections, Sample
from detection.datasets.write import annotation
from generator.foundation.coco import NOT_EXHAUSTIVE

IouType = Literal["bbox", "segm"]

# COCO's own scores count the best 100 detections of a picture; with more labels than that none could reach recall 1.
COCO_MAX_DETECTIONS = 100
IOU_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
RECALL_THRESHOLDS = tuple(np.linspace(0, 1, 101).tolist())  # as pycocotools makes them, to the last bit
# By the area of the mask, without one of the box: below 32 x 32 px, below 96 x 96 px, above.
SIZES = ("small", "medium", "large")


@dataclass(frozen=True, slots=True, kw_only=True)
class Averages:
    """COCO's figures over some objects, each in [0, 1]; NaN where there are no labels to find.

    `ap` over IoU 0.50:0.95, `ap50` at 0.50, `ap75` at 0.75, `recall` over IoU 0.50:0.95, and `ap` by the size of the
    objects. Of each picture and category count the best 100 detections, or as many as the fullest picture has labels.
    """

    objects: int
    ap: float
    ap50: float
    ap75: float
    recall: float
    ap_small: float
    ap_medium: float
    ap_large: float

    def to_json(self) -> dict[str, Any]:
        """All figures; None for NaN, which JSON has not."""
        figures = {name: getattr(self, name) for name in self.__slots__}
        return {name: None if value != value else value for name, value in figures.items()}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SetScores:
    """How well the objects of a data set were found: over all categories (the mean of those with labels), and of each.

    `precision`: (10, 101, K) float64, at each of IOU_THRESHOLDS, RECALL_THRESHOLDS and categories; NaN where a category
    has no labels. Read-only.
    """

    pictures: int
    whole: Averages
    of_category: Mapping[str, Averages]
    precision: np.ndarray

    @property
    def ap(self) -> float:
        """Mean average precision over IoU 0.50:0.95, COCO's main figure."""
        return self.whole.ap

    def to_json(self) -> dict[str, Any]:
        """All but the curves."""
        categories = {name: scores.to_json() for name, scores in self.of_category.items()}
        return {"pictures": self.pictures, **self.whole.to_json(), "categories": categories}


def score_sets(data: DetectionDataset, found: Sequence[Detections], *, iou_type: IouType = "bbox") -> SetScores:
    """Score what was found in each picture of a data set, in its order.

    Raises ValueError when the numbers of pictures differ, or masks are to be compared and are missing.
    """
    evaluation = evaluate_pictures(data, found, iou_type=iou_type, sizes=True)
    precision, recall = _accumulate(evaluation)
    objects = data.counts()
    everywhere = precision[..., 0]
    everywhere.setflags(write=False)
    return SetScores(
        pictures=len(data),
        whole=_averages(precision, recall, sum(objects.values())),
        of_category={
            name: _averages(precision[:, :, [number]], recall[:, [number]], objects[name])
            for number, name in enumerate(data.categories)
        },
        precision=everywhere,
    )


def mean_average_precision(data: DetectionDataset, found: Sequence[Detections], *, iou_type: IouType = "bbox") -> float:
    """AP over IoU 0.50:0.95 alone, at a third of the time of `score_sets`; NaN without labels. Raises as it does."""
    precision, _ = _accumulate(evaluate_pictures(data, found, iou_type=iou_type, sizes=False))
    return _mean(precision)


def evaluate_pictures(
    data: DetectionDataset, found: Sequence[Detections], *, iou_type: IouType = "bbox", sizes: bool
) -> COCOeval:
    """Match detections with labels, picture by picture; image ids are positions from 1, category ids are labels.

    What is found of a category that a picture does not label throughout is ignored unless it meets a label.

    Without `sizes` only objects of all sizes together. Raises ValueError as `score_sets`.
    """
    if len(found) != len(data):
        raise ValueError(f"detections of {len(found)} pictures for a data set of {len(data)}")
    images = [
        {"id": number, "width": sample.width, "height": sample.height, NOT_EXHAUSTIVE: [*sample.not_exhaustive]}
        for number, sample in enumerate(data.samples, start=1)
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(data.categories, start=1)]
    labels: list[dict[str, Any]] = []
    detections: list[dict[str, Any]] = []
    for number, (sample, answer) in enumerate(zip(data.samples, found, strict=True), start=1):
        labels += _labels_of(sample, number, len(labels) + 1, iou_type, sizes=sizes)
        detections += _detections_of(answer, number, len(detections) + 1, iou_type)
    head = {"images": images, "categories": categories}
    most = max((len(sample.labels) for sample in data.samples), default=0)
    truth, answers = _coco({**head, "annotations": labels}), _coco({**head, "annotations": detections})
    return _evaluate(truth, answers, iou_type, limit=most, sizes=sizes)


def score_detections(
    ground_truth: Path, detections: Sequence[dict[str, Any]], *, iou_type: IouType = "bbox"
) -> Averages:
    """Score detections (COCO result dicts: image_id, category_id, bbox xywh or segmentation, score) against a COCO
    file; without the sizes of objects."""
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
        truth = COCO(str(ground_truth))
        answers = truth.loadRes(list(detections)) if detections else _coco({**truth.dataset, "annotations": []})
    per_picture = Counter(item["image_id"] for item in truth.dataset["annotations"])
    most = max(per_picture.values(), default=0)
    precision, recall = _accumulate(_evaluate(truth, answers, iou_type, limit=most, sizes=False))
    return _averages(precision, recall, len(truth.getAnnIds(iscrowd=False)))


def score_against_itself(ground_truth: Path, *, iou_type: IouType = "bbox") -> Averages:
    """Score a COCO file's own labels as if a perfect detector had found them: 1.0 unless ids or fields are broken."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(ground_truth))
    key = "bbox" if iou_type == "bbox" else "segmentation"
    detections = [
        {
            "image_id": item["image_id"],
            "category_id": item["category_id"],
            key: item[key] if iou_type == "bbox" else truth.annToRLE(item),
            "score": 1.0,
        }
        for item in truth.dataset["annotations"]
        if item.get(key) and not item["iscrowd"]
    ]
    return score_detections(ground_truth, detections, iou_type=iou_type)


def _labels_of(sample: Sample, image_id: int, first: int, iou_type: IouType, *, sizes: bool) -> list[dict[str, Any]]:
    if iou_type == "segm" and not all(sample.segmentations):
        raise ValueError(f"{sample.path}: an object without a mask, where masks are to be compared")
    # A mask is decoded for its area, which only the sizes need.
    masks = sample.segmentations if iou_type == "segm" or sizes else (None,) * len(sample.labels)
    size_wh = sample.width, sample.height
    items = []
    labels = zip(sample.boxes_xyxy.tolist(), sample.labels.tolist(), masks, strict=True)
    for number, (box, label, mask) in enumerate(labels, start=first):
        try:
            items.append(annotation(number, image_id, label, box, mask, size_wh))
        except ValueError:
            if iou_type == "segm":
                raise
            # One broken mask is no reason to lose the scores of all boxes.
            items.append(annotation(number, image_id, label, box, None, size_wh))
    return items


def _detections_of(answer: Detections, image_id: int, first: int, iou_type: IouType) -> list[dict[str, Any]]:
    found = zip(answer.boxes_xywh.tolist(), answer.labels.tolist(), answer.scores.tolist(), strict=True)
    items = [
        {"id": number, "image_id": image_id, "category_id": label, "iscrowd": 0, "score": score}
        | {"bbox": box, "area": box[2] * box[3]}
        for number, (box, label, score) in enumerate(found, start=first)
    ]
    if iou_type == "segm":
        if answer.masks is None:
            raise ValueError("a detector without masks, where masks are to be compared")
        for item, mask in zip(items, answer.masks, strict=True):
            item["segmentation"] = coco_mask.encode(np.asfortranarray(mask, np.uint8))
            item["area"] = float(coco_mask.area(item["segmentation"]))
    return items


def _coco(content: dict[str, Any]) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = content
        coco.createIndex()
    return coco


def _evaluate(truth: COCO, answers: COCO, iou_type: IouType, *, limit: int, sizes: bool) -> COCOeval:
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, answers, iou_type)
        evaluation.params.maxDets = [max(COCO_MAX_DETECTIONS, limit)]
        if not sizes:
            evaluation.params.areaRng = evaluation.params.areaRng[:1]
            evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
        evaluation.evaluate()
    # As LVIS does: where a category is not labelled throughout, a box that meets no label may still be right.
    unlabelled = {(image["id"], number) for image in truth.dataset["images"] for number in not_exhaustive_ids(image)}
    for item in evaluation.evalImgs if unlabelled else ():
        if item is not None and (item["image_id"], item["category_id"]) in unlabelled:
            item["dtIgnore"] |= item["dtMatches"] == 0
    return evaluation


def _accumulate(evaluation: COCOeval) -> tuple[np.ndarray, np.ndarray]:
    """Precision (10, 101, K, sizes) and highest recall (10, K, sizes); NaN where there are no labels."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    figures = (evaluation.eval[name][..., 0] for name in ("precision", "recall"))
    precision, recall = (np.where(each < 0, np.nan, each) for each in figures)
    return precision, recall


def _averages(precision: np.ndarray, recall: np.ndarray, objects: int) -> Averages:
    of_sizes = [_mean(precision[..., size]) for size in range(1, precision.shape[-1])] or [np.nan] * len(SIZES)
    return Averages(
        objects=objects,
        ap=_mean(precision[..., 0]),
        ap50=_mean(precision[IOU_THRESHOLDS.index(0.5), ..., 0]),
        ap75=_mean(precision[IOU_THRESHOLDS.index(0.75), ..., 0]),
        recall=_mean(recall[..., 0]),
        **dict(zip((f"ap_{size}" for size in SIZES), of_sizes, strict=True)),
    )


def _mean(values: np.ndarray) -> float:
    """Mean of those that are numbers; NaN without one."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
