"""Where a box may lie and how large it is: draws for the plan, pure functions of the generator that they are given."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from generator.config import Config
from generator.foundation.geometry import Box
from generator.spec import MIN_SIDE_PX, ClassSpec
from generator.spec.calibration import DECILES, centres_between

LONG_SIDE_SHARES = (0.25, 0.5)
# Width and height follow one draw of the size, each off by at most this share of its range: a large animal is
# large in both directions, yet no two boxes have the same ratio.
SIZE_JITTER = 0.15
# Free positions on a picture, of which the one on the likeliest ground is taken.
CHOICES = 12


def find_place(
    row: ClassSpec,
    size_wh: tuple[int, int],
    taken: Sequence[Box],
    rng: np.random.Generator,
    config: Config,
    *,
    max_overlap: float,
    kept: Sequence[Box] = (),
    ground: Ground | None = None,
) -> tuple[Box | None, str]:
    """Draw positions for a box of a class until one overlaps none of `taken` by more than `max_overlap` of the smaller,
    and none of `kept` at all.

    On a picture's `ground`, and where it is known on what ground the class lies, the best of several such positions is
    taken. Returns None and the reason when none was found.
    """
    (canvas_w, canvas_h), (width, height), rules = config.canvas_wh, size_wh, config.placement
    margin = round(rules.margin * min(canvas_w, canvas_h))
    # A box that fills the canvas has no room for the margin; it then may touch the border.
    x_low, x_high = (
        min(margin, (canvas_w - width) // 2),
        max(canvas_w - margin, (canvas_w + width + 1) // 2) - width,
    )
    y_low, y_high = (
        min(margin, (canvas_h - height) // 2),
        max(canvas_h - margin, (canvas_h + height + 1) // 2) - height,
    )
    band_low = math.ceil(row.band[0] * canvas_h - height / 2)
    band_high = math.floor(row.band[1] * canvas_h - height / 2)
    if band_low > band_high:  # a band thinner than a pixel: half a pixel off is in it
        band_low = band_high = round((row.band[0] + row.band[1]) / 2 * canvas_h - height / 2)
    y_low, y_high = max(y_low, band_low), min(y_high, band_high)
    if y_low > y_high:
        return None, "the band leaves no place for a box of this height inside the canvas"
    found = row.calibration
    wanted = 1 if ground is None or found is None else CHOICES
    draw_x = _starts_between(x_low, x_high, width, canvas_w, None if found is None else found.centres_x)
    draw_y = _starts_between(y_low, y_high, height, canvas_h, None if found is None else found.centres_y)
    places: list[Box] = []
    for _ in range(rules.max_tries):
        x, y = draw_x(rng), draw_y(rng)
        if _is_free(x, y, width, height, taken, max_overlap) and _is_free(x, y, width, height, kept, 0.0):
            places.append(Box.from_xywh(x, y, width, height))
            if len(places) == wanted:
                break
    if not places:
        return None, f"no free place in {rules.max_tries} tries"
    if ground is None or found is None:
        return places[0], ""
    rank = float(np.interp(rng.random(), np.linspace(0, 1, DECILES), found.ground))
    ranks = ground.ranks(np.array([place.xyxy for place in places]), rng)
    return places[int(np.abs(ranks - rank).argmin())], ""


def _is_free(x: int, y: int, width: int, height: int, taken: Sequence[Box], max_overlap: float) -> bool:
    """Whether a box shares at most `max_overlap` of the smaller one with each of `taken` (geometry.overlap_share).

    Written out: most boxes that are drawn are thrown away, and making them took a third of the time of a plan.
    """
    area = width * height
    for other in taken:
        shared_w = min(x + width, other.x_max) - max(x, other.x_min)
        shared_h = min(y + height, other.y_max) - max(y, other.y_min)
        if shared_w > 0 and shared_h > 0 and shared_w * shared_h / min(area, other.area) > max_overlap:
            return False
    return True


def _starts_between(
    low: int, high: int, length: int, canvas: int, deciles: tuple[float, ...] | None
) -> Callable[[np.random.Generator], int]:
    """Return a function that draws the near edge of a box: anywhere, or with its centre where real ones are."""
    if deciles is None:
        return lambda rng: int(rng.integers(low, high, endpoint=True))
    draw_centre = centres_between(deciles, ((low + length / 2) / canvas, (high + length / 2) / canvas))
    return lambda rng: min(max(round(draw_centre(rng.random()) * canvas - length / 2), low), high)


def draw_size(row: ClassSpec, canvas_wh: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
    """Draw the width and height in pixels of one box of a class."""
    scale, jitter_w, jitter_h = rng.random(3).tolist()
    if row.calibration is not None:
        wished = row.calibration.draw_size((scale, jitter_w), canvas_wh)
        width, height = (min(max(round(side), MIN_SIDE_PX), most) for side, most in zip(wished, canvas_wh, strict=True))
        return width, height
    ranges = row.size_ranges_px(canvas_wh)
    if ranges is None:
        low, high = np.log(row.aspect_ratios)
        ratio = float(np.exp(low + (high - low) * jitter_w))
        share = LONG_SIDE_SHARES[0] + (LONG_SIDE_SHARES[1] - LONG_SIDE_SHARES[0]) * scale
        return aspect_size_px(ratio, share, canvas_wh)
    width_min, height_min, width_max, height_max = ranges
    width_share, height_share = (
        min(max(scale + SIZE_JITTER * (2 * jitter - 1), 0.0), 1.0) for jitter in (jitter_w, jitter_h)
    )
    return (
        round(width_min + width_share * (width_max - width_min)),
        round(height_min + height_share * (height_max - height_min)),
    )


def usual_side_px(row: ClassSpec, canvas_wh: tuple[int, int]) -> float:
    """Longer side of a box of usual size, in pixels."""
    if row.calibration is not None:
        stretch = math.sqrt(row.calibration.aspect)
        return row.calibration.side_px(canvas_wh) * max(stretch, 1 / stretch)
    ranges = row.size_ranges_px(canvas_wh)
    if ranges is None:
        return sum(LONG_SIDE_SHARES) / 2 * min(canvas_wh)
    width_min, height_min, width_max, height_max = ranges
    return max(width_min + width_max, height_min + height_max) / 2


def aspect_size_px(aspect_ratio: float, long_side_share: float, canvas_wh: tuple[int, int]) -> tuple[int, int]:
    """Width and height in pixels of a box whose longer side is a share of the canvas's shorter side.

    The shorter canvas side is the measure, so that a box of any ratio fits in either direction:
    aspect_size_px(2.0, 0.5, (400, 300)) is (150, 75).
    """
    long_side = long_side_share * min(canvas_wh)
    width, height = (
        (long_side, long_side / aspect_ratio) if aspect_ratio >= 1 else (long_side * aspect_ratio, long_side)
    )
    return max(MIN_SIDE_PX, math.floor(width)), max(MIN_SIDE_PX, math.floor(height))


# Other places of the same size that one is ranked among.
RANKED_AMONG = 128
# Side of the surroundings, in sides of the box. The narrower, the better it tells real platelets' places from any (mean
# rank .75 against .60; twice as large: .71 against .60), but a box that people draw holds some ground itself.
REACH = 1.5


class Ground:
    """The lightness around boxes of one picture (HWC uint8, RGB)."""

    def __init__(self, picture: np.ndarray):
        lightness = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        self.height, self.width = lightness.shape
        self._sums = cv2.integral(lightness, sdepth=cv2.CV_64F)

    def around(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        """Mean lightness (N,) of the ring between boxes (N, 4) and boxes REACH times as large, inside the picture.

        NaN where nothing of the ring is.
        """
        inner = np.rint(np.asarray(boxes_xyxy, float).reshape(-1, 4))
        margin = (inner[:, 2:] - inner[:, :2]) * (REACH - 1) / 2
        outer = np.rint(np.concatenate([inner[:, :2] - margin, inner[:, 2:] + margin], axis=1))
        (inner_sum, inner_area), (outer_sum, outer_area) = self._sum(inner), self._sum(outer)
        area = outer_area - inner_area
        means = np.full(len(inner), np.nan)
        return np.divide(outer_sum - inner_sum, area, out=means, where=area > 0)

    def ranks(self, boxes_xyxy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Share (N,) of places of a picture that have darker surroundings than boxes (N, 4) of one size have.

        One half where the picture has no other place for a box of this size.
        """
        boxes = np.asarray(boxes_xyxy, float).reshape(-1, 4)
        width, height = boxes[0, 2:] - boxes[0, :2] if len(boxes) else (0.0, 0.0)
        x = rng.random(RANKED_AMONG) * max(0.0, self.width - width)
        y = rng.random(RANKED_AMONG) * max(0.0, self.height - height)
        others = self.around(np.stack([x, y, x + width, y + height], axis=1))
        others = others[~np.isnan(others)]
        lightness = self.around(boxes)[:, None]
        if not len(others):
            return np.full(len(boxes), 0.5)
        # A place as light as others lies in the middle of them.
        ranks = ((others < lightness).mean(axis=1) + (others <= lightness).mean(axis=1)) / 2
        return np.where(np.isnan(lightness[:, 0]), 0.5, ranks)

    def _sum(self, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x_min, x_max = (boxes[:, axis].clip(0, self.width).astype(int) for axis in (0, 2))
        y_min, y_max = (boxes[:, axis].clip(0, self.height).astype(int) for axis in (1, 3))
        sums = self._sums
        total = sums[y_max, x_max] - sums[y_min, x_max] - sums[y_max, x_min] + sums[y_min, x_min]
        return total, (x_max - x_min) * (y_max - y_min)
