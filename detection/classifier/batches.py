"""Which crops are trained on at a step, and how they are varied: a function of seed and step alone."""

from __future__ import annotations

import numpy as np

from detection.classifier.augment import Augmentation
from detection.classifier.crops import Crop, Crops, fixed_view
from detection.classifier.settings import ClassifierSettings
from generator.foundation.errors import BoxpaintError
from generator.foundation.seeds import derive_rng, derive_seed

# Positions below a training's seed, see generator/foundation/seeds.py; detection/classifier/trainer.py has the others.
_CHOICE, _VARIATION = 0, 1
# So many real crops of a class get half of its places beside painted ones. A fixed half was as good with one real crop
# a class (macro F1 .955 on BCCD's val photos, one seed), but with ten it lost .010 to real crops alone.
REAL_FOR_HALF = 4


class Batches:
    """Batches of crops that hold every class equally often, painted ones among them in a given share."""

    def __init__(
        self, real: Crops | None, synthetic: Crops | None, settings: ClassifierSettings, *, side_px: int, seed: int
    ):
        self.settings = settings
        self.seed = seed
        self.side_px = side_px
        sources = [[*source.items] if source is not None else [] for source in (real, synthetic)]
        labels = sorted({item.label for items in sources for item in items})
        if not labels:
            raise BoxpaintError("there are no crops to train on")
        of_label = [[[item for item in items if item.label == label] for items in sources] for label in labels]
        # (real, painted) crops of each class that has some
        self._pools = [(own_real, own_synthetic) for own_real, own_synthetic in of_label]
        self._augmentation = (
            Augmentation(margin=settings.margin, side_px=side_px, upright=settings.upright)
            if settings.augment == "standard"
            else None
        )

    def crops(self, step: int) -> list[Crop]:
        """Choose the crops of a step: classes in turn, each one's share of real crops as the settings say."""
        rng = derive_rng(self.seed, _CHOICE, step)
        first = int(rng.integers(len(self._pools)))
        chosen = []
        for position in range(self.settings.batch_size):
            real, synthetic = self._pools[(first + position) % len(self._pools)]
            takes_real = bool(real) and (not synthetic or rng.random() < self._real_share(len(real)))
            pool = real if takes_real else synthetic
            chosen.append(pool[int(rng.integers(len(pool)))])
        return chosen

    def _real_share(self, count: int) -> float:
        wished = self.settings.real_share
        return wished if wished is not None else count / (count + REAL_FOR_HALF)

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (B, side_px, side_px, 3) uint8 RGB and labels (B,) int64 of a step, from 0."""
        crops = self.crops(step)
        labels = np.array([crop.label for crop in crops], np.int64)
        if self._augmentation is not None:
            return self._augmentation.batch(crops, derive_seed(self.seed, _VARIATION, step)), labels
        return fixed_views(crops, margin=self.settings.margin, side_px=self.side_px), labels


def fixed_views(crops: list[Crop], *, margin: float, side_px: int) -> np.ndarray:
    """The crops as they are scored, (N, side_px, side_px, 3) uint8 RGB."""
    views = [fixed_view(crop, margin=margin, side_px=side_px) for crop in crops]
    return np.stack(views) if views else np.zeros((0, side_px, side_px, 3), np.uint8)
