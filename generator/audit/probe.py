"""Can a trained probe tell where was painted? Two probes, cross-validated by picture, and how sure that is.

AUC (area under the ROC curve) is the probability that a painted place looks more painted than an untouched one: 0.5 is
guessing, 1 is knowing. Its interval comes from drawing pictures with replacement (Efron and Tibshirani 1993), since
places of one picture share its light and grain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from generator.audit.features import measure_places
from generator.audit.files import MIN_PLACES, Auc, Finding
from generator.audit.patches import Patches, cut_patches
from generator.audit.places import Place
from generator.foundation.seeds import derive_rng, derive_seed

FOLDS = 5
RESAMPLES = 1000
CONFIDENCE = 0.95


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
