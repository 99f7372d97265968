"""Bring the decoder's colours back to those of the picture around the repainted region."""

from __future__ import annotations

import cv2
import numpy as np

# Width of the Gaussian that carries the ring's correction into the region, as a share of the crop's longer side.
REACH = 0.15
# A pixel that differs by more than this many grey levels was drawn differently, not only tinted.
MAX_TINT = 24.0
# Weight of the ring's mean where the ring is too far away to say anything local.
PRIOR_WEIGHT = 0.02


def match_to_ring(patch: np.ndarray, before: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Remove the low-frequency colour drift of a painted patch.

    `patch` and `before` are HWC uint8 of one size; `known` (HW bool) marks what was not to be repainted, where the two
    should agree. Their difference there, smoothed and carried inwards (normalised convolution, Knutsson and Westin
    1993), is taken off the patch. Returns HWC float32 in [0, 255]; the patch as it is when nothing is known.
    """
    drawn = patch.astype(np.float32)
    if not known.any():
        return drawn
    difference = before.astype(np.float32) - drawn
    # An edge that the decoder drew half a pixel off is no tint: the median of the ring sets what is believed.
    middle = np.median(difference[known], axis=0)
    difference = np.clip(difference, middle - MAX_TINT, middle + MAX_TINT)
    weight = known.astype(np.float32)
    sigma = REACH * max(patch.shape[:2])
    total = cv2.GaussianBlur(difference * weight[..., None], (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    mass = cv2.GaussianBlur(weight, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)[..., None]
    correction = (total + PRIOR_WEIGHT * middle.astype(np.float32)) / (mass + PRIOR_WEIGHT)
    return np.clip(drawn + correction, 0, 255)
