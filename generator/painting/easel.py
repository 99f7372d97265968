"""A scene while it is being painted, and whose turn it is on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from generator.config import Config, LabelConfig
from generator.dataset.review import Rejected
from generator.foundation.geometry import Box, intersection_area
from generator.painting.backgrounds import Background
from generator.painting.crop import CropFrame, frame_around
from generator.painting.painter import Painter
from generator.plan import Placement, ScenePlan
from generator.types import Attempt, PaintedObject


@dataclass(slots=True, kw_only=True)
class Easel:
    """A scene while it is being painted."""

    plan: ScenePlan
    image: np.ndarray
    background: Background
    pending: list[Placement]
    rejected: Rejected
    attempts: dict[int, list[Attempt]] = field(default_factory=dict)
    done: list[PaintedObject] = field(default_factory=list)
    occupied: np.ndarray = field(init=False)
    # The picture as it last was when the verifier looked at it, and as it would have been finished: HWC uint8, both.
    look: tuple[np.ndarray, np.ndarray] | None = None

    def __post_init__(self) -> None:
        self.occupied = np.zeros(self.image.shape[:2], bool)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Turn:
    """An object whose turn it is; `protected` (HW bool, crop size) are earlier ones in its crop."""

    easel: Easel
    placement: Placement
    frame: CropFrame
    protected: np.ndarray

    @property
    def before(self) -> np.ndarray:
        """The crop as it is."""
        return self.easel.image[self.frame.crop.slices]

    def put_into(self, picture: np.ndarray, crop_pixels: np.ndarray) -> None:
        """Put what was repainted of the crop (HWC uint8) into a picture of the canvas, and nothing around it."""
        region, crop = self.frame.region_on_canvas(), self.frame.crop
        picture[region.slices] = crop_pixels[region.shifted(-crop.x_min, -crop.y_min).slices]

    def numbers(self, limits: LabelConfig) -> range:
        """Numbers of the attempts to make now; of a decoy one is as good as another."""
        done = len(self.easel.attempts.get(self.placement.object_index, ()))
        count = 1 if self.placement.is_decoy else limits.best_of
        return range(done, min(done + count, limits.max_attempts))


def next_turns(easel: Easel, painter: Painter, config: Config) -> list[Turn]:
    """As many pending objects as are repainted in places that meet no other one's whose turn comes first.

    So what is planned to lie in front is painted last. Crops may overlap: then neither sees the other while it is
    painted.
    """
    return [
        Turn(easel=easel, placement=placement, frame=frame, protected=_protected(easel, placement, frame))
        for placement, frame in _apart(easel.pending, painter, config)
    ]


def visible_masks(easel: Easel) -> dict[int, np.ndarray]:
    """What is to be seen of each labelled object that is done, by index (HW bool of the canvas's size).

    Each covers those that were painted before it.
    """
    covered = np.zeros(easel.image.shape[:2], bool)
    visible: dict[int, np.ndarray] = {}
    for item in reversed(easel.done):
        if item.label is not None:
            mask = np.zeros_like(covered)
            mask[item.label.painted_box.slices] = item.label.mask
            visible[item.placement.object_index] = mask & ~covered
            covered |= mask
    return visible


def left_visible(easel: Easel, mask: np.ndarray, crop: Box) -> float:
    """What a mask (HW bool of the crop's size) would leave of the earlier object that it hits worst: share of that."""
    whole = {item.placement.object_index: int(item.label.mask.sum()) for item in easel.done if item.label is not None}
    shares = [1.0]
    for index, visible in visible_masks(easel).items():
        if hidden := int((visible[crop.slices] & mask).sum()):
            shares.append((int(visible.sum()) - hidden) / whole[index])
    return min(shares)


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


def _apart(pending: Iterable[Placement], painter: Painter, config: Config) -> Iterator[tuple[Placement, CropFrame]]:
    taken: list[Box] = []
    for placement in pending:
        frame = frame_for(placement, painter, config)
        region = frame.region_on_canvas()
        is_apart = not any(intersection_area(region, other) for other in taken)
        taken.append(region)
        if is_apart:
            yield placement, frame


def _protected(easel: Easel, placement: Placement, frame: CropFrame) -> np.ndarray:
    """Earlier objects in the crop, but for where the plan lets the boxes overlap."""
    occupied = easel.occupied[frame.crop.slices].copy()
    occupied[placement.box.shifted(-frame.crop.x_min, -frame.crop.y_min).slices] = False
    return occupied
