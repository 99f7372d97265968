"""A painted data set for the page: its objects in a list, its pictures with boxes, one object close up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from boxpaint.studio.workspace import Workspace
from detection.datasets.read import open_rgb
from generator.dataset.pictures import category_colours, draw_boxes, draw_real
from generator.dataset.record import ObjectRecord, SceneRecord, decode_mask, read_record
from generator.dataset.review import Review, accepted_attempt, read_review
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.geometry import Box
from generator.foundation.storage import read_json

KEPT, ACCEPTED, REJECTED, RENAMED, DROPPED = "not reviewed", "accepted", "rejected", "wrong class", "dropped"
STATES = (KEPT, ACCEPTED, REJECTED, RENAMED, DROPPED)
# The three boxes, and that of the label, which is the painted one in the convention of people.
BOX_COLOURS = {"requested": "#E69F00", "painted": "#56B4E9", "verified": "#009E73", "label": "#F0E442"}
_MASK_SHARE = 0.45
# So large that they can be read on the thumbnails of a page.
_NUMBERS_IN_HEIGHT = 14
_CLOSE_UP_PX, _SURROUNDINGS = 420, 0.5
# Of two boxes that are the same, the second is drawn within the lines of the first.
_INSET_PX = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """One object in the list of a data set, and how it stands: one of STATES."""

    record: SceneRecord
    item: ObjectRecord
    state: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PaintedSet:
    """A run folder, read: its classes, its records by scene, and what was decided."""

    folder: Path
    categories: tuple[str, ...]
    records: Mapping[int, SceneRecord]
    review: Review
    label_scales: Mapping[str, float]
    """How much larger than what was painted the labels of each class are, where that was measured."""

    def as_reviewed(self, record: SceneRecord) -> SceneRecord:
        """The record with the classes that a person gave; what was rejected is still there, to be seen."""
        applied = {item.object_index: item for item in self.review.applied(record, self.label_scales).objects}
        items = (
            applied[item.object_index] if self.state_of(record, item) == RENAMED else item for item in record.objects
        )
        return record.model_copy(update={"objects": tuple(items)})

    def entries(self) -> list[Entry]:
        """All objects that were to be painted, scene by scene."""
        return [
            Entry(record=record, item=item, state=self.state_of(record, item))
            for record in map(self.as_reviewed, self.records.values())
            for item in record.objects
        ]

    def state_of(self, record: SceneRecord, item: ObjectRecord) -> str:
        """How an object stands: dropped by the run, decided on by a person, or kept."""
        if item.painted_box is None:
            return DROPPED
        decided = self.review.of(record, item)
        if decided is None:
            return KEPT
        return {"accept": ACCEPTED, "reject": REJECTED, "wrong class": RENAMED}[decided.decision]

    def object_of(self, scene: int, object_index: int) -> tuple[SceneRecord, ObjectRecord] | None:
        """A scene and an object of it; None where there is none (any more)."""
        record = self.records.get(scene)
        items = record.objects if record is not None else ()
        item = next((each for each in items if each.object_index == object_index), None)
        return (record, item) if record is not None and item is not None else None


def read_painted_set(folder: Path) -> PaintedSet:
    """Read a run folder; links among its records are left out. Raises DatasetError, StorageError."""
    run = read_json(folder / "run.json")
    try:
        rows = run["spec"]["classes"]
        categories = tuple(dict.fromkeys(str(row["name"]) for row in rows))
        scales = {str(row["name"]): float(row["calibration"]["label_scale"]) for row in rows if row.get("calibration")}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DatasetError([Fault(file=str(folder / "run.json"), expected="names no classes; is damaged")]) from None
    return PaintedSet(
        folder=folder,
        categories=categories,
        records={int(path.stem): read_record(path) for path in record_files(folder)},
        review=read_review(folder, categories),
        label_scales=scales,
    )


def record_files(folder: Path) -> list[Path]:
    """Records of the scenes that are finished in a run folder, in order; no links."""
    files = (folder / "records").glob("*.json")
    return sorted(path for path in files if path.stem.isdecimal() and not path.is_symlink())


def count_words(entries: Iterable[Entry]) -> str:
    """How many labels some entries are, and how many objects among them are none: "3 labels, 1 dropped"."""
    found = Counter(entry.state for entry in entries)
    lost = {state: found.pop(state, 0) for state in (REJECTED, DROPPED)}
    labels = found.total()
    words = (f"{count} {state}" for state, count in lost.items() if count)
    return ", ".join([f"{labels} label{'s' * (labels != 1)}", *words])


def chosen(entries: Iterable[Entry], categories: Sequence[str], states: Sequence[str], min_score: float) -> list[Entry]:
    """Those of some classes and states (none given: all), and with at least a score; labels without a score stay."""

    def is_good(entry: Entry) -> bool:
        score = entry.item.verified_score
        return score >= min_score if score is not None else entry.state != DROPPED or not min_score

    return [
        entry
        for entry in entries
        if (not categories or entry.item.category in categories)
        and (not states or entry.state in states)
        and is_good(entry)
    ]


def open_picture(workspace: Workspace, folder: Path, record: SceneRecord) -> Image.Image:
    """The picture of a scene. Raises BoxpaintError when it lies outside of the workspace or cannot be read."""
    return open_rgb(workspace.inside(folder, "images", record.file_name))


def draw_scene(
    picture: Image.Image, record: SceneRecord, categories: Sequence[str], *, boxes: bool = True, masks: bool = False
) -> Image.Image:
    """Draw the labels of a scene: boxes with the number of each object, masks filled in the colour of the class; dashed
    those of real objects, which have no number.
    """
    colours = category_colours(categories)
    items = [item for item in record.objects if item.painted_box is not None and item.category in colours]
    if masks:
        pixels = np.array(picture)
        for item in items:
            if item.mask is not None and (mask := decode_mask(item.mask)).shape == pixels.shape[:2]:
                colour = np.array([int(colours[item.category][at : at + 2], 16) for at in (1, 3, 5)])
                pixels[mask] = np.rint((1 - _MASK_SHARE) * pixels[mask] + _MASK_SHARE * colour).astype(np.uint8)
        picture = Image.fromarray(pixels)
    if not boxes:
        return picture
    drawn = [(item, boxes_of(item, picture.size)["label"]) for item in items]
    shown = draw_boxes(draw_real(picture, record, colours), [(item.category, box) for item, box in drawn], colours)
    size = max(12, picture.height // _NUMBERS_IN_HEIGHT)
    pen, font = ImageDraw.Draw(shown), ImageFont.load_default(size)
    for item, box in drawn:
        place = box.x_min + 3, max(0, box.y_min - 1.1 * size)
        pen.text(place, str(item.object_index), colours[item.category], font, stroke_width=2, stroke_fill="#000000")
    return shown


def boxes_of(item: ObjectRecord, size_wh: tuple[int, int]) -> dict[str, Box]:
    """The boxes of an object by their names in BOX_COLOURS, those that there are."""
    label = item.label_xyxy(size_wh)
    boxes = {
        "requested": item.requested_box,
        "label": tuple(round(edge) for edge in label) if label is not None else None,
        "painted": item.painted_box,
        "verified": item.verified_box,
    }
    return {name: Box.from_xyxy(*box) for name, box in boxes.items() if box is not None}


def close_up(picture: Image.Image, item: ObjectRecord, *, boxes: bool) -> Image.Image:
    """An object with what is around it, enlarged; with its boxes or, of the picture before it was painted, without."""
    found = boxes_of(item, picture.size)
    edges = np.array([box.xyxy for box in found.values()])
    low, high = edges[:, :2].min(axis=0), edges[:, 2:].max(axis=0)
    half = (high - low).max() * (0.5 + _SURROUNDINGS)
    centre = (low + high) / 2
    x_min, y_min = (max(0, round(value)) for value in centre - half)
    x_max, y_max = (min(side, round(value)) for side, value in zip(picture.size, centre + half, strict=True))
    scale = _CLOSE_UP_PX / max(1, x_max - x_min, y_max - y_min)
    size = max(1, round((x_max - x_min) * scale)), max(1, round((y_max - y_min) * scale))
    shown = picture.crop((x_min, y_min, x_max, y_max)).resize(size, Image.Resampling.BICUBIC)
    if not boxes:
        return shown
    moved: list[tuple[str, Box]] = []
    for number, (name, box) in enumerate(found.items()):
        large = Box.from_xyxy(*(round(edge * scale) for edge in box.shifted(-x_min, -y_min).xyxy))
        inset = _INSET_PX * list(found.values())[:number].count(box)
        inset = max(0, min(inset, large.width // 2 - 1, large.height // 2 - 1))
        moved.append((name, Box.from_xyxy(*np.add(large.xyxy, (inset, inset, -inset, -inset)).tolist())))
    return draw_boxes(shown, moved, BOX_COLOURS)


def verdict_rows(item: ObjectRecord) -> list[dict[str, object]]:
    """A row for each check of each attempt: why an object was kept, painted again or dropped."""
    taken = accepted_attempt(item)
    return [
        {
            "attempt": attempt.number + 1,
            "taken": attempt.number == taken,
            "check": verdict.check,
            "passed": verdict.passed,
            "score": verdict.score,
            "reason": verdict.reason,
            "seed": str(attempt.seed),
        }
        for attempt in item.attempts
        for verdict in attempt.verdicts
    ]
