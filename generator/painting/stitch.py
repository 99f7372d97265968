"""From the model's crop back into the picture, everything outside the blend left bit for bit."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from generator.config import PaintingConfig
from generator.labels.checks import Evidence
from generator.labels.labelling import find_painted
from generator.painting.blenders import BLENDERS
from generator.painting.colour import match_to_ring
from generator.painting.crop import CropFrame, to_canvas
from generator.painting.mask import blend_weights
from generator.plan import Placement

# Softness of the blend as a share of the border around the box: it fades in the border's outer part, off the object.
SOFTNESS = 0.6
# Grey levels: edges in a plain sky are no measure of what is sharp.
MIN_EDGE = 4.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stitched:
    """A crop with its object in it (HWC uint8, canvas size), and the evidence for the checks."""

    pixels: np.ndarray
    evidence: Evidence


def stitch(
    before: np.ndarray,
    painted: np.ndarray,
    frame: CropFrame,
    placement: Placement,
    *,
    protected: np.ndarray,
    fault: str,
    rng: np.random.Generator,
    painting: PaintingConfig,
) -> Stitched:
    """Blend a painted crop (HWC uint8, native size) into `before` (HWC uint8, canvas size) and find what changed.

    `protected` (HW bool, canvas size) marks earlier objects, which stay as they are.
    """
    patch = to_canvas(painted, frame)
    repainted = repainted_region(frame) & ~protected
    matched = match_to_ring(patch, before, ~repainted) if painting.match_colour else patch.astype(np.float32)
    long_side = max(placement.box.width, placement.box.height)
    softness_px = SOFTNESS * painting.mask_padding * long_side
    weights = blend_weights(frame, protected, softness_px=softness_px, rng=rng)
    pixels = BLENDERS[placement.blender](before, matched, weights)
    mask = find_painted(before, matched, repainted)
    return Stitched(
        pixels=pixels,
        evidence=Evidence(
            fault=fault,
            region=repainted,
            mask=mask,
            kept=weights >= 0.5,
            box=placement.box.shifted(-frame.crop.x_min, -frame.crop.y_min),
            open_edges=_open_edges(frame),
            sharpness=_sharpness(pixels, mask, ~repainted),
        ),
    )


def _sharpness(pixels: np.ndarray, mask: np.ndarray, around: np.ndarray) -> float:
    """How many times as hard the hardest edges under `mask` are as those `around` it (both HW bool)."""
    if not mask.any() or not around.any():
        return 1.0
    edges = np.abs(cv2.Laplacian(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.CV_32F))
    inside, outside = (float(np.quantile(edges[part], 0.99)) for part in (mask, around))
    return inside / (outside + MIN_EDGE)


def repainted_region(frame: CropFrame) -> np.ndarray:
    """What the model repaints of a crop: HW bool, of the crop's size on the canvas."""
    left, top, right, bottom = frame.region_edges()
    region = np.zeros((frame.crop.height, frame.crop.width), bool)
    region[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = True
    return region


def _open_edges(frame: CropFrame) -> tuple[bool, bool, bool, bool]:
    width, height = frame.native_wh
    region = frame.region
    return region.x_min == 0, region.y_min == 0, region.x_max == width, region.y_max == height
