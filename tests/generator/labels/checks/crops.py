"""Evidence of attempts: rectangles in a crop of 40 x 40 px."""

from __future__ import annotations

import numpy as np

from generator.config import LabelConfig
from generator.foundation.geometry import Box
from generator.labels.checks.evidence import Evidence
from generator.types import Sighting

LIMITS = LabelConfig(min_area=0.08, max_edge_contact=0.12)
CLOSED = (False, False, False, False)


def rectangle(x_min: int, y_min: int, x_max: int, y_max: int) -> np.ndarray:
    """A 40 x 40 crop with one rectangle (HW bool)."""
    mask = np.zeros((40, 40), bool)
    mask[y_min:y_max, x_min:x_max] = True
    return mask


REGION = rectangle(10, 10, 30, 30)
BOX = Box.from_xywh(15, 15, 10, 10)


def evidence(
    mask: np.ndarray,
    *,
    kept: np.ndarray | None = None,
    fault: str = "",
    open_edges: tuple[bool, bool, bool, bool] = CLOSED,
    region: np.ndarray = REGION,
    sharpness: float = 1.0,
    contrast: float = 0.0,
    left_visible: float = 1.0,
    sighting: Sighting | None = None,
) -> Evidence:
    return Evidence(
        fault=fault,
        region=region,
        mask=mask,
        kept=np.ones((40, 40), bool) if kept is None else kept,
        box=BOX,
        open_edges=open_edges,
        sharpness=sharpness,
        contrast=contrast,
        left_visible=left_visible,
        sighting=sighting,
    )


def of(*masks: np.ndarray) -> np.ndarray:
    """Several rectangles in one mask."""
    together: np.ndarray = np.logical_or.reduce(masks)
    return together
