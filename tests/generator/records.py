"""Records, scenes and run folders as painting leaves them, of objects whose masks a test has drawn.

What a model paints, and what of it is accepted, differs between processors. So only tests of painting itself paint.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from pathlib import Path

import cv2
import numpy as np

from generator.config import Config
from generator.dataset.coco import export_coco
from generator.dataset.folder import RunFolder
from generator.dataset.record import SceneRecord, record_of
from generator.engines import make_engine
from generator.foundation.geometry import Box
from generator.plan import Placement, Plan, ScenePlan
from generator.prompts.make import make_book
from generator.report import write_report
from generator.spec import Spec
from generator.types import Attempt, PaintedObject, Scene, Sighting, Verdict, label_from_mask


def painted_object(
    number: int,
    category: str,
    mask: np.ndarray | None,
    *,
    canvas_wh: tuple[int, int],
    label_scale: float = 1.0,
    attempts: int = 0,
) -> PaintedObject:
    """An object that was asked for at (4, 6); `mask` is HW bool of the canvas's size, None for a dropped one.

    Of its attempts, the last one passed.
    """
    wish = Placement(
        object_index=number,
        category=category,
        prompt=f"a {category}",
        negative_prompt="",
        box=Box.from_xywh(4, 6, 20, 10),
        seed=1,
        blender="feather",
        label_scale=label_scale,
    )
    everything = Box.from_xywh(0, 0, *canvas_wh)
    label = None if mask is None else label_from_mask(mask)
    tried = tuple(
        Attempt(number=each, seed=each, verdicts=(Verdict(check="picture", passed=each + 1 == attempts, score=1.0),))
        for each in range(attempts)
    )
    return PaintedObject(placement=wish, crop=everything, region=everything, attempts=tried, label=label)


def record_of_objects(
    objects: Iterable[PaintedObject], *, canvas_wh: tuple[int, int], index: int = 0, split: str = "train"
) -> SceneRecord:
    """The record of a black picture with these objects."""
    plan = ScenePlan(index=index, split=split, prompt="a smear", negative_prompt="", seed=0, placements=())
    image = np.zeros((*canvas_wh[::-1], 3), np.uint8)
    scene = Scene(plan=plan, image=image, background_attempts=(), background_taken=0, objects=tuple(objects))
    return record_of(scene, file_name=f"{index:06d}.png", sha256="0", batch_size=2)


def drawn_scene(plan: ScenePlan, canvas_wh: tuple[int, int], *, dropped: Container[int] = ()) -> Scene:
    """A planned scene as painting would leave it, with an ellipse in every box.

    Objects of the numbers `dropped` failed twice and are not in the picture; the others passed at once.
    """
    image = np.random.default_rng(plan.index).integers(180, 220, (*canvas_wh[::-1], 3)).astype(np.uint8)
    objects = []
    for wish in plan.placements:
        label, sighting = None, None
        if wish.object_index in dropped:
            verdict = Verdict(check="changed_area", passed=False, score=0.01, reason="changed area is 1% of the box")
        else:
            x, y, width, height = wish.box.xywh
            mask = np.zeros(canvas_wh[::-1], np.uint8)
            cv2.ellipse(mask, (x + width // 2, y + height // 2), (width // 2 - 1, height // 2 - 1), 0, 0, 360, 1, -1)
            image[mask > 0] = (110, 50, 140)
            label, sighting = label_from_mask(mask.astype(bool)), Sighting(score=0.95, rival="", rival_score=0.05)
            verdict = Verdict(check="picture", passed=True, score=1.0)
        objects.append(
            PaintedObject(
                placement=wish,
                crop=wish.box,
                region=wish.box,
                attempts=tuple(
                    Attempt(number=number, seed=number, verdicts=(verdict,)) for number in range(1 if label else 2)
                ),
                label=label,
                dropped=verdict.reason,
                sighting=sighting,
            )
        )
    return Scene(plan=plan, image=image, background_attempts=(), background_taken=0, objects=tuple(objects))


def draw_run(
    folder: Path, spec: Spec, config: Config, *, scenes: int, dropped: Container[tuple[int, int]] = ()
) -> Path:
    """A finished run folder of the first scenes, which `generate` would go on with; `dropped`: (scene, object)."""
    run = RunFolder.open(folder, Plan(spec=spec, config=config)).with_book(make_book(spec, config))
    run.begin(make_engine(config, 1).describe())
    for index in range(scenes):
        plan = run.plan.scene(index)
        numbers = {wish.object_index for wish in plan.placements if (index, wish.object_index) in dropped}
        run.write_scene(drawn_scene(plan, config.canvas_wh, dropped=numbers), batch_size=2)
    export_coco(run.records(), run.plan, run.folder)
    write_report(run)
    return folder
