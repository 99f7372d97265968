"""Can a trained probe tell where was painted? Two probes, cross-validated by picture, and how sure that is.

AUC (area under the ROC curve) is the probability that a painted place looks more painted than an untouched one: 0.5 is
guessing, 1 is knowing. Its interval comes from drawing pictures with replacement (Efron and Tibshirani 1993), since
places of one picture share its light and grain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from generator.audit.files import MIN_PLACES, Auc, Finding
from generator.audit.places import PATCH_PX, Patches, Place, cut_patches
from generator.foundation.seeds import derive_rng, derive_seed

FOLDS = 5
RESAMPLES = 1000
CONFIDENCE = 0.95
_CELL_PX = 8
_SMALL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Probed:
    """What the probes found, and the suspicion (N,) of each place: the mean rank by all probes, in [0, 1].

    `compared` painted places had something to be compared with; where they are too few, `finding` is None and
    `suspicion` NaN.
    """

    compared: int
    finding: Finding | None
    suspicion: np.ndarray


def probe(places: Sequence[Place], *, seed: int, with_network: bool = True) -> Probed:
    """Train the probes on painted and untouched places, where there are enough to say anything.

    A picture's places are all learnt from or all judged, never both. The network takes a minute for some hundred
    places; features alone, seconds.
    """
    kept = list(places)
    patches = cut_patches(kept)
    seen = np.isin(np.arange(len(kept)), patches.place)
    labels = np.array([place.is_painted for place in kept], bool)
    groups = np.array([place.group for place in kept])
    folds = min(FOLDS, len(np.unique(groups[seen])))
    compared = min(int((seen & labels).sum()), int((seen & ~labels).sum()))
    suspicion = np.full(len(kept), np.nan)
    if folds < 2 or compared < MIN_PLACES:
        return Probed(compared=compared, finding=None, suspicion=suspicion)
    names = ("features", "network") if with_network else ("features",)
    scores = {name: np.full(len(kept), np.nan) for name in names}
    measured = np.nan_to_num(measure_places(patches, len(kept)))
    chosen = np.flatnonzero(seen)
    for fold, (train, test) in enumerate(GroupKFold(folds).split(chosen, groups=groups[chosen])):
        learnt, judged = chosen[train], chosen[test]
        # On so few rows threads of OpenMP only wait for each other: eight times as long where the cores are busy.
        with threadpool_limits(limits=1):
            scores["features"][judged] = _judge_features(measured, labels, learnt, judged, derive_seed(seed, 0, fold))
        if with_network:
            scores["network"][judged] = _judge_patches(patches, labels, learnt, judged, derive_seed(seed, 1, fold))
    rng = derive_rng(seed, 2)
    auc = {name: _auc(labels[chosen], found[chosen], groups[chosen], rng) for name, found in scores.items()}
    suspicion[chosen] = np.mean([_ranks(found[chosen]) for found in scores.values()], axis=0)
    finding = Finding(places=len(chosen), pictures=len(np.unique(groups[chosen])), auc=auc)
    return Probed(compared=compared, finding=finding, suspicion=suspicion)


def _judge_features(
    measured: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray, seed: int
) -> np.ndarray:
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=2000))
    trees = HistGradientBoostingClassifier(
        max_iter=120,
        learning_rate=0.06,
        max_leaf_nodes=8,
        min_samples_leaf=8,
        l2_regularization=1.0,
        random_state=seed % 2**32,
    )
    found = np.zeros(len(test))
    for model in (linear, trees):
        model.fit(measured[train], labels[train])
        chance = np.clip(model.predict_proba(measured[test])[:, 1], 1e-6, 1 - 1e-6)
        found += np.log(chance / (1 - chance))
    return found


def _judge_patches(patches: Patches, labels: np.ndarray, train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Mean over the patches of each place."""
    from generator.audit.cnn import fit_and_judge

    of_patch = labels[patches.place]
    learnt = np.flatnonzero(np.isin(patches.place, train))
    judged = np.flatnonzero(np.isin(patches.place, test))
    logits = fit_and_judge(patches, of_patch, learnt, judged, seed=seed)
    owners = patches.place[judged]
    return np.array([logits[owners == place].mean() for place in test])


def _auc(labels: np.ndarray, scores: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> Auc:
    positions = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    drawn = []
    for _ in range(RESAMPLES):
        chosen = np.concatenate([positions[k] for k in rng.integers(len(positions), size=len(positions))])
        if 0 < labels[chosen].sum() < len(chosen):
            drawn.append(roc_auc_score(labels[chosen], scores[chosen]))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    value = float(roc_auc_score(labels, scores))
    return Auc(value=round(value, 4), low=round(float(low), 4), high=round(float(high), 4))


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values)) / max(len(values) - 1, 1)


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
    """Measure what a seam would change in single patches: (N, F) float64.

    Each is a profile over the distance to the edge, outside first, averaged along the edge; hidden pixels do not count.

    gradient      step from one row to the next, against that within rows: a line along the edge
    sharpness     energy of the Laplacian: a decoder smooths what it repaints
    grain         median size of the Laplacian: sensor noise that ends at the edge
    colour        mean in L*a*b*: a tint of the whole region
    grid          steps between the 8 px cells of JPEG, or of the latents, that are out of phase with the picture's
    """
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
