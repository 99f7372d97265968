"""The one standard augmentation of detection pictures, by albumentations; a pure function of picture and seed.

About 1.5 ms for a picture of 320 x 240 with eight boxes on one core (benchmarks/detectors.py).
"""

from __future__ import annotations

import os
import random

# albumentations asks PyPI for a newer version when it is imported; this program fetches nothing in silence.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations
import cv2
import numpy as np

from detection.detectors.pictures import Picture

# An object of which less is left in the picture is no longer labelled.
MIN_VISIBLE = 0.4
MIN_SIDE_PX = 1.0


class Augmentation:
    """Flips, scale and shift, light, colour and blur; objects that leave the picture are dropped."""

    def __init__(self, *, vertical_flip: bool):
        flips = [albumentations.HorizontalFlip(p=0.5)] + ([albumentations.VerticalFlip(p=0.5)] if vertical_flip else [])
        self._pipeline = albumentations.Compose(
            [
                *flips,
                albumentations.Affine(
                    scale=(0.7, 1.42),
                    translate_percent={"x": (-0.15, 0.15), "y": (-0.15, 0.15)},
                    keep_ratio=True,
                    border_mode=cv2.BORDER_REPLICATE,
                    p=1,
                ),
                albumentations.ColorJitter(
                    brightness=(0.8, 1.2), contrast=(0.75, 1.25), saturation=(0.6, 1.4), hue=(0, 0), p=1
                ),
                albumentations.MultiplicativeNoise(multiplier=(0.92, 1.08), per_channel=True, p=1),
                albumentations.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 1.2), p=0.3),
            ],
            bbox_params=albumentations.BboxParams(
                format="pascal_voc",
                label_fields=["positions"],
                min_visibility=MIN_VISIBLE,
                min_width=MIN_SIDE_PX,
                min_height=MIN_SIDE_PX,
                clip=True,
            ),
        )

    def __call__(self, picture: Picture, seed: int) -> Picture:
        """Vary a picture; the same seed gives the same variation, whatever came before."""
        # Not set_random_seed: it gives every transform the same stream, so that all pictures that are flipped one way
        # are flipped the other way, too.
        self._pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
        targets = {
            "image": picture.image,
            "bboxes": picture.boxes_xyxy,
            "positions": np.arange(len(picture.labels)),
        }
        if picture.masks is not None and len(picture.masks):
            targets["masks"] = picture.masks
        found = self._pipeline(**targets)
        kept = np.asarray(found["positions"], np.int64).reshape(-1)
        return Picture(
            image=found["image"],
            boxes_xyxy=np.asarray(found["bboxes"], np.float32).reshape(-1, 4),
            labels=picture.labels[kept],
            masks=np.asarray(found["masks"])[kept] if "masks" in targets else picture.masks,
        )
