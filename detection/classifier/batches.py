"""Which crops are trained on at a step, and how they are varied: a function of seed and step alone."""

from __future__ import annotations

import os
import random

# albumentations asks PyPI for a newer version when it is imported; this program fetches nothing in silence.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations
import cv2
import numpy as np

from detection.classifier.crops import ROOM, Crop, Crops, fixed_view
from detection.classifier.settings import ClassifierSettings
from generator.foundation.errors import BoxpaintError
from generator.foundation.geometry import square_around
from generator.foundation.seeds import derive_rng, derive_seed
from generator.painting.crop import resize

# Positions below a training's seed, see generator/foundation/seeds.py; detection/classifier/trainer.py has the others.
_CHOICE, _VARIATION = 0, 1
# So many real crops of a class get half of its places beside painted ones. A fixed half was as good with one real crop
# a class (macro F1 .955 on BCCD's val photos, one seed), but with ten it lost .010 to real crops alone.
REAL_FOR_HALF = 4
# Boxes of people and of painters differ by some tenths: how much of its surroundings a crop shows must tell nothing.
MARGIN_RANGE = (-0.1, ROOM)
SHIFT_SHARE = 0.08
UPRIGHT_DEGREES = 15
# Positions below the seed of a batch.
_VIEW, _PIXELS = 0, 1


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


class Augmentation:
    """The standard augmentation: scale, shift, flips, rotation, light, colour, blur and noise."""

    def __init__(self, *, margin: float, side_px: int, upright: bool):
        self.margin = margin
        self.side_px = side_px
        turn = UPRIGHT_DEGREES if upright else 180
        self._pipeline = albumentations.Compose(
            [
                albumentations.HorizontalFlip(p=0.5),
                albumentations.Rotate(limit=(-turn, turn), border_mode=cv2.BORDER_REFLECT_101, p=0.8),
                albumentations.ColorJitter(
                    brightness=(0.85, 1.15), contrast=(0.85, 1.15), saturation=(0.8, 1.2), hue=(-0.015, 0.015), p=0.9
                ),
                # Another white balance. On BCCD's val photos, one seed, trained on painted crops alone, it raised
                # macro F1 from .90 to .95, and with ten real crops a class and no painted ones from .96 to .98.
                albumentations.MultiplicativeNoise(multiplier=(0.85, 1.15), per_channel=True, p=0.8),
                albumentations.Downscale(
                    scale_range=(0.35, 0.9),
                    interpolation_pair={"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR},
                    p=0.3,
                ),
                albumentations.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 1.5), p=0.3),
                albumentations.GaussNoise(std_range=(0.005, 0.03), p=0.3),
            ],
        )

    def batch(self, crops: list[Crop], seed: int) -> np.ndarray:
        """Vary the crops of one batch: (N, side_px, side_px, 3) uint8 RGB."""
        rng = derive_rng(seed, _VIEW)
        # Once a batch: seeding costs half of what varying a crop does. Not set_random_seed: it gives every transform
        # the same stream, so that what is blurred is coarse and grainy as well.
        below = derive_seed(seed, _PIXELS)
        self._pipeline.set_random_state(np.random.default_rng(below), random.Random(below))
        return np.stack([self._pipeline(image=self._view(crop, rng))["image"] for crop in crops])

    def _view(self, crop: Crop, rng: np.random.Generator) -> np.ndarray:
        margin = self.margin + float(rng.uniform(*MARGIN_RANGE))
        height, width = crop.patch.shape[:2]
        window = square_around(crop.box, margin=margin, size_wh=(width, height))
        dx, dy = (round(float(value) * window.width) for value in rng.uniform(-SHIFT_SHARE, SHIFT_SHARE, 2))
        x, y = (
            min(max(0, window.x_min + dx), width - window.width),
            min(max(0, window.y_min + dy), height - window.height),
        )
        window = window.shifted(x - window.x_min, y - window.y_min)
        return resize(crop.patch[window.slices], (self.side_px, self.side_px))
