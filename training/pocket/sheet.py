"""A sheet of painted samples, to look at what no number says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from generator.config import Config
from generator.foundation.seeds import derive_seed
from generator.foundation.storage import atomic_writer
from generator.painting.painter import BackgroundJob, InpaintJob
from generator.painting.stable_diffusion import StableDiffusionPainter

SCENES = (
    "a blood smear with many red blood cells, no white blood cells",
    "a stained blood smear with some red blood cells only",
    "a micrograph of blood with a few red blood cells only",
)
OBJECTS = ("a large purple white blood cell", "a small purple platelet", "a red blood cell")
ROWS_PER_SCENE = 2
BOX_SHARE = 0.4
EDGE = 0


def save_samples(folder: Path, path: Path, seed: int, device: torch.device) -> None:
    """Paint six scenes and into the middle of each a white cell, a platelet and a red cell; save them as one PNG.

    Each row is a scene, then the same scene with each object and the repainted box outlined in black.
    """
    painter = StableDiffusionPainter(
        Config.model_validate({"device": str(device), "models": {"inpaint": {"folder": str(folder)}}})
    )
    side = painter.native_px
    size_wh = (side, side)
    prompts = [prompt for prompt in SCENES for _ in range(ROWS_PER_SCENE)]
    scenes = painter.paint_backgrounds(
        [
            BackgroundJob(
                prompt=prompt,
                negative_prompt=painter.config.painting.background_negative_prompt,
                seed=derive_seed(seed, row),
                size_wh=size_wh,
            )
            for row, prompt in enumerate(prompts)
        ]
    )
    mask = np.zeros((side, side), bool)
    low = round(side * (1 - BOX_SHARE) / 2 / 8) * 8
    mask[low : side - low, low : side - low] = True
    jobs = [
        InpaintJob(
            prompt=prompt,
            negative_prompt="",
            seed=derive_seed(seed, row, column),
            size_wh=size_wh,
            image=scene.pixels,
            mask=mask,
        )
        for row, scene in enumerate(scenes)
        for column, prompt in enumerate(OBJECTS)
    ]
    objects = painter.inpaint(jobs)
    rows = []
    for row, scene in enumerate(scenes):
        painted = objects[row * len(OBJECTS) : (row + 1) * len(OBJECTS)]
        cells = [np.where(mask[..., None], item.pixels, scene.pixels) for item in painted]
        rows.append(np.hstack([scene.pixels, *(_outlined(cell, low) for cell in cells)]))
    with atomic_writer(path) as stream:
        Image.fromarray(np.vstack(rows)).save(stream, "PNG")


def _outlined(picture: np.ndarray, low: int) -> np.ndarray:
    """Draw the edge of the middle square one pixel wide, outside of it."""
    high = len(picture) - low
    outlined: np.ndarray = picture.copy()
    outlined[[low - 1, high], low - 1 : high + 1] = EDGE
    outlined[low - 1 : high + 1, [low - 1, high]] = EDGE
    return outlined
