"""Backgrounds: painted together, looked at, and painted again where one cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from generator.foundation.errors import ModelError
from generator.foundation.seeds import derive_seed
from generator.labels.checks import picture_verdict
from generator.labels.verifier import Verifier
from generator.painting.painter import BackgroundJob, Painter
from generator.plan import ScenePlan
from generator.types import Attempt, Verdict


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Background:
    """A bare scene (HWC uint8), every attempt at it, and the number of the one that was taken."""

    pixels: np.ndarray
    attempts: tuple[Attempt, ...]
    taken: int


def paint_backgrounds(
    plans: Sequence[ScenePlan], painter: Painter, verifier: Verifier | None, on_background: Callable[[int], None]
) -> list[Background]:
    """Paint every background; one that is faulty or shows an object is painted again with the next seed.

    Such an object would go unlabelled. If every attempt shows one, the attempt with the least certain one is taken.
    Raises ModelError when a model paints no usable picture of a scene.
    """
    config = painter.config
    tries: dict[int, list[tuple[Attempt, np.ndarray]]] = {plan.index: [] for plan in plans}
    waiting = list(plans)
    for number in range(config.labels.max_attempts):
        jobs = [
            BackgroundJob(
                prompt=plan.prompt,
                negative_prompt=plan.negative_prompt,
                seed=derive_seed(plan.seed, number),
                size_wh=config.canvas_wh,
            )
            for plan in waiting
        ]
        for plan, job, painting in zip(waiting, jobs, painter.paint_backgrounds(jobs), strict=True):
            verdicts: tuple[Verdict, ...] = (picture_verdict(painting.fault),)
            if not painting.fault and verifier is not None:
                verdicts += (verifier.unlabelled_verdict(painting.pixels, config.labels),)
            attempt = Attempt(number=number, seed=job.seed, verdicts=verdicts)
            tries[plan.index].append((attempt, painting.pixels))
            if attempt.accepted or number + 1 == config.labels.max_attempts:
                on_background(1)
        waiting = [plan for plan in waiting if not tries[plan.index][-1][0].accepted]
        if not waiting:
            break
    return [_taken(plan, tries[plan.index]) for plan in plans]


def _taken(plan: ScenePlan, tries: Sequence[tuple[Attempt, np.ndarray]]) -> Background:
    attempts = tuple(attempt for attempt, _ in tries)
    pictures = [(attempt, pixels) for attempt, pixels in tries if attempt.verdicts[0].passed]
    if not pictures:
        raise ModelError(
            f"scene {plan.index}: {attempts[-1].verdicts[0].reason}, {len(attempts)} times; "
            "try dtype: float32 (or bfloat16 on a GPU), or check the model's files"
        )
    # The last verdict of a picture is on what is seen in it, if somebody looks.
    best, pixels = min(pictures, key=lambda each: (not each[0].accepted, each[0].verdicts[-1].score))
    return Background(pixels=pixels, attempts=attempts, taken=best.number)
