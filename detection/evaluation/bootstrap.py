"""Average precision over pictures drawn again with replacement: how much of a gain is luck of the test pictures.

The bootstrap of Efron 1979 (https://doi.org/10.1214/aos/1176344552) with pictures as units. Matching detections with
labels does not depend on the other pictures, so it is done once, by pycocotools; only the precision is summed anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detection.datasets.types import DetectionDataset, Detections
from detection.evaluation.coco_metrics import IOU_THRESHOLDS, RECALL_THRESHOLDS, IouType, evaluate_pictures
from generator.foundation.seeds import derive_rng

# As pycocotools has it in the denominator of the precision.
_EPSILON = np.spacing(1)
# Detections times drawings in memory at a time: 64 MiB an array.
_BLOCK = 2**23


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Category:
    """Detections of one category, best first over all pictures.

    `labels`: (N,) objects in each picture; `picture`: (D,) where a detection was made; `matched`: (10, D) whether it
    found an object, at each IoU threshold, `counted`: (10, D) whether it is right or wrong, and not to be ignored.
    """

    labels: np.ndarray
    picture: np.ndarray
    matched: np.ndarray
    counted: np.ndarray


class ResampledAp:
    """Average precision over IoU 0.50:0.95 of one detector on any drawing of a data set's pictures.

    Equal to pycocotools on a set in which drawn pictures are repeated; where scores are equal, detections keep the
    order of the data set's pictures, copies of one picture side by side.
    """

    def __init__(self, data: DetectionDataset, found: Sequence[Detections], *, iou_type: IouType = "bbox"):
        """Match `found`, one answer for each picture of `data`. Raises ValueError as `score_sets`."""
        self.categories = data.categories
        self.pictures = len(data)
        evaluation = evaluate_pictures(data, found, iou_type=iou_type, sizes=False)
        # By category, then by picture; None where it has neither labels nor detections.
        answers = [evaluation.evalImgs[k * len(data) : (k + 1) * len(data)] for k in range(len(data.categories))]
        self._of_category = [_category(of_pictures) for of_pictures in answers]

    def ap_of(self, resamples: np.ndarray) -> np.ndarray:
        """Mean AP of each drawing.

        `resamples`: (B, M) int, positions of pictures, repeats allowed. Returns (B,) float64 in [0, 1]: the mean over
        the categories that have labels in the drawing; NaN where none has.
        """
        of_categories = self.ap_of_categories(resamples)
        known = ~np.isnan(of_categories)
        sums, counts = np.where(known, of_categories, 0.0).sum(axis=1), known.sum(axis=1)
        return np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)

    def ap_of_categories(self, resamples: np.ndarray) -> np.ndarray:
        """AP of each drawing and category, (B, K) float64 in [0, 1]; NaN where it has no labels of the category.

        Raises ValueError for a position that is no picture's.
        """
        resamples = np.asarray(resamples)
        if resamples.size and not 0 <= resamples.min() <= resamples.max() < self.pictures:
            raise ValueError(f"positions must be from 0 to {self.pictures - 1}")
        counts = np.zeros((len(resamples), self.pictures), np.int64)
        np.add.at(counts, (np.arange(len(resamples))[:, None], resamples), 1)
        result = np.empty((len(resamples), len(self.categories)))
        for number, category in enumerate(self._of_category):
            step = max(1, _BLOCK // max(1, len(category.picture)))
            for start in range(0, len(resamples), step):
                block = slice(start, start + step)
                result[block, number] = _average_precision(category, counts[block])
        return result


def draw_resamples(pictures: int, *, count: int, seed: int) -> np.ndarray:
    """Draw `count` times as many pictures as there are, with replacement: (count, pictures) int64 positions.

    Give the same drawings to all detectors that are compared: then the difference is a paired one.
    """
    return derive_rng(seed).integers(pictures, size=(count, pictures))


def _category(of_pictures: Sequence[dict[str, np.ndarray] | None]) -> _Category:
    """Put the matches of all pictures together, in the order that pycocotools sums them up."""
    known = [(number, item) for number, item in enumerate(of_pictures) if item is not None]
    labels = np.zeros(len(of_pictures), np.int64)
    for number, item in known:
        labels[number] = len(item["gtIds"])
    scores = np.concatenate([np.zeros(0), *(np.asarray(item["dtScores"], float) for _, item in known)])
    picture = np.concatenate([np.zeros(0, np.int64), *(np.full(len(item["dtIds"]), n) for n, item in known)])
    nothing = np.zeros((len(IOU_THRESHOLDS), 0), bool)
    matched = np.concatenate([nothing, *(item["dtMatches"] > 0 for _, item in known)], axis=1)
    counted = np.concatenate([nothing, *(~item["dtIgnore"].astype(bool) for _, item in known)], axis=1)
    order = np.argsort(-scores, kind="stable")
    return _Category(labels=labels, picture=picture[order], matched=matched[:, order], counted=counted[:, order])


def _average_precision(category: _Category, counts: np.ndarray) -> np.ndarray:
    """AP (B,) where picture n comes counts[b, n] times; NaN without labels.

    A detection of a picture that comes w times is w equal detections in a row. Within such a row of hits precision
    rises, so only its end can be a peak; misses lower it. Hence the interpolated precision is known from the ends of
    the hits alone.
    """
    labels = counts @ category.labels
    weights = counts[:, category.picture]
    everything = np.cumsum(weights, axis=1)
    reached = np.maximum(labels, 1)[:, None]
    total = np.zeros(len(counts))
    for matched, counted in zip(category.matched, category.counted, strict=True):
        if not matched.any():
            continue
        detections = everything if counted.all() else np.cumsum(weights * counted, axis=1)
        hits = np.cumsum(weights[:, matched], axis=1)
        precision = hits / (detections[:, matched] + _EPSILON)
        peaks = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        # How many of COCO's recall thresholds have been reached with each hit, and by that one first.
        passed = np.searchsorted(RECALL_THRESHOLDS, hits / reached, side="right")
        total += (np.diff(passed, axis=1, prepend=0) * peaks).sum(axis=1)
    ap = total / (len(IOU_THRESHOLDS) * len(RECALL_THRESHOLDS))
    return np.where(labels > 0, ap, np.nan)
