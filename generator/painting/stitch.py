"""From the model's crop back into the picture, everything outside the blend left bit for bit.

The decoder's colours are brought back to those around the repainted region; the edge of the blend is soft and slightly
irregular, never a bare rectangle that a detector could learn.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from generator.config import PaintingConfig
from generator.labels.checks import Evidence
from generator.labels.labelling import find_painted
from generator.painting.blenders import BLENDERS
from generator.painting.crop import CropFrame, repainted_region, to_canvas
from generator.painting.painter import Painting
from generator.plan import Placement

# Softness of the blend as a share of the border around the box: it fades in the border's outer part, off the object.
SOFTNESS = 0.6
# Grey levels: edges in a plain sky are no measure of what is sharp.
MIN_EDGE = 4.0
# Width of the Gaussian that carries the ring's correction into the region, as a share of the crop's longer side.
REACH = 0.15
# A pixel that differs by more than this many grey levels was drawn differently, not only tinted.
MAX_TINT = 24.0
# Weight of the ring's mean where the ring is too far away to say anything local.
PRIOR_WEIGHT = 0.02
# Share of the shorter side of the region: roundness of its corners. Large enough that no straight corner is left.
CORNER_ROUNDING = 0.3
# The edge wanders inwards by at most this share of its softness.
WOBBLE = 0.5
MIN_SOFTNESS_PX = 2.0
# Objects painted earlier keep this border around them untouched (canvas pixels).
PROTECTED_BORDER_PX = 2


class Stitched(NamedTuple):
    """A crop with its object in it (HWC uint8, canvas size), and the evidence for the checks."""

    pixels: np.ndarray
    evidence: Evidence


def stitch(
    before: np.ndarray,
    painting: Painting,
    frame: CropFrame,
    placement: Placement,
    *,
    protected: np.ndarray,
    rng: np.random.Generator,
    settings: PaintingConfig,
) -> Stitched:
    """Blend a painted crop (at native size) into `before` (HWC uint8, canvas size) and find what changed.

    `protected` (HW bool, canvas size) marks earlier objects, which stay as they are.
    """
    patch = to_canvas(painting.pixels, frame)
    repainted = repainted_region(frame) & ~protected
    matched = match_to_ring(patch, before, ~repainted) if settings.match_colour else patch.astype(np.float32)
    long_side = max(placement.box.width, placement.box.height)
    softness_px = SOFTNESS * settings.mask_padding * long_side
    weights = blend_weights(frame, protected, softness_px=softness_px, rng=rng)
    pixels = BLENDERS[placement.blender](before, matched, weights)
    mask = find_painted(before, matched, repainted)
    return Stitched(
        pixels=pixels,
        evidence=Evidence(
            fault=painting.fault,
            region=repainted,
            mask=mask,
            kept=weights >= 0.5,
            box=frame.in_crop(placement.box),
            open_edges=_open_edges(frame),
            sharpness=measure_sharpness(pixels, mask, ~repainted),
        ),
    )


def measure_sharpness(pixels: np.ndarray, mask: np.ndarray, around: np.ndarray) -> float:
    """How many times as hard the hardest edges under `mask` are as those `around` it (both HW bool)."""
    if not mask.any() or not around.any():
        return 1.0
    edges = np.abs(cv2.Laplacian(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.CV_32F))
    inside, outside = (float(np.quantile(edges[part], 0.99)) for part in (mask, around))
    return inside / (outside + MIN_EDGE)


def _open_edges(frame: CropFrame) -> tuple[bool, bool, bool, bool]:
    width, height = frame.native_wh
    region = frame.region
    return region.x_min == 0, region.y_min == 0, region.x_max == width, region.y_max == height


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
