"""The life of a chunk: scenes that are painted together, from bare backgrounds to finished pictures.

Objects are painted in rounds. A round takes, of every scene, as many pending objects as lie apart, and makes
`labels.best_of` candidates of each. All of them are painted in one run of batches, stitched into their crops, looked at
as the finished picture would show them, and checked. Of those that pass every check the verifier's favourite is put
into the picture; an object without one comes again in the next round with its next seeds, until its attempts are used
up. Batches never reach beyond the chunk, so a rerun meets the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np

from generator.dataset.review import Rejected
from generator.foundation.geometry import Box
from generator.labels.verifier import Verifier, View
from generator.painting.backgrounds import make_backgrounds
from generator.painting.candidates import Candidate, judge, paint, stitch_into_crops
from generator.painting.finish import finish_scenes, preview
from generator.painting.painter import Painter
from generator.painting.scene_state import SceneState, next_tasks
from generator.plan import ScenePlan
from generator.types import Scene


def paint_chunk(
    plans: Sequence[ScenePlan],
    painter: Painter,
    verifier: Verifier | None,
    *,
    rejected: Mapping[int, Rejected] | None = None,
    lay_out: Callable[[int, np.ndarray, Sequence[Box]], ScenePlan] | None = None,
    stage: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext(),
    on_background: Callable[[int], None] = lambda _: None,
    on_object: Callable[[int], None] = lambda _: None,
) -> list[Scene]:
    """Paint the scenes of one chunk.

    Without a `verifier` the checks of the pixels alone decide. `rejected` are attempts that a person did not want, by
    scene; `lay_out` plans a scene anew once its background (HWC uint8) is there, and what was seen in it without a
    label; `stage` is entered around each step, by its name. Raises ModelError when the model paints no usable picture,
    DatasetError when a photo cannot be read.
    """
    limits = painter.config.labels
    with stage("backgrounds"):
        backgrounds = make_backgrounds(plans, painter, verifier, on_background)
    if lay_out is not None:
        plans = [
            lay_out(plan.index, each.pixels, [item.box for item in each.seen])
            for plan, each in zip(plans, backgrounds, strict=True)
        ]
    scenes = [
        SceneState(plan=plan, background=background, rejected=(rejected or {}).get(plan.index, {}))
        for plan, background in zip(plans, backgrounds, strict=True)
    ]
    while any(scene.pending for scene in scenes):
        tasks = [task for scene in scenes for task in next_tasks(scene, painter)]
        candidates = [Candidate(task=task, number=number) for task in tasks for number in task.next_attempts(limits)]
        with stage("objects"):
            paint(candidates, painter)
        with stage("blending and labels"):
            stitch_into_crops(candidates, painter.config.painting)
        if verifier is not None:
            with stage("finishing"):
                preview(candidates, painter)
        with stage("verifying"):
            judge(candidates, verifier, limits)
        for task in tasks:
            if _settle([each for each in candidates if each.task is task], limits.max_attempts):
                on_object(1)
    with stage("finishing"):
        pictures = finish_scenes(scenes, painter)
    finished = [scene.finished(picture) for scene, picture in zip(scenes, pictures, strict=True)]
    with stage("verifying"):
        return finished if verifier is None else _looked_at(finished, verifier)


def _settle(candidates: Sequence[Candidate], max_attempts: int) -> bool:
    """Put the best candidate of a task into its picture, or leave that as it was; True when the object is settled."""
    task = candidates[0].task
    accepted = [each for each in candidates if each.attempt.accepted]
    best = max(accepted, key=lambda each: each.margin, default=None)
    task.attempts.extend(each.attempt if each is best else each.attempt_beaten() for each in candidates)
    if best is not None:
        task.scene.accept(task, best.pixels, best.evidence.label_mask)
    elif len(task.attempts) >= max_attempts:
        task.scene.drop(task)
    return task.placement not in task.scene.pending


def _looked_at(scenes: Sequence[Scene], verifier: Verifier) -> list[Scene]:
    """Add what the verifier sees of each object in the finished picture."""
    views = [
        View(picture=scene.image, box=item.label.painted_box, category=item.placement.category)
        for scene in scenes
        for item in scene.objects
        if item.label is not None
    ]
    sightings = iter(verifier.look(views))
    return [
        replace(
            scene,
            objects=tuple(
                item if item.label is None else replace(item, sighting=next(sightings)) for item in scene.objects
            ),
        )
        for scene in scenes
    ]
