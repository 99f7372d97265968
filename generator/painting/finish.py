"""The last touch of a finished picture: one past for all of it, so that nothing tells where was painted.

What a decoder leaves behind - how fine its detail is, how smooth its plain areas - depends on the size at which a crop
was painted, and a probe finds the difference in a few pixels. So the whole picture is noised a little and denoised
(`Painter.redraw`), and then given the grain of one sensor. How much of a seam is left: benchmarks/leak.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from generator.config import Config
from generator.foundation.errors import ModelError
from generator.foundation.seeds import derive_rng, derive_seed
from generator.painting.jobs import RedrawJob
from generator.painting.painter import Painter
from generator.plan import ScenePlan

# Last positions below a scene's seed; those of the background's attempts end before.
_REDRAW, _GRAIN = 1000, 1001


def finish_pictures(
    pictures: Sequence[np.ndarray], scenes: Sequence[ScenePlan], painter: Painter, config: Config
) -> list[np.ndarray]:
    """Finish pictures (HWC uint8) of these scenes: as many HWC uint8.

    Raises ModelError when the model makes no usable picture of one.
    """
    if config.painting.harmonize_strength > 0:
        pictures = _redrawn(pictures, scenes, painter, config)
    return [
        add_grain(picture, config.painting.sensor_noise, scene.seed)
        for picture, scene in zip(pictures, scenes, strict=True)
    ]


def add_grain(picture: np.ndarray, deviation: float, seed: int) -> np.ndarray:
    """Add Gaussian noise of this standard deviation (grey levels) to a picture (HWC uint8)."""
    if deviation == 0:
        return picture
    grain = derive_rng(seed, _GRAIN).normal(0.0, deviation, picture.shape)
    return np.clip(np.rint(picture + grain), 0, 255).astype(np.uint8)


def _redrawn(
    pictures: Sequence[np.ndarray], scenes: Sequence[ScenePlan], painter: Painter, config: Config
) -> list[np.ndarray]:
    finished: dict[int, np.ndarray] = {}
    for attempt in range(config.labels.max_attempts):
        waiting = [number for number in range(len(scenes)) if number not in finished]
        if not waiting:
            break
        jobs = [
            RedrawJob(
                prompt=scenes[number].prompt,
                negative_prompt=scenes[number].negative_prompt,
                seed=derive_seed(scenes[number].seed, _REDRAW, attempt),
                size_wh=config.canvas_wh,
                image=pictures[number],
            )
            for number in waiting
        ]
        for number, painting in zip(waiting, painter.redraw(jobs, config.painting.harmonize_strength), strict=True):
            if not painting.fault:
                finished[number] = painting.pixels
            elif attempt + 1 == config.labels.max_attempts:
                raise ModelError(
                    f"scene {scenes[number].index}: {painting.fault}, {config.labels.max_attempts} times, when the "
                    "finished picture was drawn over; try dtype: float32 (or bfloat16 on a GPU), or "
                    "painting.harmonize_strength: 0"
                )
    return [finished[number] for number in range(len(scenes))]
