"""Labels against a truth that is known: shapes drawn by hand, then seen through an imitated decoder.

    python -m benchmarks.labelling [--cases 336]

The imitation does to the whole crop what a latent decoder does: it softens, adds grain, shifts the colours slowly
over the crop, stores a JPEG now and then, and draws some of the neighbours a little differently. The table compares the
thresholds of generator/labels/labelling.py; the tests hold the default to a median box IoU of 0.9.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import binary_fill_holes

from benchmarks import Results, make_parser
from generator.foundation.geometry import box_iou, box_of_mask
from generator.labels import labelling
from generator.labels.labelling import find_painted
from generator.painting.stitch import match_to_ring

PADDING = 0.12
BACKGROUNDS = ("discs", "noise", "gradient", "stripes")
SHAPES = ("ellipse", "rectangle", "polygon", "ring")
OTHER_FACTORS = ((1.0, 1.1), (1.3, 0.0), (1.3, 1.1), (2.0, 1.1), (1.3, 1.5), (1.6, 2.0), (2.0, 2.0), (1.6, 3.0))
TONES = ("dark", "bright", "pale", "bold")
SIZES_PX = (12, 18, 27, 40, 60, 90, 120)


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A crop before and after painting; `truth` (HW bool) is what was drawn, holes filled as a label has them."""

    name: str
    before: np.ndarray
    painted: np.ndarray
    region: np.ndarray
    truth: np.ndarray


def background(kind: str, size_px: int, rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """HWC float32 in [0, 255], and the discs in it as (x, y, radius)."""
    colour = rng.uniform(120, 210, 3)
    coarse = rng.normal(0, 1, (size_px // 10 + 2, size_px // 10 + 2, 3)).astype(np.float32)
    picture = colour + 7 * cv2.resize(coarse, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    rows, columns = np.mgrid[:size_px, :size_px] / size_px
    discs: list[tuple[int, int, int]] = []
    if kind == "discs":
        for _ in range(14):
            x, y = (int(value) for value in rng.integers(0, size_px, 2))
            discs.append((x, y, int(rng.integers(size_px // 20 + 2, size_px // 9 + 3))))
            draw_disc(picture, discs[-1], colour * (0.82, 0.62, 0.66))
    elif kind == "gradient":
        picture = picture + 50 * (columns - 0.5)[..., None] * (1, 0.6, -0.4) + 25 * (rows - 0.5)[..., None]
    elif kind == "stripes":
        wave = np.sin(2 * np.pi * (6 * columns + 3 * rows))
        picture = picture + 14 * wave[..., None] * (1, 1, 0.5)
    return np.clip(picture, 0, 255).astype(np.float32), discs


def draw_disc(picture: np.ndarray, disc: tuple[int, int, int], colour: np.ndarray) -> None:
    """Blend a soft disc (x, y, radius) into an HWC float picture."""
    x, y, radius = disc
    soft = cv2.circle(np.zeros(picture.shape[:2], np.float32), (x, y), radius, 1.0, -1, cv2.LINE_AA)
    picture += soft[..., None] * (colour - picture)


def shape_mask(kind: str, size_px: int, centre: tuple[int, int], diameter: int, rng: np.random.Generator) -> np.ndarray:
    """HW bool; `diameter` is the longer side, give or take the turn."""
    mask = np.zeros((size_px, size_px), np.uint8)
    radius, short = diameter // 2, int(diameter * rng.uniform(0.3, 0.5))
    if kind == "rectangle":
        cv2.rectangle(mask, (centre[0] - radius, centre[1] - short), (centre[0] + radius, centre[1] + short), 1, -1)
    elif kind == "polygon":
        angles = np.sort(rng.uniform(0, 2 * np.pi, 7)) + np.linspace(0, 0.4, 7)
        radii = radius * rng.uniform(0.6, 1, 7)
        points = np.stack([centre[0] + radii * np.cos(angles), centre[1] + radii * np.sin(angles)], axis=1)
        cv2.fillPoly(mask, [cv2.convexHull(np.rint(points).astype(np.int32))], 1)
    else:
        cv2.ellipse(mask, centre, (radius, short), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    if kind == "ring":
        cv2.circle(mask, centre, max(1, short // 2), 0, -1)
    return mask.astype(bool)


def tone_colour(tone: str, around: np.ndarray) -> np.ndarray:
    """RGB of an object that is dark, bright, pale (a little off) or bold (another hue) on what is `around` it."""
    table = {"dark": around * 0.35, "bright": around + 0.85 * (255 - around), "pale": around + np.array([28, -22, 24])}
    return np.clip(table.get(tone, np.array((130.0, 50.0, 150.0))), 0, 255)


def decode(drawn: np.ndarray, rng: np.random.Generator, *, jpeg: bool) -> np.ndarray:
    """What comes out of a latent decoder: HWC float [0, 255] -> HWC uint8."""
    size_px = drawn.shape[0]
    soft = cv2.GaussianBlur(drawn, (0, 0), float(rng.uniform(0.6, 1.0)))
    # Slow enough to be seen in the ring: nobody could tell a bump as wide as the region from paint.
    corners = rng.normal(0, 3, (2, 2, 3)).astype(np.float32)
    drift = cv2.resize(corners, (size_px, size_px), interpolation=cv2.INTER_CUBIC) + rng.normal(0, 3, 3)
    grainy = soft + drift + rng.normal(0, rng.uniform(2, 3), drawn.shape)
    pixels = np.clip(np.rint(grainy), 0, 255).astype(np.uint8)
    if jpeg:
        _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    return np.ascontiguousarray(pixels)


def make_case(seed: int, *, kind: str, shape: str, tone: str, diameter: int) -> Case:
    """Make one crop with one object of the given kind."""
    rng = np.random.default_rng(seed)
    # As frame_around has it: the box takes 0.4 of the crop, and no crop is smaller than 64 px.
    size_px = max(64, round(diameter / 0.4))
    picture, discs = background(kind, size_px, rng)
    before = np.rint(picture).astype(np.uint8)
    centre = size_px // 2, size_px // 2
    drawn_mask = shape_mask(shape, size_px, centre, diameter, rng)
    around = picture[max(0, centre[1] - diameter) : centre[1] + diameter].reshape(-1, 3).mean(axis=0)
    texture = cv2.resize(rng.normal(0, 5, (8, 8, 1)).astype(np.float32), (size_px, size_px))[..., None]
    drawn = picture.copy()
    for x, y, radius in discs[::3]:  # neighbours drawn again: a pixel to the side, a shade lighter
        draw_disc(drawn, (x + 1, y, radius), picture[min(y, size_px - 1), min(x, size_px - 1)] + 4)
    drawn = np.where(drawn_mask[..., None], tone_colour(tone, around) + texture, drawn).astype(np.float32)
    border = max(3, round(PADDING * diameter))
    region = np.zeros((size_px, size_px), bool)
    box = box_of_mask(drawn_mask)
    assert box is not None
    top, left = max(0, box.y_min - border), max(0, box.x_min - border)
    region[top : box.y_max + border, left : box.x_max + border] = True
    return Case(
        name=f"seed {seed}: {tone} {shape} of {diameter} px on {kind}",
        before=before,
        painted=decode(drawn, rng, jpeg=seed % 3 == 0),
        region=region,
        truth=binary_fill_holes(drawn_mask),
    )


def find(case: Case) -> np.ndarray:
    """As stitch does it: colours matched to the ring first."""
    return find_painted(case.before, match_to_ring(case.painted, case.before, ~case.region), case.region)


def box_iou_of_masks(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of the tight boxes of two masks (HW bool); 0 when one is empty."""
    boxes = box_of_mask(a), box_of_mask(b)
    return box_iou(boxes[0], boxes[1]) if boxes[0] and boxes[1] else 0.0


def standard_case(seed: int) -> Case:
    """Case number `seed` of a fixed series, in which all tones meet all sizes and shapes."""
    return make_case(
        seed,
        kind=BACKGROUNDS[seed % 4],
        shape=SHAPES[seed // 4 % 4],
        tone=TONES[(seed + seed // 4 + seed // 16) % 4],
        diameter=SIZES_PX[seed % 7],
    )


def main() -> None:
    """Measure and print the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--cases", type=int, default=336)
    arguments = parser.parse_args()
    cases = [standard_case(seed) for seed in range(arguments.cases)]
    sizes = np.array([SIZES_PX[seed % 7] for seed in range(len(cases))])
    default = (labelling.CHANGE_FACTOR, labelling.NOVELTY_FACTOR)
    title = f"{len(cases)} pasted shapes, IoU of the tight boxes"
    columns = ("change x", "novelty x", "median", "10 %", "least", "12-18 px", "27-40 px", "60-120 px")
    with Results(title, *columns) as table:
        for change, novelty in [default, *OTHER_FACTORS]:
            labelling.CHANGE_FACTOR, labelling.NOVELTY_FACTOR = change, novelty
            scores = np.array([box_iou_of_masks(find(case), case.truth) for case in cases])
            parts = [scores[sizes <= 18], scores[(sizes > 18) & (sizes <= 40)], scores[sizes > 40]]
            figures = [np.median(scores), np.quantile(scores, 0.1), scores.min(), *map(np.median, parts)]
            table.add(change, novelty, *(f"{figure:.3f}" for figure in figures))


if __name__ == "__main__":
    main()
