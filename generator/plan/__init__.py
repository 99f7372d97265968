"""Every scene, box, prompt and seed, decided before any pixel: a pure function of (spec, config, seed, prompt book).

A scene's content depends on its own index alone, so a preview, a resume, a shard and a rerun all see the same scene.
"""

from __future__ import annotations

import functools
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from generator.config import BlenderName, Config
from generator.foundation.errors import Fault, SpecError
from generator.foundation.geometry import Box
from generator.foundation.seeds import derive_rng, derive_seed
from generator.foundation.storage import atomic_writer, translate_os_errors
from generator.plan.photos import PhotoView, view_photo
from generator.plan.placing import Ground, draw_size, find_place
from generator.prompts.book import PromptBook, key_position
from generator.spec import BackgroundSpec, ClassSpec, RowKey, Spec

# Second position of every seed below the run's seed; the first is the scene, or RUN for what spans scenes.
RUN = 2**32 - 1
_ORDER, _SPLIT, _PROMPTS, _TOTALS, _PHOTOS, _PHOTO_SPLIT = 0, 1, 2, 3, 4, 5
_COUNTS, _BACKGROUND, _OBJECTS, _DECOYS, _VIEW = 0, 1, 2, 3, 4

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
    """One picture: its background, its objects, largest first, and its decoys: the order of painting.

    `photo` is what is painted into; None where the background is painted, too.
    """

    index: int
    split: str
    prompt: str
    negative_prompt: str
    seed: int
    placements: tuple[Placement, ...]
    decoys: tuple[Placement, ...] = ()
    unplaced: tuple[Unplaced, ...] = ()
    photo: PhotoView | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data; boxes as [x_min, y_min, x_max, y_max] in pixels."""
        placed = {
            name: [{**_fields(item), "box": list(item.box.xyxy)} for item in items]
            for name, items in (("placements", self.placements), ("decoys", self.decoys))
        }
        fields = {**_fields(self), **placed, "unplaced": [_fields(item) for item in self.unplaced]}
        photo = fields.pop("photo")
        return fields if photo is None else {**fields, "photo": photo.to_json()}


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
    _photo_splits: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_texts", self.book.texts() if self.book else {})
        object.__setattr__(self, "_photo_splits", self._split_photos())
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
        """Most objects that one scene may ask for."""
        return sum(row.max_appear for row in self.spec.classes)

    @property
    def max_labels(self) -> int:
        """Most labels that one scene may have, of painted objects and of those in a photo: annotation ids are spaced
        by it.
        """
        return self.max_objects + max(
            (row.photos.most_objects for row in self.spec.backgrounds if row.photos), default=0
        )

    def scene(self, index: int, picture: np.ndarray | None = None, seen: Sequence[Box] = ()) -> ScenePlan:
        """Plan one scene. Raises IndexError outside 0 <= index < len(self).

        Once a `picture` (HWC uint8) of its background is there, objects of calibrated classes lie on such ground as
        real ones do, and nothing lies where objects without a label were `seen` in a photo; all else is the same.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        counts = tuple(row.num_imgs for row in self.spec.backgrounds)
        rows, ranks = _background_rows(counts, self.config.seed)
        background = self.spec.backgrounds[rows[index]]
        photo = self._view_photo(background, int(rows[index]), int(ranks[index]), index)
        room = _Room(kept=(*photo.kept, *seen), avoided=tuple(photo.avoided)) if photo else _Room()
        placements, unplaced = self._place_objects(index, None if picture is None else Ground(picture), room)
        prompt = self._draw_prompt(background.key, index, 0)
        negative_prompt = background.negative_prompt or self.config.painting.background_negative_prompt
        return ScenePlan(
            index=index,
            split=self._split(index) if photo is None else self._photo_splits[photo.photo.sha256],
            prompt=prompt,
            negative_prompt=negative_prompt,
            seed=derive_seed(self.config.seed, index, _BACKGROUND),
            placements=placements,
            decoys=self._place_decoys(index, placements, prompt, room),
            unplaced=unplaced,
            photo=photo,
        )

    def _view_photo(self, background: BackgroundSpec, row: int, rank: int, index: int) -> PhotoView | None:
        """Take a photo for the `rank`-th scene of a row: of as many scenes as there are photos each takes another."""
        if background.photos is None:
            return None
        photos = background.photos.photos
        block, place = divmod(rank, len(photos))
        return view_photo(
            photos[_order(self.config.seed, len(photos), _PHOTOS, row, block)[place]],
            self.config.canvas_wh,
            min_crop=background.min_crop,
            flip=background.flip,
            min_visible=self.config.labels.min_visible,
            categories=self.spec.categories,
            rng=derive_rng(self.config.seed, index, _VIEW),
        )

    def _split_photos(self) -> dict[str, str]:
        """Split of every photo, by its digest: all its scenes go there, whatever rows it is in; as `_split` does it."""
        photos = dict.fromkeys(
            photo.sha256 for row in self.spec.backgrounds if row.photos for photo in row.photos.photos
        )
        order = _order(self.config.seed, len(photos), _PHOTO_SPLIT) if photos else ()
        share, start = self.config.output.val_share, _start(self.config.seed, _PHOTO_SPLIT, 0)
        return {digest: _systematic(place, share, start) for digest, place in zip(photos, order, strict=True)}

    def _draw_prompt(self, key: RowKey, index: int, number: int) -> str:
        """Draw a text for the `number`-th background or object of a row in a scene, each as often as the others.

        Of as many scenes in a row as there are texts, each scene takes another one, in an order drawn for these scenes;
        from a stream of its own, so that a longer book moves no box.
        """
        texts = self._texts.get(key) or (key[2],)
        if len(texts) == 1:
            return texts[0]
        block, place = divmod(index, len(texts))
        order = _order(self.config.seed, len(texts), _PROMPTS, key_position(key), block)
        return texts[order[(place + number) % len(texts)]]

    def _split(self, index: int) -> str:
        """Systematic sampling with a random start: any run of scenes holds its exact share of validation pictures."""
        return _systematic(index, self.config.output.val_share, _start(self.config.seed, _SPLIT))

    def _share(self, row: ClassSpec, total: int, index: int) -> int:
        """Objects of a row in a scene, when all scenes together hold `total`: any run of scenes has its exact share."""
        scenes = len(self)
        start = int(_start(self.config.seed, _TOTALS, self.spec.classes.index(row)) * scenes)
        return ((index + 1) * total + start) // scenes - (index * total + start) // scenes

    def _place_objects(
        self, index: int, ground: Ground | None, room: _Room
    ) -> tuple[tuple[Placement, ...], tuple[Unplaced, ...]]:
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
            max_overlap = self.config.placement.max_overlap
            box, reason = self._find_place(row, size_wh, taken, rng, room, max_overlap=max_overlap, ground=ground)
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

    def _find_place(
        self,
        row: ClassSpec,
        size_wh: tuple[int, int],
        taken: Sequence[Box],
        rng: np.random.Generator,
        room: _Room,
        *,
        max_overlap: float,
        ground: Ground | None = None,
    ) -> tuple[Box | None, str]:
        """Find a place as `find_place` does, clear of what a photo shows, of what only should be clear if it can be."""
        reason = ""
        for kept in [[*room.kept, *room.avoided], room.kept] if room.avoided else [room.kept]:
            box, reason = find_place(
                row, size_wh, taken, rng, self.config, max_overlap=max_overlap, kept=kept, ground=ground
            )
            if box is not None:
                return box, ""
        return None, reason

    def _place_decoys(
        self, index: int, placements: tuple[Placement, ...], prompt: str, room: _Room
    ) -> tuple[Placement, ...]:
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
            box, _ = self._find_place(row, size_wh, taken, rng, room, max_overlap=0.0)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Room:
    """What a photo shows already: where nothing may lie, and where nothing should."""

    kept: tuple[Box, ...] = ()
    avoided: tuple[Box, ...] = ()


@functools.lru_cache(maxsize=4)
def _background_rows(counts: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row of background.csv for every scene, of rows with so many scenes each: shuffled, so that the first pictures of
    a run show every kind; and how many scenes of the same row come before it.
    """
    rows = np.repeat(np.arange(len(counts)), counts)
    shuffled: np.ndarray = derive_rng(seed, RUN, _ORDER).permutation(rows)
    ranks = np.empty_like(shuffled)
    ranks[np.argsort(shuffled, kind="stable")] = np.concatenate([np.arange(count) for count in counts])
    shuffled.setflags(write=False)
    ranks.setflags(write=False)
    return shuffled, ranks


@functools.lru_cache(maxsize=64)
def _start(seed: int, *position: int) -> float:
    """Random start of a systematic sample."""
    return float(derive_rng(seed, RUN, *position).random())


def _systematic(place: int, share: float, start: float) -> str:
    """Split of one of a row of things, of which any run of neighbours holds its exact share of validation."""
    return "val" if math.floor((place + 1) * share + start) > math.floor(place * share + start) else "train"


@functools.lru_cache(maxsize=256)
def _order(seed: int, count: int, *position: int) -> tuple[int, ...]:
    """The numbers below `count` in an order of its own for each position."""
    return tuple(derive_rng(seed, RUN, *position).permutation(count).tolist())


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
