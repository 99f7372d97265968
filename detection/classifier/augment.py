"""The one standard augmentation of crops, by albumentations: a pure function of crop and seed."""

from __future__ import annotations

import os
import random

# albumentations asks PyPI for a newer version when it is imported; this program fetches nothing in silence.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations
import cv2
import numpy as np

from detection.classifier.crops import ROOM, Crop
from generator.foundation.geometry import square_around
from generator.foundation.seeds import derive_rng, derive_seed
from generator.painting.crop import resize

# Boxes of people and of painters differ by some tenths: how much of its surroundings a crop shows must tell nothing.
MARGIN_RANGE = (-0.1, ROOM)
SHIFT_SHARE = 0.08
UPRIGHT_DEGREES = 15
# Positions below the seed of a batch.
_VIEW, _PIXELS = 0, 1


class Augmentation:
    """Scale, shift, flips and rotation, light, colour, blur and noise, for crops of `side_px`."""

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
