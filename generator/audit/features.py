"""Numbers that a seam would change, measured across the edge of a place.

Each is a profile over the distance to the edge, outside first, averaged along the edge; hidden pixels do not count.

gradient      step from one row to the next, against that within rows: a line along the edge
sharpness     energy of the Laplacian: a decoder smooths what it repaints
grain         median size of the Laplacian: sensor noise that ends at the edge
colour        mean in L*a*b*: a tint of the whole region
grid          steps between the 8 px cells of JPEG, or of the latents, that are out of phase with the picture's
"""

from __future__ import annotations

import cv2
import numpy as np

from generator.audit.patches import PATCH_PX, Patches

_CELL_PX = 8
_SMALL = 0.05


def measure_places(patches: Patches, places: int) -> np.ndarray:
    """Measure places by their patches: (places, F) float64; NaN for those without any."""
    of_patch = measure_patches(patches)
    mean = np.full((places, of_patch.shape[1]), np.nan)
    most = np.full_like(mean, np.nan)
    for number in np.unique(patches.place):
        own = of_patch[patches.place == number]
        mean[number], most[number] = own.mean(axis=0), np.abs(own).max(axis=0)
    return np.concatenate([mean, most], axis=1)


def measure_patches(patches: Patches) -> np.ndarray:
    """Measure single patches: (N, F) float64."""
    return np.array([_measure(*each) for each in zip(patches.pixels, patches.known, strict=True)]).reshape(
        len(patches.pixels), -1
    )


def _measure(pixels: np.ndarray, known: np.ndarray) -> np.ndarray:
    lab = cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    light = lab[..., 0]
    across = np.abs(np.diff(lab, axis=0)).sum(axis=2)
    along = np.abs(np.diff(lab, axis=1)).sum(axis=2)
    both_across, both_along = known[1:] & known[:-1], known[:, 1:] & known[:, :-1]
    usual = _SMALL + (along[both_along].mean() if both_along.any() else 0.0)
    gradient = np.log((_SMALL + _rows(across, both_across)) / usual)
    laplacian = np.abs(cv2.Laplacian(light, cv2.CV_32F, ksize=1))
    # A hidden neighbour is no edge of the picture.
    inner = cv2.erode(known.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    level = _SMALL + (laplacian[inner].mean() if inner.any() else 0.0)
    sharpness = np.log((_SMALL + _rows(laplacian, inner)) / level)
    grain = np.log((_SMALL + _row_medians(laplacian, inner)) / level)
    colour = np.stack([_rows(channel, known) for channel in np.moveaxis(lab, 2, 0)])
    colour = (colour - colour.mean(axis=1, keepdims=True)) / 10
    half = PATCH_PX // 2
    sides = [
        np.log((_SMALL + values[half + 2 :].mean()) / (_SMALL + values[: half - 2].mean()))
        for values in (np.exp(sharpness), np.exp(grain))
    ]
    steps = [np.abs(channel[half:].mean() - channel[:half].mean()) for channel in colour]
    profile = np.array([gradient[half - 3 : half + 2].max() - np.median(gradient)])
    return np.concatenate(
        [
            _binned(gradient),
            _binned(sharpness),
            _binned(grain),
            np.concatenate([_binned(channel) for channel in colour]),
            sides,
            steps,
            profile,
            _grid(np.vstack([across, across[-1:]]), np.vstack([both_across, both_across[-1:]])),
        ]
    )


def _rows(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mean of each row over known pixels, (H, W) -> (H,); of rows without any, that of all."""
    counts = known.sum(axis=1)
    whole = values[known].mean() if known.any() else 0.0
    return np.where(counts > 2, (values * known).sum(axis=1) / np.maximum(counts, 1), whole)


def _row_medians(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    whole = float(np.median(values[known])) if known.any() else 0.0
    return np.array(
        [float(np.median(row[seen])) if seen.sum() > 2 else whole for row, seen in zip(values, known, strict=True)]
    )


def _binned(profile: np.ndarray) -> np.ndarray:
    """Means of two rows each, (H,) -> (H // 2,): enough to say where, few enough to learn from."""
    even = profile[: len(profile) // 2 * 2]
    return even.reshape(-1, 2).mean(axis=1)


def _grid(steps: np.ndarray, known: np.ndarray) -> np.ndarray:
    """How strongly steps repeat every 8 px outside and inside, and how well the two are in phase: (3,)."""
    half = len(steps) // 2
    phases = []
    for rows in (slice(0, half), slice(half, 2 * half)):
        values = _rows(steps[rows], known[rows])
        means = values.reshape(-1, _CELL_PX).mean(axis=0)
        phases.append((means - means.mean()) / (_SMALL + means.mean()))
    outside, inside = phases
    lengths = np.linalg.norm(outside) * np.linalg.norm(inside)
    return np.array([outside.max(), inside.max(), float(outside @ inside) / (_SMALL + lengths)])
