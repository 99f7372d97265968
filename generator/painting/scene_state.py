"""A scene while it is being painted: what is in it, and what is to be inpainted next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from generator.config import LabelConfig
from generator.dataset.review import Rejected
from generator.foundation.geometry import Box, intersection_area
from generator.painting.backgrounds import Background
from generator.painting.crop import CropFrame, frame_around
from generator.painting.painter import Painter
from generator.plan import Placement, ScenePlan
from generator.types import Attempt, Label, PaintedObject, Scene, label_from_mask


@dataclass(slots=True, kw_only=True, eq=False)
class SceneState:
    """A scene while it is being painted.

    `image` (HWC uint8) is the picture as it is, `occupied` (HW bool) where objects lie in it. `preview` is the picture
    as the verifier was last shown it, before and after it was finished (both HWC uint8).
    """

    plan: ScenePlan
    background: Background
    rejected: Rejected
    image: np.ndarray = field(init=False)
    occupied: np.ndarray = field(init=False)
    pending: list[Placement] = field(init=False)
    attempts: dict[int, list[Attempt]] = field(default_factory=dict, init=False)
    done: list[PaintedObject] = field(default_factory=list, init=False)
    preview: tuple[np.ndarray, np.ndarray] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.image = self.background.pixels.copy()
        self.occupied = np.zeros(self.image.shape[:2], bool)
        for box in self._in_photo:
            self.occupied[box.slices] = True
        self.pending = [*self.plan.placements, *self.plan.decoys]

    @property
    def _in_photo(self) -> list[Box]:
        """Where a photo shows objects of our classes, labelled or not."""
        labelled = self.plan.photo.kept if self.plan.photo is not None else []
        return [*labelled, *(item.box for item in self.background.seen)]

    @property
    def known_boxes(self) -> list[Box]:
        """Where objects lie that were in the photo, or are done and labelled."""
        return [*self._in_photo, *(item.label.painted_box for item in self.done if item.label is not None)]

    def accept(self, task: InpaintTask, pixels: np.ndarray, mask: np.ndarray) -> None:
        """Put a crop (HWC uint8) into the picture; `mask` (HW bool, crop size) is the object in it."""
        crop, label = task.frame.crop, None
        task.put_into(self.image, pixels)
        if not task.placement.is_decoy:
            self.occupied[crop.slices] |= mask
            label = label_from_mask(mask, (crop.x_min, crop.y_min))
        self._close(task, label, dropped="")

    def drop(self, task: InpaintTask) -> None:
        """Give an object up, for the reason that its last attempt was rejected."""
        self._close(task, None, next(verdict.reason for verdict in task.attempts[-1].verdicts if not verdict.passed))

    def _close(self, task: InpaintTask, label: Label | None, dropped: str) -> None:
        self.pending.remove(task.placement)
        self.done.append(
            PaintedObject(
                placement=task.placement,
                crop=task.frame.crop,
                region=task.frame.region_on_canvas(),
                attempts=tuple(task.attempts),
                label=label,
                dropped=dropped,
            )
        )

    def visible_masks(self) -> dict[int, np.ndarray]:
        """What is to be seen of each labelled object that is done, by index (HW bool of the canvas's size).

        Each covers those that were painted before it.
        """
        covered = np.zeros(self.image.shape[:2], bool)
        visible: dict[int, np.ndarray] = {}
        for item in reversed(self.done):
            if item.label is not None:
                mask = np.zeros_like(covered)
                mask[item.label.painted_box.slices] = item.label.mask
                visible[item.placement.object_index] = mask & ~covered
                covered |= mask
        return visible

    def left_visible(self, mask: np.ndarray, crop: Box) -> float:
        """What a mask (HW bool of the crop's size) would leave of the object that it hits worst: share of that."""
        whole = {item.placement.object_index: item.label.mask.sum() for item in self.done if item.label is not None}
        shares = [1.0]
        for index, visible in self.visible_masks().items():
            if hidden := int((visible[crop.slices] & mask).sum()):
                shares.append((int(visible.sum()) - hidden) / int(whole[index]))
        return min(shares)

    def finished(self, picture: np.ndarray) -> Scene:
        """The scene with its finished picture (HWC uint8); from each object is taken what later ones cover."""
        visible = self.visible_masks()
        objects = [_uncovered(item, visible.get(item.placement.object_index)) for item in self.done]
        objects.sort(key=lambda item: item.placement.object_index)
        return Scene(
            plan=self.plan,
            image=picture,
            background_attempts=self.background.attempts,
            background_taken=self.background.taken,
            objects=tuple(item for item in objects if not item.placement.is_decoy),
            decoys=tuple(item for item in objects if item.placement.is_decoy),
            seen=self.background.seen,
        )


def _uncovered(item: PaintedObject, visible: np.ndarray | None) -> PaintedObject:
    if item.label is None or visible is None:
        return item
    share = float(visible.sum()) / float(item.label.mask.sum())
    return replace(item, label=replace(label_from_mask(visible), visible_share=round(share, 4)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InpaintTask:
    """An object to inpaint in this round; `protected` (HW bool, crop size) are earlier ones in its crop."""

    scene: SceneState
    placement: Placement
    frame: CropFrame
    protected: np.ndarray

    @property
    def before(self) -> np.ndarray:
        """The crop as it is (HWC uint8)."""
        return self.scene.image[self.frame.crop.slices]

    @property
    def attempts(self) -> list[Attempt]:
        """What was tried so far."""
        return self.scene.attempts.setdefault(self.placement.object_index, [])

    def next_attempts(self, limits: LabelConfig) -> range:
        """Numbers of the attempts to make now; of a decoy one is as good as another."""
        count = 1 if self.placement.is_decoy else limits.best_of
        return range(len(self.attempts), min(len(self.attempts) + count, limits.max_attempts))

    def put_into(self, picture: np.ndarray, crop_pixels: np.ndarray) -> None:
        """Put what was repainted of the crop (HWC uint8) into a picture of the canvas, and nothing around it."""
        picture[self.frame.region_on_canvas().slices] = crop_pixels[self.frame.region_in_crop().slices]


def next_tasks(scene: SceneState, painter: Painter) -> Iterator[InpaintTask]:
    """As many pending objects as are repainted in places that meet no other one's whose turn comes first.

    So what is planned to lie in front is painted last. Crops may overlap: then neither sees the other while it is
    painted.
    """
    taken: list[Box] = []
    for placement in scene.pending:
        frame = frame_for(placement.box, painter)
        region = frame.region_on_canvas()
        if not any(intersection_area(region, other) for other in taken):
            # Earlier objects in the crop, but for where the plan lets the boxes overlap.
            protected = scene.occupied[frame.crop.slices].copy()
            protected[frame.in_crop(placement.box).slices] = False
            yield InpaintTask(scene=scene, placement=placement, frame=frame, protected=protected)
        taken.append(region)


def frame_for(box: Box, painter: Painter) -> CropFrame:
    """Frame the crop in which a painter paints an object into a box of the canvas."""
    return frame_around(
        box,
        painter.config.canvas_wh,
        native_px=painter.native_px,
        size_multiple=painter.size_multiple,
        box_share=painter.config.painting.box_share,
        mask_padding=painter.config.painting.mask_padding,
    )
