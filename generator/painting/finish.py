"""The last touch of a finished picture: one past for all of it, so that nothing tells where was painted.

What a decoder leaves behind (how fine its detail is, how smooth its plain areas) depends on the size at which a crop
was painted, and a probe finds the difference in a few pixels. So the whole picture is noised a little and denoised
(`Painter.redraw`), and then given the noise of one sensor. How much of a seam is left: benchmarks/leak.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from generator.foundation.errors import ModelError
from generator.foundation.seeds import derive_rng, derive_seed
from generator.painting.candidates import Candidate
from generator.painting.painter import Painter, RedrawJob
from generator.painting.scene_state import SceneState
from generator.plan import ScenePlan

# Last positions below a scene's seed; those of the background's attempts end before.
_REDRAW, _SENSOR = 1000, 1001


def preview(candidates: Sequence[Candidate], painter: Painter) -> None:
    """Let candidates look as the finished picture would show them: what is pale fades in it, and that must be seen.

    The first candidates of a round stand together in one picture of their scene, the second ones in another. The first
    picture is kept: when nothing is changed in it any more, it is the finished one.
    """
    pictures: dict[tuple[int, int], tuple[SceneState, np.ndarray]] = {}
    keys = []
    for each in candidates:
        scene, rank = each.task.scene, each.number - len(each.task.attempts)
        keys.append((scene.plan.index, rank))
        _, picture = pictures.setdefault(keys[-1], (scene, scene.image.copy()))
        if not each.evidence.fault:
            each.task.put_into(picture, each.pixels)
    plans = [scene.plan for scene, _ in pictures.values()]
    finished = dict(
        zip(pictures, finish_pictures([each for _, each in pictures.values()], plans, painter), strict=True)
    )
    for (index, rank), (scene, picture) in pictures.items():
        if rank == 0:
            scene.preview = picture, finished[index, rank]
    for each, key in zip(candidates, keys, strict=True):
        each.look = finished[key][each.task.frame.crop.slices]


def finish_scenes(scenes: Sequence[SceneState], painter: Painter) -> list[np.ndarray]:
    """Finish every picture (HWC uint8 each) but those that are still as the verifier was last shown them."""
    finished = {
        scene.plan.index: scene.preview[1]
        for scene in scenes
        if scene.preview is not None and np.array_equal(scene.preview[0], scene.image)
    }
    waiting = [scene for scene in scenes if scene.plan.index not in finished]
    pictures = finish_pictures([scene.image for scene in waiting], [scene.plan for scene in waiting], painter)
    finished.update((scene.plan.index, picture) for scene, picture in zip(waiting, pictures, strict=True))
    return [finished[scene.plan.index] for scene in scenes]


def finish_pictures(pictures: Sequence[np.ndarray], plans: Sequence[ScenePlan], painter: Painter) -> list[np.ndarray]:
    """Finish pictures (HWC uint8) of these scenes: as many HWC uint8.

    Raises ModelError when the model makes no usable picture of one.
    """
    settings = painter.config.painting
    if settings.harmonize_strength > 0:
        pictures = _harmonized(pictures, plans, painter)
    return [
        add_sensor_noise(picture, settings.sensor_noise, plan.seed)
        for picture, plan in zip(pictures, plans, strict=True)
    ]


def add_sensor_noise(picture: np.ndarray, deviation: float, seed: int) -> np.ndarray:
    """Add Gaussian noise of this standard deviation (grey levels) to a picture (HWC uint8)."""
    if deviation == 0:
        return picture
    noise = derive_rng(seed, _SENSOR).normal(0.0, deviation, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def _harmonized(pictures: Sequence[np.ndarray], plans: Sequence[ScenePlan], painter: Painter) -> list[np.ndarray]:
    config = painter.config
    finished: dict[int, np.ndarray] = {}
    faults: dict[int, str] = {}
    for attempt in range(config.labels.max_attempts):
        waiting = [row for row in range(len(plans)) if row not in finished]
        jobs = [
            RedrawJob(
                prompt=plans[row].prompt,
                negative_prompt=plans[row].negative_prompt,
                seed=derive_seed(plans[row].seed, _REDRAW, attempt),
                size_wh=config.canvas_wh,
                image=pictures[row],
            )
            for row in waiting
        ]
        paintings = painter.redraw(jobs, config.painting.harmonize_strength)
        faults = {row: each.fault for row, each in zip(waiting, paintings, strict=True) if each.fault}
        finished |= {row: each.pixels for row, each in zip(waiting, paintings, strict=True) if not each.fault}
        if not faults:
            return [finished[row] for row in range(len(plans))]
    row, fault = next(iter(faults.items()))
    raise ModelError(
        f"scene {plans[row].index}: {fault}, {config.labels.max_attempts} times, when the finished picture was drawn "
        "over; try dtype: float32 (or bfloat16 on a GPU), or painting.harmonize_strength: 0"
    )
