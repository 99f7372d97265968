"""How well masks fit: COCO's average precision of instances, and the mean IoU of the semantic map."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from detection.datasets.masks import labelled_map, masks_of, semantic_map
from detection.datasets.types import DetectionDataset, Detections
from detection.evaluation.coco_metrics import SetScores, score_sets

MIN_SCORE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SemanticScores:
    """IoU of the semantic map over the pixels of all pictures together, each in [0, 1].

    NaN where a category is neither labelled nor found; `mean` is over the background and the categories that are. Only
    detections with a score of `min_score` or better are drawn.
    """

    mean: float
    background: float
    of_category: Mapping[str, float]
    min_score: float

    def to_json(self) -> dict[str, Any]:
        """All figures; None for NaN, which JSON has not."""
        return {
            "min_score": self.min_score,
            "mean_iou": _or_none(self.mean),
            "background": _or_none(self.background),
            "categories": {name: _or_none(iou) for name, iou in self.of_category.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskScores:
    """Both views of the same detections: of all instances, and of the map that the confident ones make."""

    instances: SetScores
    semantic: SemanticScores

    def to_json(self) -> dict[str, Any]:
        """All but the curves."""
        return {"instances": self.instances.to_json(), "semantic": self.semantic.to_json()}


def score_masks(data: DetectionDataset, found: Sequence[Detections], *, min_score: float = MIN_SCORE) -> MaskScores:
    """Score what was found in each picture of a data set, in its order, by masks.

    Raises ValueError when the numbers of pictures differ, or a mask is missing on either side.
    """
    return MaskScores(
        instances=score_sets(data, found, iou_type="segm"), semantic=score_maps(data, found, min_score=min_score)
    )


def score_maps(data: DetectionDataset, found: Sequence[Detections], *, min_score: float = MIN_SCORE) -> SemanticScores:
    """Compare the semantic maps of labels and detections, by torchmetrics. Raises as `score_masks`.

    https://lightning.ai/docs/torchmetrics/stable/classification/jaccard_index.html
    """
    # Its arguments are made here, so that they need no check; what is nowhere is left out of the mean.
    metric = MulticlassJaccardIndex(
        len(data.categories) + 1, average="none", zero_division=math.nan, validate_args=False
    )
    for sample, answer in zip(data.samples, found, strict=True):
        chosen = answer.confident(min_score)
        drawn = semantic_map(masks_of(chosen), chosen.labels)
        metric.update(_pixels(drawn), _pixels(labelled_map(sample)))
    background, *of_category = metric.compute().tolist()
    known = [iou for iou in (background, *of_category) if not math.isnan(iou)]
    return SemanticScores(
        mean=sum(known) / len(known) if known else math.nan,
        background=background,
        of_category=dict(zip(data.categories, of_category, strict=True)),
        min_score=min_score,
    )


def _pixels(drawn: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(drawn.astype(np.int64)).reshape(-1)


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
