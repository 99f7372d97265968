"""How real objects of a scenario look: calibration.json beside classes.csv, measured by `boxpaint calibrate`.

    {"schema_version": 1, "real": "photos/, train", "classes": {"platelet": {"label_scale": 1.26, ...}}}

People draw a box larger than the pixels of an object, and a painter paints an object smaller than it was asked to. Two
factors mend both: the painter is asked for `paint_scale / label_scale` of the size that people's boxes have, and
what it painted is labelled with a box `label_scale` times the tight one.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from generator.foundation.errors import Fault, SpecError
from generator.foundation.storage import write_json
from generator.foundation.typed_yaml import faults_of, lines_of, read_json_text

CALIBRATION = "calibration.json"
DECILES = 11
_RANKS = np.linspace(0, 1, DECILES)
_RANKS.setflags(write=False)
# Sizes are drawn from this middle part of their distribution: a few boxes say nothing of its tails.
_TAIL = 0.025

Scale = Annotated[float, Field(gt=0.2, lt=5.0)]
Spread = Annotated[float, Field(ge=0.0, lt=3.0)]
Shares = Annotated[tuple[Annotated[float, Field(ge=0.0, le=1.0)], ...], Field(min_length=DECILES, max_length=DECILES)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ClassCalibration(_Part):
    """What was measured of one class.

    `label_scale`: people's boxes over the tight box of the same object. `paint_scale`: the box asked for over the tight
    box of what was painted, with `paint_spread` (standard deviation of the logarithm). `side`: geometric mean of a
    box's sides as a share of the picture's, median, with `side_spread`. `aspect`: width / height, with `aspect_spread`.
    `centres_x`, `centres_y`: where boxes lie, the eleven deciles of their centres as shares of the picture. `ground`:
    on what ground they lie, the deciles of its rank by lightness (0 the darkest of a picture, 1 the lightest).
    """

    label_scale: Scale
    paint_scale: Scale
    paint_spread: Spread
    side: Annotated[float, Field(gt=0.0, le=1.0)]
    side_spread: Spread
    aspect: Annotated[float, Field(gt=0.02, lt=50.0)]
    aspect_spread: Spread
    centres_x: Shares
    centres_y: Shares
    ground: Shares
    real_boxes: int = Field(ge=1)
    painted_boxes: int = Field(ge=1)

    @field_validator("centres_x", "centres_y", "ground")
    @classmethod
    def _rise(cls, deciles: tuple[float, ...]) -> tuple[float, ...]:
        if any(low > high for low, high in itertools.pairwise(deciles)):
            raise ValueError("deciles never fall")
        return deciles

    def side_px(self, canvas_wh: tuple[int, int]) -> float:
        """Geometric mean of the sides of people's boxes, in pixels of a canvas; median."""
        return self.side * math.sqrt(canvas_wh[0] * canvas_wh[1])

    def draw_size(self, draws: tuple[float, float], canvas_wh: tuple[int, int]) -> tuple[float, float]:
        """Width and height to ask the painter for, in pixels; `draws` are two uniform numbers in [0, 1)."""
        size, shape = (NormalDist().inv_cdf(min(max(draw, _TAIL), 1 - _TAIL)) for draw in draws)
        # What the painter scatters need not be asked for; but it never scatters all of it.
        spread = math.sqrt(max(self.side_spread**2 - self.paint_spread**2, (self.side_spread / 2) ** 2))
        side = self.side_px(canvas_wh) * math.exp(spread * size) * self.paint_scale / self.label_scale
        stretch = math.sqrt(self.aspect * math.exp(self.aspect_spread * shape))
        return side * stretch, side / stretch


def centres_between(deciles: tuple[float, ...], limits: tuple[float, float]) -> Callable[[float], float]:
    """Return a function: a uniform number in [0, 1) -> a centre (share of the picture) between `limits`.

    The centres lie as the deciles have it.
    """
    places = _rising(deciles)
    low, high = np.interp(limits, places, _RANKS).tolist()

    def draw_centre(draw: float) -> float:
        return min(max(float(np.interp(low + draw * (high - low), _RANKS, places)), limits[0]), limits[1])

    return draw_centre


@functools.lru_cache(maxsize=256)
def _rising(deciles: tuple[float, ...]) -> np.ndarray:
    """Make deciles strictly rising, so that the way back from ranks is one."""
    places: np.ndarray = np.array(deciles) + np.arange(DECILES) * 1e-9
    places.setflags(write=False)
    return places


class _File(_Part):
    schema_version: Literal[1] = 1
    real: str
    classes: dict[str, ClassCalibration]


def read_calibration(path: Path, names: Iterable[str]) -> dict[str, ClassCalibration]:
    """Read calibration.json of a scenario whose classes are `names`. Raises SpecError naming what is wrong."""
    data, text = read_json_text(path, SpecError)
    try:
        found = _File.model_validate(data).classes
    except ValidationError as error:
        raise SpecError(faults_of(_File, error, file=str(path), lines=lines_of(text))) from None
    known = list(names)
    strangers = [name for name in found if name not in known]
    if strangers:
        expected = f"a class of classes.csv: {', '.join(known)} (measure again: boxpaint calibrate)"
        raise SpecError([Fault(file=str(path), column="classes", found=name, expected=expected) for name in strangers])
    return found


def write_calibration(path: Path, classes: Mapping[str, ClassCalibration], *, real: str) -> None:
    """Write calibration.json, whole or not at all. Raises StorageError."""
    write_json(path, _File(real=real, classes=dict(classes)).model_dump(mode="json"))
