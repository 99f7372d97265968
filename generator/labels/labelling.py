"""What was really painted: the mask and tight box of an object, from the change between before and after.

The requested box is only a wish. Three observations make the mask:

1. *Change*: the colour distance (CIE76 in L*a*b*) between the picture before and the painted crop, against a threshold
   taken from the ring that was not repainted, where every difference is the decoder's noise.
2. *Novelty*: of what changed, the colours that the picture did not have before. Neighbours that were only drawn again
   (a red cell beside the white one) change, but bring nothing new.
3. *GrabCut* (Rother et al. 2004) grows what is new into what changed along real edges, so that pale rims are kept.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import binary_fill_holes

# Colour distances (L*a*b* units): 2.3 is just noticeable; below 3 nothing is called a change.
MIN_DISTANCE = 3.0
# Threshold over the 99th percentile of what is known to be noise, from benchmarks/labelling.py; a novelty factor of 2
# fits drawn shapes better still (0.96), but cuts the pale cytoplasm off white blood cells.
CHANGE_FACTOR, NOVELTY_FACTOR = 1.6, 1.5
PALETTE_COLOURS = 8
PALETTE_SAMPLES = 3000
# With less than this share of the change being new, colour says nothing (a grey elephant on grey rock): the change
# alone decides.
MIN_NOVEL_SHARE = 0.15
# Parts smaller than this share of the largest one are specks, not limbs.
MIN_PART_SHARE = 0.2
GRABCUT_ROUNDS = 2
MIN_MASK_PX = 9
# GrabCut and k-means draw from OpenCV's global generator; a fixed seed makes the mask a function of the pictures.
CV_SEED = 20261


def find_painted(before: np.ndarray, painted: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Find the object that was painted into a crop.

    `before` is HWC uint8; `painted` HWC (any float or integer, 0 to 255) is the model's whole crop, colours
    matched, decoder noise and all, before blending; `region` (HW bool) is where it was to paint. Returns HW bool,
    inside the region, without holes or specks; empty when nothing changed.
    """
    smooth_px = max(0.7, 0.006 * max(before.shape[:2]))
    lab_before, lab_painted = _smooth_lab(before, smooth_px), _smooth_lab(painted, smooth_px)
    change = np.linalg.norm(lab_painted - lab_before, axis=2)
    changed = (change > _threshold(change[~region], CHANGE_FACTOR)) & region
    if int(changed.sum()) < MIN_MASK_PX:
        return np.zeros(region.shape, bool)
    palette = _palette(lab_before)
    usual = _distance_to_palette(lab_before, palette)
    novelty = _distance_to_palette(lab_painted, palette)
    core = changed & (novelty > _threshold(usual, NOVELTY_FACTOR))
    if core.sum() < max(MIN_NOVEL_SHARE * changed.sum(), MIN_MASK_PX):
        core = changed
    return _clean(_grow(painted, region, changed, _clean(core)))


def largest_parts(mask: np.ndarray) -> np.ndarray:
    """Keep the largest connected part and those not much smaller: HW bool -> HW bool."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count <= 1:
        return np.zeros(mask.shape, bool)
    areas = stats[1:, cv2.CC_STAT_AREA]
    kept = 1 + np.flatnonzero(areas >= MIN_PART_SHARE * areas.max())
    return np.isin(labels, kept)


def _smooth_lab(pixels: np.ndarray, sigma_px: float) -> np.ndarray:
    lab = cv2.cvtColor(np.asarray(pixels, np.float32) / 255, cv2.COLOR_RGB2LAB)
    return cv2.GaussianBlur(lab, (0, 0), sigma_px)


def _threshold(usual: np.ndarray, factor: float) -> float:
    """Distances above this do not come from noise; `usual` holds those known to be noise."""
    return max(MIN_DISTANCE, factor * float(np.quantile(usual, 0.99))) if usual.size else MIN_DISTANCE


def _palette(lab: np.ndarray) -> np.ndarray:
    pixels = lab.reshape(-1, 3)
    pixels = pixels[:: max(1, len(pixels) // PALETTE_SAMPLES)]
    colours = min(PALETTE_COLOURS, len(pixels))
    cv2.setRNGSeed(CV_SEED)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    labels = np.empty((len(pixels), 1), np.int32)
    _, _, centres = cv2.kmeans(np.ascontiguousarray(pixels), colours, labels, stop, 1, cv2.KMEANS_PP_CENTERS)
    return np.asarray(centres)


def _distance_to_palette(lab: np.ndarray, palette: np.ndarray) -> np.ndarray:
    distance: np.ndarray = np.stack([np.linalg.norm(lab - colour, axis=2) for colour in palette]).min(axis=0)
    return distance


def _grow(painted: np.ndarray, region: np.ndarray, changed: np.ndarray, core: np.ndarray) -> np.ndarray:
    trimap = np.where(region, cv2.GC_PR_BGD, cv2.GC_BGD).astype(np.uint8)
    trimap[changed] = cv2.GC_PR_FGD
    trimap[core] = cv2.GC_FGD
    background = ~(changed | core)
    if background.sum() < MIN_MASK_PX or core.sum() < MIN_MASK_PX:  # GrabCut needs a few pixels of both
        return core
    pixels = np.clip(np.rint(painted), 0, 255).astype(np.uint8)
    cv2.setRNGSeed(CV_SEED)
    cv2.grabCut(
        pixels, trimap, (0, 0, 0, 0), np.zeros((1, 65)), np.zeros((1, 65)), GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK
    )
    grown: np.ndarray = ((trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)) & region
    return grown


def _clean(mask: np.ndarray) -> np.ndarray:
    # Opening cuts whiskers off large masks; a platelet of a dozen pixels would not survive it.
    if mask.sum() > 200:
        opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(bool)
        mask = opened if opened.any() else mask
    return binary_fill_holes(largest_parts(mask))
