"""Backgrounds: painted together, looked at, and painted again where one cannot be used; or photos, as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from generator.foundation.errors import ModelError
from generator.foundation.seeds import derive_seed
from generator.labels.checks import picture_verdict
from generator.labels.verifier import Verifier, stray_verdict
from generator.painting.painter import BackgroundJob, Painter
from generator.painting.photos import show_photo
from generator.plan import ScenePlan
from generator.plan.photos import PhotoView
from generator.types import Attempt, Unlabelled, Verdict


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Background:
    """A bare scene (HWC uint8), every attempt at it, and the number of the one that was taken.

    `seen` are objects in a photo that nobody labelled.
    """

    pixels: np.ndarray
    attempts: tuple[Attempt, ...]
    taken: int
    seen: tuple[Unlabelled, ...] = ()


def make_backgrounds(
    plans: Sequence[ScenePlan], painter: Painter, verifier: Verifier | None, on_background: Callable[[int], None]
) -> list[Background]:
    """Paint the background of every scene, or show its photo.

    Raises ModelError when a model paints no usable picture of a scene, DatasetError when a photo cannot be read.
    """
    bare = [plan for plan in plans if plan.photo is None]
    painted = iter(paint_backgrounds(bare, painter, verifier, on_background) if bare else ())
    made: list[Background] = []
    for plan in plans:
        if plan.photo is None:
            made.append(next(painted))
        else:
            made.append(_shown(plan, plan.photo, painter, verifier))
            on_background(1)
    return made


def _shown(plan: ScenePlan, view: PhotoView, painter: Painter, verifier: Verifier | None) -> Background:
    """Show a photo, and look for objects that nobody labelled: they stay, and nothing is painted over them."""
    config = painter.config
    pixels = show_photo(view, config.canvas_wh)
    verdicts: tuple[Verdict, ...] = (picture_verdict(""),)
    found: list[Unlabelled] = []
    if verifier is not None:
        found = verifier.find_unlabelled(pixels, known=view.kept)
        verdicts += (stray_verdict(found, config.labels, wanted="labelled"),)
    attempt = Attempt(number=0, seed=derive_seed(plan.seed, 0), verdicts=verdicts)
    seen = tuple(each for each in found if each.score > config.labels.max_unlabelled)
    return Background(pixels=pixels, attempts=(attempt,), taken=0, seen=seen)


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
