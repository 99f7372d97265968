"""Backgrounds: painted together, looked at, and painted again where one cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from generator.config import Config
from generator.foundation.errors import ModelError
from generator.foundation.seeds import derive_seed
from generator.labels.checks import picture_verdict
from generator.labels.verifier import Verifier
from generator.painting.jobs import BackgroundJob
from generator.painting.painter import Painter
from generator.plan import ScenePlan
from generator.types import Attempt, Verdict


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Background:
    """A bare scene (HWC uint8), every attempt at it, and the number of the one that was taken."""

    pixels: np.ndarray
    attempts: tuple[Attempt, ...]
    taken: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Candidate:
    pixels: np.ndarray
    attempt: Attempt
    stray: float


def paint_backgrounds(
    scenes: Sequence[ScenePlan],
    painter: Painter,
    verifier: Verifier | None,
    config: Config,
    on_background: Callable[[int], None],
) -> list[Background]:
    """Paint every background; faulty ones, and those that show an object that nobody would label, with the next seed.

    Where every attempt shows one, the attempt in which it is least certain is taken. Raises ModelError when a model
    paints no usable picture of a scene.
    """
    taken: dict[int, Background] = {}
    candidates: dict[int, list[_Candidate]] = {scene.index: [] for scene in scenes}
    attempts: dict[int, tuple[Attempt, ...]] = {scene.index: () for scene in scenes}
    for number in range(config.labels.max_attempts):
        waiting = [scene for scene in scenes if scene.index not in taken]
        if not waiting:
            break
        jobs = [
            BackgroundJob(
                prompt=scene.prompt,
                negative_prompt=scene.negative_prompt,
                seed=derive_seed(scene.seed, number),
                size_wh=config.canvas_wh,
            )
            for scene in waiting
        ]
        for scene, job, painting in zip(waiting, jobs, painter.paint_backgrounds(jobs), strict=True):
            verdicts: tuple[Verdict, ...] = (picture_verdict(painting.fault),)
            if not painting.fault and verifier is not None:
                verdicts += (verifier.unlabelled_verdict(painting.pixels, config.labels),)
            attempt = Attempt(number=number, seed=job.seed, verdicts=verdicts)
            attempts[scene.index] += (attempt,)
            if not painting.fault:
                stray = verdicts[-1].score if verifier is not None else 0.0
                candidates[scene.index].append(_Candidate(pixels=painting.pixels, attempt=attempt, stray=stray))
            is_last = number + 1 == config.labels.max_attempts
            if attempt.accepted or (is_last and candidates[scene.index]):
                best = min(candidates[scene.index], key=lambda each: (not each.attempt.accepted, each.stray))
                taken[scene.index] = Background(
                    pixels=best.pixels, attempts=attempts[scene.index], taken=best.attempt.number
                )
                on_background(1)
    for scene in scenes:
        if scene.index not in taken:
            fault = attempts[scene.index][-1].verdicts[0].reason
            raise ModelError(
                f"scene {scene.index}: {fault}, {config.labels.max_attempts} times; "
                "try dtype: float32 (or bfloat16 on a GPU), or check the model's files"
            )
    return [taken[scene.index] for scene in scenes]
