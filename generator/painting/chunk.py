"""A chunk of scenes, painted together: backgrounds in one go, then objects in rounds.

One round paints, of every scene, as many pending objects as have disjoint crops, all in one run of batches. A
rejected object comes again in the next round with its next seed. Batches never reach beyond the chunk, so a rerun
meets the same ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from generator.checks import run_checks
from generator.checks.evidence import Evidence
from generator.checks.picture import picture_verdict
from generator.config import Config
from generator.errors import ModelError
from generator.geometry import intersection_area
from generator.painting.crop import CropFrame, frame_around, to_native
from generator.painting.mask import native_mask
from generator.painting.painter import BackgroundJob, InpaintJob, Painter, Painting
from generator.painting.stitch import stitch
from generator.plan import Placement, ScenePlan
from generator.review import Rejected
from generator.seeds import derive_rng, derive_seed
from generator.types import Attempt, PaintedObject, Scene, Verdict, label_from_mask

# Last position below an object's attempt seed.
_NOISE, _EDGE = 0, 1

OnObject = Callable[[int], None]


@dataclass(slots=True, kw_only=True)
class _Easel:
    """A scene while it is being painted."""

    plan: ScenePlan
    image: np.ndarray
    background_attempts: tuple[Attempt, ...]
    pending: list[Placement]
    rejected: Rejected = field(default_factory=dict)
    attempts: dict[int, list[Attempt]] = field(default_factory=dict)
    done: list[PaintedObject] = field(default_factory=list)
    occupied: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.occupied = np.zeros(self.image.shape[:2], bool)


class Stopwatch:
    """Adds up the seconds spent in each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of a block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def paint_chunk(
    scenes: Sequence[ScenePlan],
    painter: Painter,
    config: Config,
    *,
    watch: Stopwatch,
    rejected: Mapping[int, Rejected] | None = None,
    on_background: OnObject = lambda _: None,
    on_object: OnObject = lambda _: None,
) -> list[Scene]:
    """Paint scenes of one chunk; `rejected` are attempts that a person did not want, by scene.

    Raises ModelError when the model paints no usable background.
    """
    with watch.stage("backgrounds"):
        easels = _paint_backgrounds(scenes, painter, config, on_background)
    for easel in easels:
        easel.rejected = (rejected or {}).get(easel.plan.index, {})
    while any(easel.pending for easel in easels):
        _paint_round(easels, painter, config, watch, on_object)
    return [_finish(easel, config) for easel in easels]


def _paint_backgrounds(
    scenes: Sequence[ScenePlan], painter: Painter, config: Config, on_background: OnObject
) -> list[_Easel]:
    """Paint every background, faulty ones again with the next seed."""
    results: dict[int, Painting] = {}
    attempts: dict[int, tuple[Attempt, ...]] = {scene.index: () for scene in scenes}
    for number in range(config.labels.max_attempts):
        waiting = [scene for scene in scenes if scene.index not in results]
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
            verdict = picture_verdict(painting.fault)
            attempts[scene.index] += (Attempt(number=number, seed=job.seed, verdicts=(verdict,)),)
            if not painting.fault:
                results[scene.index] = painting
                on_background(1)
        if len(results) == len(scenes):
            break
    for scene in scenes:
        if scene.index not in results:
            fault = attempts[scene.index][-1].verdicts[0].reason
            raise ModelError(
                f"scene {scene.index}: {fault}, {config.labels.max_attempts} times; "
                "try dtype: float32 (or bfloat16 on a GPU), or check the model's files"
            )
    return [
        _Easel(
            plan=scene,
            image=results[scene.index].pixels.copy(),
            background_attempts=attempts[scene.index],
            pending=[*scene.placements, *scene.decoys],
        )
        for scene in scenes
    ]


def _paint_round(
    easels: Iterable[_Easel], painter: Painter, config: Config, watch: Stopwatch, on_object: OnObject
) -> None:
    turns: list[tuple[_Easel, Placement, CropFrame]] = []
    for easel in easels:
        turns += [(easel, placement, frame) for placement, frame in _disjoint(easel.pending, painter, config)]
    with watch.stage("objects"):
        paintings = painter.inpaint([_job(*turn) for turn in turns])
    with watch.stage("blending and labels"):
        for (easel, placement, frame), painting in zip(turns, paintings, strict=True):
            if _judge(easel, placement, frame, painting, config):
                on_object(1)


def frame_for(placement: Placement, painter: Painter, config: Config) -> CropFrame:
    """Frame the crop that an object is painted in."""
    return frame_around(
        placement.box,
        config.canvas_wh,
        native_px=painter.native_px,
        size_multiple=painter.size_multiple,
        box_share=config.painting.box_share,
        mask_padding=config.painting.mask_padding,
    )


def _disjoint(pending: Iterable[Placement], painter: Painter, config: Config) -> Iterator[tuple[Placement, CropFrame]]:
    taken: list[CropFrame] = []
    for placement in pending:
        frame = frame_for(placement, painter, config)
        if not any(intersection_area(frame.crop, other.crop) for other in taken):
            taken.append(frame)
            yield placement, frame


def _job(easel: _Easel, placement: Placement, frame: CropFrame) -> InpaintJob:
    number = len(easel.attempts.get(placement.object_index, ()))
    return InpaintJob(
        prompt=placement.prompt,
        negative_prompt=placement.negative_prompt,
        seed=derive_seed(placement.seed, number, _NOISE),
        size_wh=frame.native_wh,
        image=to_native(easel.image[frame.crop.slices], frame),
        mask=native_mask(frame, _protected(easel, placement, frame)),
    )


def _protected(easel: _Easel, placement: Placement, frame: CropFrame) -> np.ndarray:
    """Earlier objects in the crop, but for where the plan lets the boxes overlap."""
    occupied = easel.occupied[frame.crop.slices].copy()
    occupied[placement.box.shifted(-frame.crop.x_min, -frame.crop.y_min).slices] = False
    return occupied


def _judge(easel: _Easel, placement: Placement, frame: CropFrame, painting: Painting, config: Config) -> bool:
    """Accept an object into the picture, or leave the picture as it was; True when the object is settled."""
    history = easel.attempts.setdefault(placement.object_index, [])
    number = len(history)
    stitched = stitch(
        easel.image[frame.crop.slices],
        painting.pixels,
        frame,
        placement,
        protected=_protected(easel, placement, frame),
        fault=painting.fault,
        rng=derive_rng(placement.seed, number, _EDGE),
        painting=config.painting,
    )
    attempt = Attempt(
        number=number,
        seed=derive_seed(placement.seed, number, _NOISE),
        verdicts=_verdicts(easel, placement, number, stitched.evidence, config),
    )
    history.append(attempt)
    label, dropped = None, ""
    if attempt.accepted:
        easel.image[frame.crop.slices] = stitched.pixels
        if not placement.is_decoy:
            easel.occupied[frame.crop.slices] |= stitched.evidence.label_mask
            label = label_from_mask(stitched.evidence.label_mask, (frame.crop.x_min, frame.crop.y_min))
    elif len(history) >= config.labels.max_attempts:
        dropped = next(verdict.reason for verdict in attempt.verdicts if not verdict.passed)
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


def _verdicts(
    easel: _Easel, placement: Placement, number: int, evidence: Evidence, config: Config
) -> tuple[Verdict, ...]:
    if placement.is_decoy:  # no object is expected of it: it only has to be a picture
        return (picture_verdict(evidence.fault),)
    verdicts = run_checks(evidence, config.labels)
    if number in easel.rejected.get(placement.object_index, ()):
        verdicts += (Verdict(check="review", passed=False, score=0.0, reason="rejected in review"),)
    return verdicts


def _finish(easel: _Easel, config: Config) -> Scene:
    """Take from each object what later ones cover, in the order they were painted."""
    covered = np.zeros(easel.image.shape[:2], bool)
    objects: list[PaintedObject] = []
    for item in reversed(easel.done):
        if item.label is None:
            objects.append(item)
            continue
        canvas_mask = np.zeros_like(covered)
        canvas_mask[item.label.painted_box.slices] = item.label.mask
        objects.append(_uncover(item, canvas_mask & ~covered, config))
        covered |= canvas_mask
    objects.sort(key=lambda item: item.placement.object_index)
    return Scene(
        plan=easel.plan,
        image=easel.image,
        background_attempts=easel.background_attempts,
        objects=tuple(item for item in objects if not item.placement.is_decoy),
        decoys=tuple(item for item in objects if item.placement.is_decoy),
    )


def _uncover(item: PaintedObject, visible: np.ndarray, config: Config) -> PaintedObject:
    label = item.label
    if label is None:
        return item
    share = float(visible.sum()) / float(label.mask.sum())
    if share < config.labels.min_visible or not visible.any():
        return replace(item, label=None, dropped=f"only {share:.0%} of it is left visible by objects painted over it")
    return replace(item, label=replace(label_from_mask(visible), visible_share=round(share, 4)))
