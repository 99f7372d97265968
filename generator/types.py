"""What passes between the stages: frozen, typed, arrays read-only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generator.foundation.geometry import Box, box_of_mask
from generator.plan import Placement, ScenePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one check says of one attempt: `score` is what it measured, `reason` is empty when it passed."""

    check: str
    passed: bool
    score: float
    reason: str = ""


def percent(share: float) -> str:
    """A share for a verdict's reason, exact enough to differ from the limit that it has just missed.

    >>> percent(0.125), percent(0.0796)
    ('12.5%', '7.96%')
    """
    return f"{100 * share:.3g}%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What was seen of an object: probability of its class, the likeliest other ("" the background) with its own.

    `box` is where a detector sees it, with its score; None without a detector, or where it sees nothing.
    """

    score: float
    rival: str
    rival_score: float
    box: Box | None = None
    box_score: float = 0.0

    @property
    def margin(self) -> float:
        """By how much the class beats all else: -1 to 1."""
        return self.score - self.rival_score


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlabelled:
    """An object where none was asked for, as a verifier sees it."""

    category: str
    box: Box
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at painting an object: its seed, and what the checks said."""

    number: int
    seed: int
    verdicts: tuple[Verdict, ...]

    @property
    def accepted(self) -> bool:
        """True when every check passed."""
        return all(verdict.passed for verdict in self.verdicts)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Label:
    """What was really painted, in canvas pixels.

    `mask` (HW bool) covers just `painted_box`, which is tight around it. `visible_share` is what later objects left
    of it.
    """

    painted_box: Box
    mask: np.ndarray
    visible_share: float = 1.0

    def __post_init__(self) -> None:
        self.mask.setflags(write=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PaintedObject:
    """One object: the wish, the crop that the model saw, the region that it painted, every attempt, its label.

    Without a label it is a decoy, or was dropped for the reason given; then the picture is as it was. `sighting` is
    what the verifier saw of it in the finished picture, in pixels of that.
    """

    placement: Placement
    crop: Box
    region: Box
    attempts: tuple[Attempt, ...]
    label: Label | None
    dropped: str = ""
    sighting: Sighting | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """A finished picture (HWC uint8 RGB) and how it came about; `background_taken` is the number of an attempt.

    `seen` are objects in a photo that nobody labelled.
    """

    plan: ScenePlan
    image: np.ndarray
    background_attempts: tuple[Attempt, ...]
    background_taken: int
    objects: tuple[PaintedObject, ...]
    decoys: tuple[PaintedObject, ...] = ()
    seen: tuple[Unlabelled, ...] = ()

    def __post_init__(self) -> None:
        self.image.setflags(write=False)


def label_from_mask(mask: np.ndarray, offset_xy: tuple[int, int] = (0, 0)) -> Label:
    """Make a label from a mask (HW bool, not empty) whose top left pixel lies at `offset_xy` on the canvas."""
    tight = box_of_mask(mask)
    if tight is None:
        raise ValueError("an empty mask makes no label")
    return Label(painted_box=tight.shifted(*offset_xy), mask=mask[tight.slices].copy())
