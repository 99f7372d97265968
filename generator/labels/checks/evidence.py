"""What the checks look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generator.foundation.geometry import Box
from generator.types import Sighting


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """One attempt at an object, all arrays of the crop's size on the canvas.

    `fault` is what the painter itself found ("" when nothing); `region` (HW bool) is where it painted, `mask` (HW
    bool) what was found painted there, `kept` (HW bool) where the blend left at least half of it; `box` is the
    requested one, relative to the crop; `open_edges` says for left, top, right, bottom whether the region ends at
    the picture's own edge, where being cut is natural. `sharpness` is how much harder its edges are than those of the
    picture around it, `contrast` how far it stands out from that in the picture that the verifier is shown (without
    one, in the crop as it is put in); `left_visible` is the share of an earlier object that it would leave to be seen,
    of the one that it hits worst; `sighting` is what the verifier saw, None without one.
    """

    fault: str
    region: np.ndarray
    mask: np.ndarray
    kept: np.ndarray
    box: Box
    open_edges: tuple[bool, bool, bool, bool]
    sharpness: float
    contrast: float = 0.0
    left_visible: float = 1.0
    sighting: Sighting | None = None

    @property
    def label_mask(self) -> np.ndarray:
        """The object as it stands in the picture (HW bool)."""
        visible: np.ndarray = self.mask & self.kept
        return visible
