"""The last touch of a finished picture: one past for all of it, so that nothing tells where was painted.

What a decoder leaves behind (how fine its detail is, how smooth its plain areas) depends on the size at which a crop
was painted, and a probe finds the difference in a few pixels. So the whole picture is noised a little and denoised
(`Painter.redraw`), and then given the noise of one sensor. How much of a seam is left: benchmarks/leak.py.

A photo has a past of its own, and loses it so. With `painting.harmonize_area: painted` only what was painted is drawn
anew, and gets what that took from the rest of the photo, the grain of its sensor and of its compression.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from generator.foundation.errors import ModelError
from generator.foundation.seeds import derive_rng, derive_seed
from generator.painting.candidates import Candidate
from generator.painting.painter import Painter, RedrawJob
from generator.painting.scene_state import SceneState
from generator.painting.stitch import match_to_ring
from generator.plan import ScenePlan

# Last positions below a scene's seed; those of the background's attempts end before.
_REDRAW, _SENSOR, _GRAIN = 1000, 1001, 1002
MAX_GREY_SPREAD = 3
# Pixels around what was painted over which a photo goes over into what was drawn anew.
FADE_PX = 6
# What was lost of a photo is taken for grain up to so many of its standard deviations; beyond, it is an edge.
GRAIN_LIMIT = 3.0
# Median absolute deviation of a normal distribution, in standard deviations.
_MAD = 0.6745


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
    finished = dict(zip(pictures, _finish([*pictures.values()], painter), strict=True))
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
    pictures = _finish([(scene, scene.image) for scene in waiting], painter)
    finished.update((scene.plan.index, picture) for scene, picture in zip(waiting, pictures, strict=True))
    return [finished[scene.plan.index] for scene in scenes]


def _finish(pictures: Sequence[tuple[SceneState, np.ndarray]], painter: Painter) -> list[np.ndarray]:
    """Finish pictures of scenes, with their objects so far."""
    photos = [scene.background.pixels if scene.plan.photo is not None else None for scene, _ in pictures]
    plans = [scene.plan for scene, _ in pictures]
    return finish_pictures([picture for _, picture in pictures], plans, painter, photos=photos)


def finish_pictures(
    pictures: Sequence[np.ndarray],
    plans: Sequence[ScenePlan],
    painter: Painter,
    *,
    photos: Sequence[np.ndarray | None] | None = None,
) -> list[np.ndarray]:
    """Finish pictures (HWC uint8) of these scenes: as many HWC uint8.

    `photos` are those that pictures were painted into, None for others. Raises ModelError when the model makes no
    usable picture of one.
    """
    settings = painter.config.painting
    if photos is None or settings.harmonize_area != "painted":
        photos = [None] * len(pictures)
    drawn = _harmonized(pictures, plans, painter) if settings.harmonize_strength > 0 else pictures
    return [
        add_sensor_noise(new, settings.sensor_noise, plan.seed)
        if photo is None
        else lay_over(photo, picture, new, plan.seed)
        for photo, picture, new, plan in zip(photos, pictures, drawn, plans, strict=True)
    ]


def lay_over(photo: np.ndarray, picture: np.ndarray, drawn: np.ndarray, seed: int) -> np.ndarray:
    """Put what was drawn anew into a photo where something was painted (`picture` differs), with grain as the photo's.

    All HWC uint8 of one size. Beyond FADE_PX of what was painted the photo stays bit for bit. Where it fades, the grain
    of both adds up to that of one.
    """
    painted = (picture != photo).any(axis=2)
    if not painted.any() or painted.all():
        return photo if not painted.any() else drawn
    matched = match_to_ring(drawn, picture, ~painted)
    away = cv2.distanceTransform((~painted).astype(np.uint8), cv2.DIST_L2, 5)
    t = np.clip(1 - away / (FADE_PX + 1), 0, 1)
    weight = (t * t * (3 - 2 * t))[..., None]
    lost = photo.astype(np.float32) - matched
    grain = grain_like(lost, ~painted, derive_rng(seed, _GRAIN))
    mixed = photo * (1 - weight) + matched * weight + grain * np.sqrt(1 - (1 - weight) ** 2)
    return np.where(weight > 0, np.clip(np.rint(mixed), 0, 255).astype(np.uint8), photo)


def grain_like(sample: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Grain (HWC float32) with spectrum and colours of that in `sample` (HWC float32), where that is `known` (HW bool).

    The sample's spectrum with the phases of white noise, the same in all channels: a random phase texture (Galerne,
    Gousseau and Morel 2011, IEEE Transactions on Image Processing 20). Edges are clipped first.
    """
    inside = sample[known]
    centred = sample - np.median(inside, axis=0)
    limit = GRAIN_LIMIT / _MAD * np.median(np.abs(centred[known]), axis=0)
    centred = np.where(known[..., None], np.clip(centred, -limit, limit), 0)
    phases = np.angle(np.fft.rfft2(rng.standard_normal(known.shape)))[..., None]
    spectrum = np.fft.rfft2(centred, axes=(0, 1)) / np.sqrt(known.mean())
    made: np.ndarray = np.fft.irfft2(spectrum * np.exp(1j * phases), s=known.shape, axes=(0, 1))
    return made.astype(np.float32)


def add_sensor_noise(picture: np.ndarray, deviation: float, seed: int) -> np.ndarray:
    """Add Gaussian noise of this standard deviation (grey levels) to a picture (HWC uint8).

    A picture without colours stays so: its three channels come from one sensor.
    """
    if deviation == 0:
        return picture
    channels = 1 if is_grey(picture) else picture.shape[2]
    noise = derive_rng(seed, _SENSOR).normal(0.0, deviation, (*picture.shape[:2], channels))
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def is_grey(picture: np.ndarray) -> bool:
    """Whether a picture (HWC uint8 RGB) has no colours, but for the rounding of a JPEG or of a blend."""
    return int(np.ptp(picture.astype(np.int16), axis=2).max()) <= MAX_GREY_SPREAD


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
