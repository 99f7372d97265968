"""Every scene, box, prompt and seed, decided before any pixel: a pure function of (spec, config, seed, prompt book).

A scene's content depends on its own index alone, so a preview, a resume, a shard and a rerun all see the same scene.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from generator.config import Config
from generator.errors import Fault, SpecError
from generator.geometry import Box, overlap_share
from generator.prompts.book import PromptBook, RowKey, background_key, class_key, key_position
from generator.seeds import derive_rng, derive_seed
from generator.spec import ClassSpec, Spec
from generator.spec_rules import MIN_SIDE_PX
from generator.storage import atomic_writer

# Second position of every seed below the run's seed; the first is the scene, or RUN for what spans scenes.
RUN = 2**32 - 1
_ORDER, _SPLIT, _PROMPTS, _TOTALS = 0, 1, 2, 3
_COUNTS, _BACKGROUND, _OBJECTS = 0, 1, 2

LONG_SIDE_SHARES = (0.25, 0.5)
# Width and height follow one draw of the size, each off by at most this share of its range: a large animal is
# large in both directions, yet no two boxes have the same ratio.
SIZE_JITTER = 0.15
BLENDERS_IN_MIX = ("feather", "pyramid", "poisson")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One object to paint: what, where, how. `object_index` is its number within the scene's wish list."""

    object_index: int
    category: str
    prompt: str
    negative_prompt: str
    box: Box
    seed: int
    blender: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """An object for which no free place was found within the allowed number of tries."""

    object_index: int
    category: str
    size_wh: tuple[int, int]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenePlan:
    """One picture: its background and its objects, largest first (the order of painting)."""

    index: int
    split: str
    prompt: str
    negative_prompt: str
    seed: int
    placements: tuple[Placement, ...]
    unplaced: tuple[Unplaced, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data; boxes as [x_min, y_min, x_max, y_max] in pixels."""
        data = asdict(self)
        for placement, source in zip(data["placements"], self.placements, strict=True):
            placement["box"] = list(source.box.xyxy)
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All scenes of a run; `scene(i)` works each out when asked, so a plan of a million scenes costs nothing to
    hold.

    Prompts are drawn from the book; without one each row has its own. Boxes and seeds are the same either way.
    """

    spec: Spec
    config: Config
    book: PromptBook | None = None
    _texts: dict[RowKey, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_texts", self.book.texts() if self.book else {})
        width, height = self.config.canvas_wh
        faults = [
            Fault(
                file="classes",
                line=row.line or None,
                found=f"{ranges[2]} x {ranges[3]} px",
                expected=f"boxes of {row.name!r} do not fit the canvas of {width} x {height} px: read the spec for it",
            )
            for row in self.spec.classes
            if (ranges := row.size_ranges_px((width, height))) and (ranges[2] > width or ranges[3] > height)
        ]
        if faults:
            raise SpecError(faults)

    def __len__(self) -> int:
        return self.spec.num_scenes

    def __iter__(self) -> Iterator[ScenePlan]:
        return (self.scene(index) for index in range(len(self)))

    @property
    def max_objects(self) -> int:
        """Most objects that one scene may ask for; annotation ids are spaced by it."""
        return sum(row.max_appear for row in self.spec.classes)

    def scene(self, index: int) -> ScenePlan:
        """Plan one scene. Raises IndexError outside 0 <= index < len(self)."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        background = self.spec.backgrounds[_background_rows(self.spec, self.config.seed)[index]]
        placements, unplaced = self._place_objects(index)
        return ScenePlan(
            index=index,
            split=self._split(index),
            prompt=self._draw_prompt(background_key(background), index, 0),
            negative_prompt=background.negative_prompt or self.config.painting.background_negative_prompt,
            seed=derive_seed(self.config.seed, index, _BACKGROUND),
            placements=placements,
            unplaced=unplaced,
        )

    def _draw_prompt(self, key: RowKey, index: int, number: int) -> str:
        """Draw a text for the `number`-th background or object of a row in a scene, each as often as the others.

        Of as many scenes in a row as there are texts, each scene takes another one, in an order drawn for these scenes;
        from a stream of its own, so that a longer book moves no box.
        """
        texts = self._texts.get(key) or (key[2],)
        block, place = divmod(index, len(texts))
        order = _text_order(self.config.seed, key_position(key), block, len(texts))
        return texts[order[(place + number) % len(texts)]]

    def _split(self, index: int) -> str:
        """Systematic sampling with a random start: any run of scenes holds its exact share of validation pictures."""
        share = self.config.output.val_share
        start = _start(self.config.seed, _SPLIT)
        return "val" if math.floor((index + 1) * share + start) > math.floor(index * share + start) else "train"

    def _share(self, row: ClassSpec, total: int, index: int) -> int:
        """Objects of a row in a scene, when all scenes together hold `total`: any run of scenes has its exact share."""
        scenes = len(self)
        start = int(_start(self.config.seed, _TOTALS, self.spec.classes.index(row)) * scenes)
        return ((index + 1) * total + start) // scenes - (index * total + start) // scenes

    def _place_objects(self, index: int) -> tuple[tuple[Placement, ...], tuple[Unplaced, ...]]:
        rng = derive_rng(self.config.seed, index, _COUNTS)
        wishes: list[tuple[int, int, ClassSpec, int, tuple[int, int]]] = []
        for row in self.spec.classes:
            drawn = int(rng.integers(row.min_appear, row.max_appear, endpoint=True))
            for number in range(drawn if row.total is None else self._share(row, row.total, index)):
                size_wh = draw_size(row, self.config.canvas_wh, rng)
                wishes.append((size_wh[0] * size_wh[1], len(wishes), row, number, size_wh))
        placements: list[Placement] = []
        unplaced: list[Unplaced] = []
        # Large first: what has few places left to go takes its place first, and small objects are painted
        # over large ones, not the other way round.
        for _, object_index, row, number, size_wh in sorted(wishes, key=lambda wish: (-wish[0], wish[1])):
            taken = [placement.box for placement in placements]
            box, reason = self._find_place(row, size_wh, taken, rng)
            if box is None:
                unplaced.append(Unplaced(object_index=object_index, category=row.name, size_wh=size_wh, reason=reason))
                continue
            blend = self.config.painting.blend
            seed = derive_seed(self.config.seed, index, _OBJECTS, object_index)
            placements.append(
                Placement(
                    object_index=object_index,
                    category=row.name,
                    prompt=self._draw_prompt(class_key(row), index, number),
                    negative_prompt=row.negative_prompt or self.config.painting.object_negative_prompt,
                    box=box,
                    seed=seed,
                    blender=BLENDERS_IN_MIX[seed % len(BLENDERS_IN_MIX)] if blend == "mixed" else blend,
                )
            )
        return tuple(placements), tuple(unplaced)

    def _find_place(
        self, row: ClassSpec, size_wh: tuple[int, int], taken: list[Box], rng: np.random.Generator
    ) -> tuple[Box | None, str]:
        (canvas_w, canvas_h), (width, height) = self.config.canvas_wh, size_wh
        margin = round(self.config.placement.margin * min(canvas_w, canvas_h))
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
        for _ in range(self.config.placement.max_tries):
            x = int(rng.integers(x_low, x_high, endpoint=True))
            y = int(rng.integers(y_low, y_high, endpoint=True))
            box = Box.from_xywh(x, y, width, height)
            if all(overlap_share(box, other) <= self.config.placement.max_overlap for other in taken):
                return box, ""
        return None, f"no free place in {self.config.placement.max_tries} tries"


def draw_size(row: ClassSpec, canvas_wh: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
    """Draw the width and height in pixels of one box of a class."""
    ranges = row.size_ranges_px(canvas_wh)
    scale, jitter_w, jitter_h = rng.random(3)
    if ranges is None:
        low, high = np.log(row.aspect_ratios)
        ratio = float(np.exp(low + (high - low) * jitter_w))
        share = LONG_SIDE_SHARES[0] + (LONG_SIDE_SHARES[1] - LONG_SIDE_SHARES[0]) * scale
        return aspect_size_px(ratio, float(share), canvas_wh)
    width_min, height_min, width_max, height_max = ranges
    width_share, height_share = np.clip(scale + SIZE_JITTER * (2 * np.array([jitter_w, jitter_h]) - 1), 0, 1)
    return (
        round(width_min + float(width_share) * (width_max - width_min)),
        round(height_min + float(height_share) * (height_max - height_min)),
    )


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


def write_plan(plan: Plan, path: Path) -> int:
    """Write one scene a line as JSON, whole or not at all; returns the number of objects without a place."""
    unplaced = 0
    with atomic_writer(path) as stream:
        for scene in plan:
            unplaced += len(scene.unplaced)
            stream.write(json.dumps(scene.to_json(), separators=(",", ":"), ensure_ascii=False).encode() + b"\n")
    return unplaced


@functools.lru_cache(maxsize=4)
def _background_rows(spec: Spec, seed: int) -> np.ndarray:
    """Row of background.csv for every scene: shuffled, so that the first pictures of a run show every kind."""
    rows = np.repeat(np.arange(len(spec.backgrounds)), [row.num_imgs for row in spec.backgrounds])
    shuffled: np.ndarray = derive_rng(seed, RUN, _ORDER).permutation(rows)
    shuffled.setflags(write=False)
    return shuffled


@functools.lru_cache(maxsize=64)
def _start(seed: int, *position: int) -> float:
    """Random start of a systematic sample."""
    return float(derive_rng(seed, RUN, *position).random())


@functools.lru_cache(maxsize=256)
def _text_order(seed: int, row: int, block: int, count: int) -> tuple[int, ...]:
    return tuple(derive_rng(seed, RUN, _PROMPTS, row, block).permutation(count).tolist())
