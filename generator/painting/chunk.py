"""A chunk of scenes, painted together: backgrounds in one go, then objects in rounds.

One round paints, of every scene, as many pending objects as lie apart, all in one run of batches, each with
as many seeds as `labels.best_of` says. Of what passes every check the verifier's favourite stays; a rejected object
comes again in the next round with its next seeds. Batches never reach beyond the chunk, so a rerun meets the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from generator.config import Config
from generator.dataset.review import Rejected
from generator.labels.verifier import Verifier, View
from generator.painting.backgrounds import paint_backgrounds
from generator.painting.easel import Easel, Turn, next_turns, visible_masks
from generator.painting.judging import Judged, job_of, judge, stitched_in
from generator.painting.looks import as_finished, finish_easels
from generator.painting.painter import Painter
from generator.painting.stopwatch import Stopwatch
from generator.plan import ScenePlan
from generator.types import PaintedObject, Scene, label_from_mask

OnObject = Callable[[int], None]


def paint_chunk(
    scenes: Sequence[ScenePlan],
    painter: Painter,
    config: Config,
    *,
    verifier: Verifier | None,
    watch: Stopwatch,
    rejected: Mapping[int, Rejected] | None = None,
    lay_out: Callable[[int, np.ndarray], ScenePlan] | None = None,
    on_background: OnObject = lambda _: None,
    on_object: OnObject = lambda _: None,
) -> list[Scene]:
    """Paint scenes of one chunk; `rejected` are attempts that a person did not want, by scene.

    Without a `verifier` the checks of the pixels alone decide. `lay_out` plans a scene anew once its background (HWC
    uint8) is there. Raises ModelError when the model paints no usable
    background.
    """
    with watch.stage("backgrounds"):
        backgrounds = paint_backgrounds(scenes, painter, verifier, config, on_background)
    if lay_out is not None:
        scenes = [lay_out(scene.index, each.pixels) for scene, each in zip(scenes, backgrounds, strict=True)]
    easels = [
        Easel(
            plan=scene,
            image=background.pixels.copy(),
            background=background,
            pending=[*scene.placements, *scene.decoys],
            rejected=(rejected or {}).get(scene.index, {}),
        )
        for scene, background in zip(scenes, backgrounds, strict=True)
    ]
    while any(easel.pending for easel in easels):
        _paint_round(easels, painter, verifier, config, watch, on_object)
    with watch.stage("finishing"):
        pictures = finish_easels(easels, painter, config)
    finished = [_finish(easel, picture) for easel, picture in zip(easels, pictures, strict=True)]
    with watch.stage("verifying"):
        return finished if verifier is None else _looked_at(finished, verifier)


def _paint_round(
    easels: Iterable[Easel],
    painter: Painter,
    verifier: Verifier | None,
    config: Config,
    watch: Stopwatch,
    on_object: OnObject,
) -> None:
    turns = [turn for easel in easels for turn in next_turns(easel, painter, config)]
    tries = [(turn, number) for turn in turns for number in turn.numbers(config.labels)]
    with watch.stage("objects"):
        paintings = painter.inpaint([job_of(turn, number) for turn, number in tries])
    with watch.stage("blending and labels"):
        stitched = [
            stitched_in(turn, number, painting, config)
            for (turn, number), painting in zip(tries, paintings, strict=True)
        ]
    looks = [each.pixels for each in stitched]
    if verifier is not None:
        with watch.stage("finishing"):
            looks = as_finished(tries, stitched, painter, config)
    with watch.stage("verifying"):
        judged = judge(tries, stitched, looks, verifier, config)
    for turn in turns:
        if _settle(turn, [each for each in judged if each.turn is turn], config):
            on_object(1)


def _settle(turn: Turn, candidates: Sequence[Judged], config: Config) -> bool:
    """Accept one candidate into the picture, or leave that as it was; True when the object is settled."""
    easel, placement, frame = turn.easel, turn.placement, turn.frame
    accepted = [each for each in candidates if each.attempt.accepted]
    best = max(accepted, key=lambda each: each.favour, default=None)
    history = easel.attempts.setdefault(placement.object_index, [])
    history += [each.attempt if each is best else each.attempt_beaten() for each in candidates]
    label, dropped = None, ""
    if best is not None:
        turn.put_into(easel.image, best.pixels)
        if not placement.is_decoy:
            easel.occupied[frame.crop.slices] |= best.evidence.label_mask
            label = label_from_mask(best.evidence.label_mask, (frame.crop.x_min, frame.crop.y_min))
    elif len(history) >= config.labels.max_attempts:
        dropped = next(verdict.reason for verdict in history[-1].verdicts if not verdict.passed)
    else:
        return False
    easel.pending.remove(placement)
    easel.done.append(
        PaintedObject(
            placement=placement,
            crop=frame.crop,
            region=frame.region_on_canvas(),
            attempts=tuple(history),
            label=label,
            dropped=dropped,
        )
    )
    return True


def _looked_at(scenes: Sequence[Scene], verifier: Verifier) -> list[Scene]:
    """Add what the verifier sees of each object in the finished picture."""
    shown = [(scene, item, item.label) for scene in scenes for item in scene.objects if item.label is not None]
    views = [
        View(picture=scene.image, box=label.painted_box, category=item.placement.category)
        for scene, item, label in shown
    ]
    seen = {
        (scene.plan.index, item.placement.object_index): sighting
        for (scene, item, _), sighting in zip(shown, verifier.look(views), strict=True)
    }
    return [
        replace(
            scene,
            objects=tuple(
                replace(item, sighting=seen.get((scene.plan.index, item.placement.object_index)))
                for item in scene.objects
            ),
        )
        for scene in scenes
    ]


def _finish(easel: Easel, picture: np.ndarray) -> Scene:
    """Take from each object what later ones cover."""
    visible = visible_masks(easel)
    objects = [_uncover(item, visible.get(item.placement.object_index)) for item in easel.done]
    objects.sort(key=lambda item: item.placement.object_index)
    return Scene(
        plan=easel.plan,
        image=picture,
        background_attempts=easel.background.attempts,
        background_taken=easel.background.taken,
        objects=tuple(item for item in objects if not item.placement.is_decoy),
        decoys=tuple(item for item in objects if item.placement.is_decoy),
    )


def _uncover(item: PaintedObject, visible: np.ndarray | None) -> PaintedObject:
    if item.label is None or visible is None:
        return item
    share = float(visible.sum()) / float(item.label.mask.sum())
    return replace(item, label=replace(label_from_mask(visible), visible_share=round(share, 4)))
