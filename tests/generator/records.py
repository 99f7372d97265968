"""Records of scenes as painting leaves them, of objects whose masks a test has drawn."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from generator.geometry import Box
from generator.plan import Placement, ScenePlan
from generator.record import SceneRecord, record_of
from generator.types import PaintedObject, Scene, label_from_mask


def painted_object(
    number: int, category: str, mask: np.ndarray | None, *, canvas_wh: tuple[int, int], label_scale: float = 1.0
) -> PaintedObject:
    """An object that was asked for at (4, 6); `mask` is HW bool of the canvas's size, None for a dropped one."""
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
    return PaintedObject(placement=wish, crop=everything, region=everything, attempts=(), label=label)


def record_of_objects(
    objects: Iterable[PaintedObject], *, canvas_wh: tuple[int, int], index: int = 0, split: str = "train"
) -> SceneRecord:
    """The record of a black picture with these objects."""
    plan = ScenePlan(index=index, split=split, prompt="a smear", negative_prompt="", seed=0, placements=())
    image = np.zeros((*canvas_wh[::-1], 3), np.uint8)
    scene = Scene(plan=plan, image=image, background_attempts=(), background_taken=0, objects=tuple(objects))
    return record_of(scene, file_name=f"{index:06d}.png", sha256="0", batch_size=2)
