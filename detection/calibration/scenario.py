"""background.csv and classes.csv from a real data set: what is in it, how often, how large, and where."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detection.datasets.boxes import is_whole
from detection.datasets.read import read_detection_set
from detection.datasets.sources import Source
from detection.datasets.types import DetectionDataset
from generator.bundles import EMPTY_SCENE
from generator.foundation.coco import find_annotation_files
from generator.spec import ATTRIBUTE_COLUMNS, BACKGROUND_COLUMNS, CLASS_COLUMNS, MAX_APPEAR, MIN_SIDE_PX, SIZE_COLUMNS
from generator.spec.references import COCO_PREFIX, reference_fault

BACKGROUND_PICTURES = 100
# Of counts and sizes the middle eight tenths, of places nearly all: the tails of a few boxes say nothing.
_MIDDLE, _NEARLY_ALL = (0.1, 0.9), (0.02, 0.98)
# Objects lie in a band when so many of them take no more than this share of the height that they could.
_BAND_FROM, _MAX_BAND = 10, 0.7
# Sides of a canvas of this aspect are a multiple of this.
_CANVAS_STEP_PX, _MAX_ASPECT = 64, 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """A row of classes.csv (column -> text), and on how many boxes and pictures that show any it was measured.

    `cover`: which share of a picture its boxes take together, on average.
    """

    cells: Mapping[str, str]
    boxes: int
    pictures: int
    cover: float


def canvas_like(data: DetectionDataset, area_px: int) -> tuple[int, int]:
    """Width and height of a canvas of about this area whose shape is that of the pictures (median)."""
    aspects = [sample.width / sample.height for sample in data.samples]
    aspect = min(max(float(np.median(aspects)), 1 / _MAX_ASPECT), _MAX_ASPECT)
    sides = math.sqrt(area_px * aspect), math.sqrt(area_px / aspect)
    width, height = (max(1, round(side / _CANVAS_STEP_PX)) * _CANVAS_STEP_PX for side in sides)
    return width, height


def class_rows(
    source: Source, folder: Path, canvas_wh: tuple[int, int], *, with_references: bool = True
) -> list[ClassRow]:
    """Measure each category for a classes.csv in `folder`, in the order of the data set.

    A category of which no picture shows anything asks for none. Pictures that do not label a category say nothing of
    how many there are. Sizes are shares of the canvas and keep the shape of objects on one of another shape.
    `with_references`: the column names a category's crops, for a captioner to read.
    """
    rows = []
    for number, name in enumerate(source.data.categories, start=1):
        labelling = [sample for sample in source.data.samples if number not in sample.not_exhaustive]
        counts = [int((sample.labels == number).sum()) for sample in labelling]
        boxes = _boxes(source.data, number, canvas_wh)
        cells = {"prompt": prompt_of(name), "name": name.strip(), "min_appear": "0", "max_appear": "0"}
        if len(boxes):
            least, most = (round(float(value)) for value in np.quantile(counts or [1], _MIDDLE))
            cells["min_appear"], cells["max_appear"] = str(min(least, MAX_APPEAR)), str(min(max(most, 1), MAX_APPEAR))
            cells |= _sizes(boxes, canvas_wh) | _band(boxes)
            if (
                with_references
                and reference_fault("", 0, reference := _reference(source, name, folder), folder) is None
            ):
                cells["references"] = reference
        cover = float(np.mean(counts) * boxes[:, :2].prod(axis=1).mean()) if counts and len(boxes) else 0.0
        pictures = sum(count > 0 for count in counts)
        rows.append(ClassRow(cells=cells, boxes=len(boxes), pictures=pictures, cover=cover))
    return rows


def tables(
    rows: list[ClassRow],
    *,
    scene: str = EMPTY_SCENE,
    num_imgs: int = BACKGROUND_PICTURES,
    words: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
) -> dict[str, str]:
    """Write background.csv, classes.csv and, where `words` hold any, attributes.csv: name of the file -> text.

    `scene` is the prompt of a scene without objects; `words` are those that a painter knows of a class, by attribute.
    """
    backgrounds = [{"prompt": scene, "num_imgs": str(num_imgs)}]
    attributes = [
        {"attribute": attribute, "text": text, "applies_to": name}
        for name, known in (words or {}).items()
        for attribute, texts in known.items()
        for text in texts
    ]
    files = {
        "background.csv": _csv(backgrounds, list(BACKGROUND_COLUMNS)),
        "classes.csv": _csv([row.cells for row in rows], list(CLASS_COLUMNS)),
    }
    return {**files, **({"attributes.csv": _csv(attributes, list(ATTRIBUTE_COLUMNS))} if attributes else {})}


def _csv(rows: list[Mapping[str, str]] | list[dict[str, str]], columns: list[str]) -> str:
    used = [column for column in columns if any(row.get(column) for row in rows)]
    text = io.StringIO()
    writer = csv.DictWriter(text, used, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def prompt_of(name: str) -> str:
    """Say the name as a prompt would; other languages have other articles."""
    words = " ".join(name.replace("_", " ").split())
    if not any(letter.isalpha() for letter in words):
        return f"object {words}".strip()
    if not words.isascii():
        return words
    return f"{'an' if words[0].lower() in 'aeiou' else 'a'} {words}"


def _boxes(data: DetectionDataset, label: int, canvas_wh: tuple[int, int]) -> np.ndarray:
    """Boxes (N, 3) of a category: width and height as shares of the canvas, centre y as a share of the picture.

    Those that an edge of their picture cuts are left out where there are others.
    """
    found: list[tuple[float, float, float]] = []
    cut: list[tuple[float, float, float]] = []
    canvas_side = math.sqrt(canvas_wh[0] * canvas_wh[1])
    for sample in data.samples:
        side = math.sqrt(sample.width * sample.height)
        for box in sample.boxes_xyxy[sample.labels == label]:
            width, height = ((box[2:] - box[:2]) / side * canvas_side / np.array(canvas_wh)).tolist()
            row = width, height, float(box[1] + box[3]) / 2 / sample.height
            (found if is_whole(sample, box) else cut).append(row)
    return np.array(found or cut).reshape(-1, 3)


def _sizes(boxes: np.ndarray, canvas_wh: tuple[int, int]) -> dict[str, str]:
    lows, highs = np.quantile(boxes[:, :2], _MIDDLE, axis=0)
    # Rounded to a tenth of a per cent, what is smallest must still be painted.
    least = np.ceil(1000 * (MIN_SIDE_PX + 0.5) / np.array(canvas_wh)) / 1000
    shares = np.concatenate([lows, highs]).clip(np.tile(least, 2), 1.0)
    return {column: f"{share:.1%}" for column, share in zip(SIZE_COLUMNS, shares.tolist(), strict=True)}


def _band(boxes: np.ndarray) -> dict[str, str]:
    low, high = np.quantile(boxes[:, 2], _NEARLY_ALL).tolist()
    room = 1 - float(np.median(boxes[:, 1]))
    if len(boxes) < _BAND_FROM or high - low > _MAX_BAND * room:
        return {}
    return {"y_min": f"{math.floor(100 * low) / 100:.2f}", "y_max": f"{math.ceil(100 * high) / 100:.2f}"}


def _reference(source: Source, name: str, folder: Path) -> str:
    """Name the crops of a category: of the first file that was measured and has any."""
    files = find_annotation_files(source.path)
    for split in source.splits:
        if read_detection_set(source.path, split=split).counts().get(name):
            files = [file for file in files if file.stem in (f"instances_{split}", split)]
            break
    # Both as they are on disk: a link in either would lead elsewhere.
    place = os.path.relpath(files[0].resolve(), folder.resolve())
    return f"{COCO_PREFIX}{Path(place).as_posix()}#{name}"
