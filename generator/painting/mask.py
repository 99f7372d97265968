"""The edge of what is painted: soft and slightly irregular, never a bare rectangle that a detector could learn."""

from __future__ import annotations

import math

import cv2
import numpy as np

from generator.painting.crop import LATENT_PX, CropFrame

# Share of the shorter side of the region: roundness of its corners. Large enough that no straight corner is left.
CORNER_ROUNDING = 0.3
# The edge wanders inwards by at most this share of its softness.
WOBBLE = 0.5
MIN_SOFTNESS_PX = 2.0
# Objects painted earlier keep this border around them untouched (canvas pixels).
PROTECTED_BORDER_PX = 2


def native_mask(frame: CropFrame, protected: np.ndarray) -> np.ndarray:
    """What the model may repaint: (H, W) bool at native size, in whole 8 px cells.

    `protected` (bool, crop size on the canvas) marks earlier objects; a cell that touches one is left as it is.
    """
    width, height = frame.native_wh
    mask = np.zeros((height, width), bool)
    mask[frame.region.slices] = True
    if protected.any():
        # Grown by what one native pixel spans, so that nothing falls between the samples of a shrinking crop.
        span = math.ceil(max(frame.crop.width / width, frame.crop.height / height))
        grown = cv2.dilate(protected.astype(np.uint8), np.ones((2 * span - 1,) * 2, np.uint8))
        kept = cv2.resize(grown, frame.native_wh, interpolation=cv2.INTER_NEAREST)
        cells = kept.reshape(height // LATENT_PX, LATENT_PX, width // LATENT_PX, LATENT_PX).max(axis=(1, 3))
        mask &= ~np.kron(cells, np.ones((LATENT_PX, LATENT_PX), np.uint8)).astype(bool)
    return mask


def blend_weights(
    frame: CropFrame, protected: np.ndarray, *, softness_px: float, rng: np.random.Generator
) -> np.ndarray:
    """Share of the painted patch in each pixel: (H, W) float32 in [0, 1], crop size on the canvas.

    0 outside the repainted region, rising to 1 within about `softness_px` of its edge; where the region ends at the
    picture's own edge it does not fade.
    """
    softness = max(softness_px, MIN_SOFTNESS_PX)
    height, width = frame.crop.height, frame.crop.width
    left, top, right, bottom = frame.region_edges()
    radius = CORNER_ROUNDING * min(right - left, bottom - top)
    # Beyond the picture's edge there is nothing to blend with: move that side of the region out of sight.
    far = 4 * softness + max(width, height)
    left, top = (-far if left <= 0 else left), (-far if top <= 0 else top)
    right, bottom = (width + far if right >= width else right), (height + far if bottom >= height else bottom)
    depth = -_rounded_box_distance(
        np.arange(width, dtype=np.float32)[None, :] + 0.5,
        np.arange(height, dtype=np.float32)[:, None] + 0.5,
        (left, top, right, bottom),
        radius=radius,
    )
    wobble = WOBBLE * softness * _smooth_noise((height, width), softness * 3, rng)
    weights = _smoothstep((depth - wobble) / softness)
    if protected.any():
        grown = cv2.dilate(protected.astype(np.uint8), np.ones((2 * PROTECTED_BORDER_PX + 1,) * 2, np.uint8))
        away = cv2.distanceTransform(1 - grown, cv2.DIST_L2, 3)
        weights *= _smoothstep(away / softness)
    weights[weights < 1 / 255] = 0.0
    return weights.astype(np.float32)


def _rounded_box_distance(
    x: np.ndarray, y: np.ndarray, edges: tuple[float, float, float, float], *, radius: float
) -> np.ndarray:
    """Signed distance to a box with round corners, negative inside (Quilez, "2D distance functions")."""
    left, top, right, bottom = edges
    qx = np.abs(x - (left + right) / 2) - (right - left) / 2 + radius
    qy = np.abs(y - (top + bottom) / 2) - (bottom - top) / 2 + radius
    outside = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0))
    distance: np.ndarray = outside + np.minimum(np.maximum(qx, qy), 0) - radius
    return distance


def _smooth_noise(shape_hw: tuple[int, int], scale_px: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth random field in [0, 1] whose bumps are about `scale_px` wide."""
    rows, columns = (max(2, round(side / scale_px) + 2) for side in shape_hw)
    coarse = rng.random((rows, columns), dtype=np.float32)
    return np.clip(cv2.resize(coarse, (shape_hw[1], shape_hw[0]), interpolation=cv2.INTER_CUBIC), 0, 1)


def _smoothstep(values: np.ndarray) -> np.ndarray:
    t = np.clip(values, 0, 1)
    smooth: np.ndarray = t * t * (3 - 2 * t)
    return smooth
