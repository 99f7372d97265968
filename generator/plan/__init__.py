"""Every scene, box, prompt and seed, decided before any pixel: a pure function of (spec, config, seed, prompt book).

A scene's content depends on its own index alone, so a preview, a resume, a shard and a rerun all see the same scene.
"""

from __future__ import annotations

import functools
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from generator.config import BlenderName, Config
from generator.foundation.errors import Fault, SpecError
from generator.foundation.geometry import Box
from generator.foundation.seeds import derive_rng, derive_seed
from generator.foundation.storage import atomic_writer, translate_os_errors
from generator.plan.placing import Ground, draw_size, find_place
from generator.prompts.book import PromptBook, key_position
from generator.spec import ClassSpec, RowKey, Spec

# Second position of every seed below the run's seed; the first is the scene, or RUN for what spans scenes.
RUN = 2**32 - 1
_ORDER, _SPLIT, _PROMPTS, _TOTALS = 0, 1, 2, 3
_COUNTS, _BACKGROUND, _OBJECTS, _DECOYS = 0, 1, 2, 3

# What `blend: mixed` draws from. Another one here makes another plan of every spec.
BLENDERS_IN_MIX: tuple[BlenderName, ...] = ("feather", "pyramid", "poisson")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One box to paint: what, where, how. `object_index` is its number within the scene, decoys after all objects.

    A decoy is painted like an object, with the scene's own prompt, and is not labelled; `category` is the one whose
    sizes it has. `label_scale` is how many times as large as what was painted the label is to be.
    """

    object_index: int
    category: str
    prompt: str
    negative_prompt: str
    box: Box
    seed: int
    blender: str
    is_decoy: bool = False
    label_scale: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """An object for which no free place was found within the allowed number of tries."""

    object_index: int
    category: str
    size_wh: tuple[int, int]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenePlan:
    """One picture: its background, its objects, largest first, and its decoys: the order of painting."""

    index: int
    split: str
    prompt: str
    negative_prompt: str
    seed: int
    placements: tuple[Placement, ...]
    decoys: tuple[Placement, ...] = ()
    unplaced: tuple[Unplaced, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data; boxes as [x_min, y_min, x_max, y_max] in pixels."""
        placed = {
            name: [{**_fields(item), "box": list(item.box.xyxy)} for item in items]
            for name, items in (("placements", self.placements), ("decoys", self.decoys))
        }
        return {**_fields(self), **placed, "unplaced": [_fields(item) for item in self.unplaced]}


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
            if row.calibration is None
            and (ranges := row.size_ranges_px((width, height)))
            and (ranges[2] > width or ranges[3] > height)
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

    def scene(self, index: int, picture: np.ndarray | None = None) -> ScenePlan:
        """Plan one scene. Raises IndexError outside 0 <= index < len(self).

        Once a `picture` (HWC uint8) of its background is there, objects of calibrated classes lie on such ground as
        real ones do; all else is the same.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        counts = tuple(row.num_imgs for row in self.spec.backgrounds)
        background = self.spec.backgrounds[_background_rows(counts, self.config.seed)[index]]
        placements, unplaced = self._place_objects(index, None if picture is None else Ground(picture))
        prompt = self._draw_prompt(background.key, index, 0)
        negative_prompt = background.negative_prompt or self.config.painting.background_negative_prompt
        return ScenePlan(
            index=index,
            split=self._split(index),
            prompt=prompt,
            negative_prompt=negative_prompt,
            seed=derive_seed(self.config.seed, index, _BACKGROUND),
            placements=placements,
            decoys=self._place_decoys(index, placements, prompt),
            unplaced=unplaced,
        )

    def _draw_prompt(self, key: RowKey, index: int, number: int) -> str:
        """Draw a text for the `number`-th background or object of a row in a scene, each as often as the others.

        Of as many scenes in a row as there are texts, each scene takes another one, in an order drawn for these scenes;
        from a stream of its own, so that a longer book moves no box.
        """
        texts = self._texts.get(key) or (key[2],)
        if len(texts) == 1:
            return texts[0]
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

    def _place_objects(self, index: int, ground: Ground | None) -> tuple[tuple[Placement, ...], tuple[Unplaced, ...]]:
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
            box, reason = find_place(
                row, size_wh, taken, rng, self.config, max_overlap=self.config.placement.max_overlap, ground=ground
            )
            if box is None:
                unplaced.append(Unplaced(object_index=object_index, category=row.name, size_wh=size_wh, reason=reason))
                continue
            seed = derive_seed(self.config.seed, index, _OBJECTS, object_index)
            placements.append(
                Placement(
                    object_index=object_index,
                    category=row.name,
                    prompt=self._draw_prompt(row.key, index, number),
                    negative_prompt=row.negative_prompt or self.config.painting.object_negative_prompt,
                    box=box,
                    seed=seed,
                    blender=self._choose_blender(seed),
                    label_scale=row.label_scale,
                )
            )
        return tuple(placements), tuple(unplaced)

    def _place_decoys(self, index: int, placements: tuple[Placement, ...], prompt: str) -> tuple[Placement, ...]:
        """Place decoys clear of all objects, of the sizes that a seeded choice of them was drawn from.

        From a stream of its own: decoys move no object. They lie where objects of their class may lie, on any ground.
        One without room is left out. What the scene must not show is kept off by the verifier, not by the negative
        prompt: guided away from it, a place comes out lighter.
        """
        rng = derive_rng(self.config.seed, index, _DECOYS)
        rows = {row.name: row for row in reversed(self.spec.classes)}
        decoys: list[Placement] = []
        for placement in placements:
            if rng.random() >= self.config.placement.decoys:
                continue
            row = rows[placement.category]
            taken = [each.box for each in (*placements, *decoys)]
            size_wh = draw_size(row, self.config.canvas_wh, rng)
            box, _ = find_place(row, size_wh, taken, rng, self.config, max_overlap=0.0)
            if box is None:
                continue
            number = self.max_objects + len(decoys)
            seed = derive_seed(self.config.seed, index, _OBJECTS, number)
            decoys.append(
                Placement(
                    object_index=number,
                    category=row.name,
                    prompt=prompt,
                    negative_prompt=placement.negative_prompt,
                    box=box,
                    seed=seed,
                    blender=self._choose_blender(seed),
                    is_decoy=True,
                )
            )
        return tuple(decoys)

    def _choose_blender(self, seed: int) -> str:
        blend = self.config.painting.blend
        return BLENDERS_IN_MIX[seed % len(BLENDERS_IN_MIX)] if blend == "mixed" else blend


def _fields(item: ScenePlan | Placement | Unplaced) -> dict[str, Any]:
    # Not dataclasses.asdict, which copies every value: it took as long as planning the scene.
    return {name: getattr(item, name) for name in item.__slots__}


@functools.lru_cache(maxsize=4)
def _background_rows(counts: tuple[int, ...], seed: int) -> np.ndarray:
    """Row of background.csv for every scene, of rows with so many scenes each: shuffled, so that the first pictures of
    a run show every kind.
    """
    rows = np.repeat(np.arange(len(counts)), counts)
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


# Scenes that are planned before the first is painted (a few seconds), and how many are added at a time.
AHEAD, STEP = 10_000, 1_000
_TAIL_BYTES = 2**20
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def write_plan(plan: Plan, path: Path, scenes: int | None = None) -> int:
    """Write all scenes, or the first ones, whole or not at all; returns the number of objects without a place.

    Raises StorageError.
    """
    unplaced = 0
    with atomic_writer(path) as stream:
        for index in range(len(plan) if scenes is None else min(scenes, len(plan))):
            scene = plan.scene(index)
            unplaced += len(scene.unplaced)
            stream.write(_line(scene))
    return unplaced


def extend_plan(plan: Plan, path: Path, *, until: int) -> int:
    """Go on with the file until scene `until` is in it; returns how many scenes it holds. Raises StorageError.

    Where there is none, or one that is damaged, it is begun.
    """
    wanted = min(len(plan), max(AHEAD, (until // STEP + 1) * STEP))
    held = count_planned(path)
    if not held:
        write_plan(plan, path, AHEAD)
        held = min(AHEAD, len(plan))
    if held < wanted:
        with translate_os_errors(path), path.open("ab") as stream:
            stream.writelines(_line(plan.scene(index)) for index in range(held, wanted))
    return max(held, wanted)


def count_planned(path: Path) -> int:
    """Count the scenes in the file by its last line; a line that a kill cut short is taken off. 0 of a damaged file."""
    if not path.exists():
        return 0
    with translate_os_errors(path), path.open("r+b") as stream:
        size = stream.seek(0, os.SEEK_END)
        start = stream.seek(max(0, size - _TAIL_BYTES))
        whole, newline, cut = stream.read().rpartition(b"\n")
        if cut:
            stream.truncate(size - len(cut))
    _, earlier, last = whole.rpartition(b"\n")
    if not newline or (start and not earlier):
        return 0
    try:
        return int(json.loads(last)["index"]) + 1
    except (ValueError, TypeError, KeyError):
        return 0


def _line(scene: ScenePlan) -> bytes:
    return _ENCODER.encode(scene.to_json()).encode() + b"\n"
