"""Does it stand out? What can hardly be told from its surroundings is a label on nothing to everyone who looks.

What an outside detector sees of painted platelets follows this better than any verifier's score: docs/decisions/0009.
"""

from __future__ import annotations

import cv2
import numpy as np

from generator.config import LabelConfig
from generator.labels.checks.evidence import Evidence
from generator.types import Verdict

# The surroundings: as wide as this share of the object's longer side, and not its own soft rim.
RING, RIM_PX = 0.35, 2
# Of all pixels' distances: an object's pale rim says as little of it as the few oddest pixels around it do of those.
PERCENTILE = 80
# CIELAB's distance of white from black, for what fills the picture and has no surroundings.
MOST = 100.0


def check_contrast(evidence: Evidence, limits: LabelConfig) -> Verdict:
    """Pass when the object stands out from what is around it; score is the contrast."""
    score, least = round(evidence.contrast, 4), limits.min_contrast
    passed = score >= least
    reason = "" if passed else f"hardly stands out from what is around it: {score:.4g}, below {least:g}"
    return Verdict(check="contrast", passed=passed, score=score, reason=reason)


def measure_contrast(picture: np.ndarray, mask: np.ndarray) -> float:
    """How far an object (HW bool) stands out in a picture (HWC uint8 RGB), in CIE76 units of L*a*b*, 0 and more.

    It is the distance of its colours from the median of its surroundings, less the distance that the surroundings
    themselves have from it: a red cell is no contrast among red cells.
    """
    if not mask.any():
        return 0.0
    ys, xs = np.nonzero(mask)
    width = max(RIM_PX + 1, round(RING * (1 + max(np.ptp(ys), np.ptp(xs)))))
    ring = _grown(mask, width) & ~_grown(mask, RIM_PX)
    if not ring.any():
        return MOST
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    distance = np.linalg.norm(lab - np.median(lab[ring], axis=0), axis=2)
    inside, around = (float(np.percentile(distance[part], PERCENTILE)) for part in (mask, ring))
    return max(0.0, inside - around)


def _grown(mask: np.ndarray, by_px: int) -> np.ndarray:
    side = 2 * by_px + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)).astype(bool)
