"""Where a box may lie and how large it is: draws for the plan, pure functions of the generator that they are given."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from generator.config_sections import PlacementConfig
from generator.foundation.geometry import Box
from generator.plan.ground import Ground
from generator.spec.calibration import DECILES, centres_between
from generator.spec.rules import MIN_SIDE_PX
from generator.spec.spec import ClassSpec

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
    *,
    canvas_wh: tuple[int, int],
    rules: PlacementConfig,
    max_overlap: float,
    ground: Ground | None = None,
) -> tuple[Box | None, str]:
    """Draw positions for a box of a class until one overlaps none of `taken` by more than `max_overlap` of the smaller.

    On a picture's `ground`, and where it is known on what ground the class lies, the best of several such positions is
    taken. Returns None and the reason when none was found.
    """
    (canvas_w, canvas_h), (width, height) = canvas_wh, size_wh
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
        if _is_free(x, y, width, height, taken, max_overlap):
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
