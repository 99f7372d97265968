"""Is it one object of the size asked for? Two of them, crumbs or a dwarf make a label that says something else."""

from __future__ import annotations

import math

import cv2
import numpy as np

from generator.config import LabelConfig
from generator.labels.checks.evidence import Evidence
from generator.types import Verdict, label_from_mask, percent


def check_fragments(evidence: Evidence, limits: LabelConfig) -> Verdict:
    """Pass when most of the mask hangs together; score is the share of it outside its largest part."""
    mask = evidence.label_mask
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    share = float((areas.sum() - areas.max()) / areas.sum()) if len(areas) else 0.0
    passed = share <= limits.max_fragments
    reason = "" if passed else f"{percent(share)} of it lies apart from the rest, above {percent(limits.max_fragments)}"
    return Verdict(check="fragments", passed=passed, score=round(share, 4), reason=reason)


def check_size(evidence: Evidence, limits: LabelConfig) -> Verdict:
    """Pass when the painted box is about as large as the one asked for; score is the ratio of their sides."""
    mask = evidence.label_mask
    area = label_from_mask(mask).painted_box.area if mask.any() else 0
    ratio = math.sqrt(area / evidence.box.area)
    low, high = limits.size_range
    passed = low <= ratio <= high
    reason = "" if passed else f"{percent(ratio)} of the size asked for, not {percent(low)} to {percent(high)}"
    return Verdict(check="size", passed=passed, score=round(ratio, 4), reason=reason)
