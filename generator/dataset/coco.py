"""COCO instances: https://cocodataset.org/#format-data

Image, annotation and category ids start at 1 (an annotation with id 0 counts as a miss in pycocotools) and come
from the plan, so that parts of a data set merge by concatenation.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from scipy.ndimage import binary_fill_holes

from generator.dataset.record import ObjectRecord, SceneRecord, decode_mask
from generator.foundation.geometry import Box, box_of_mask
from generator.foundation.storage import atomic_writer, make_folder
from generator.foundation.version import __version__
from generator.plan import Plan

SPLITS = ("train", "val")
# Contours are traced on a mask blown up this many times, so that they run along the edges of pixels, not through
# centres.
_TRACE_SCALE = 4
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def export_coco(records: Iterable[SceneRecord], plan: Plan, folder: Path) -> list[Path]:
    """Write annotations/instances_train.json and instances_val.json; returns the paths. Raises StorageError.

    Records are taken one at a time, so that memory does not grow with their number.
    """
    category_ids = {name: number for number, name in enumerate(plan.spec.categories, start=1)}
    annotations = make_folder(folder / "annotations")
    paths = {split: annotations / f"instances_{split}.json" for split in SPLITS}
    with contextlib.ExitStack() as stack:
        files = {split: stack.enter_context(_coco_file(path, plan, split)) for split, path in paths.items()}
        for record in records:
            file = files[record.split]
            file.images.add(
                {
                    "id": record.index + 1,
                    "file_name": record.file_name,
                    "width": record.width,
                    "height": record.height,
                    "license": 1,
                }
            )
            for item in record.objects:
                if item.painted_box is not None:
                    file.annotations.add(_annotation(item, record, plan, category_ids))
    return list(paths.values())


class _JsonList:
    """Items of a JSON list, written one after the other, with what `json.dumps` puts between them."""

    def __init__(self, stream: BinaryIO):
        self._stream = stream
        self._separator = b""

    def add(self, item: dict[str, Any]) -> None:
        self._stream.write(self._separator + _ENCODER.encode(item).encode())
        self._separator = b", "


@dataclass(frozen=True, slots=True, kw_only=True)
class _CocoFile:
    """The two long lists of one file."""

    images: _JsonList
    annotations: _JsonList


@contextlib.contextmanager
def _coco_file(path: Path, plan: Plan, split: str) -> Iterator[_CocoFile]:
    """Write one file, whole or not at all; annotations wait beside it until all images are there."""
    head = _ENCODER.encode(_head(plan, split)).removesuffix("}")
    with atomic_writer(path) as stream, tempfile.TemporaryFile(dir=path.parent) as waiting:
        stream.write(f'{head}, "images": ['.encode())
        yield _CocoFile(images=_JsonList(stream), annotations=_JsonList(waiting))
        stream.write(b'], "annotations": [')
        waiting.seek(0)
        shutil.copyfileobj(waiting, stream)
        stream.write(f'], "categories": {_ENCODER.encode(_categories(plan))}}}\n'.encode())


def mask_to_polygons(mask: np.ndarray) -> list[list[float]]:
    """Trace a mask (HW bool) along the edges of its pixels: one [x1, y1, x2, y2, ...] for each connected part.

    Holes are lost, as COCO's polygons have none. pycocotools draws the polygons back to the very same mask.
    """
    rows, columns = _window(mask)
    return _trace(mask[rows, columns], (columns.start, rows.start))


def _trace(mask: np.ndarray, offset_xy: tuple[int, int]) -> list[list[float]]:
    large = mask.astype(np.uint8).repeat(_TRACE_SCALE, axis=0).repeat(_TRACE_SCALE, axis=1)
    contours, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    polygons = []
    for contour in contours:
        corners = np.rint(contour[:, 0, :] / _TRACE_SCALE).astype(int)
        kept = _without_straight_points(corners) + np.array(offset_xy)
        if len(kept) >= 3:
            polygons.append([float(value) for value in kept.reshape(-1)])
    return polygons


def _window(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns around what is set in a mask (HW bool): tracing the whole canvas takes thirty times as long.

    From even pixels on, so that halves are rounded as they are on the canvas.
    """
    box = box_of_mask(mask)
    if box is None:
        return slice(0, 1), slice(0, 1)
    return _padded(box.y_min, box.y_max), _padded(box.x_min, box.x_max)


def _padded(low: int, high: int) -> slice:
    return slice(max(0, low // 2 * 2 - 2), high + 2)


def _without_straight_points(points: np.ndarray) -> np.ndarray:
    """Drop repeated points and those on a straight line between their neighbours."""
    points = points[np.any(points != np.roll(points, 1, axis=0), axis=1)]
    if len(points) < 3:
        return points
    arriving, leaving = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turns = arriving[:, 0] * leaving[:, 1] - arriving[:, 1] * leaving[:, 0]
    return points[turns != 0]


def _annotation(item: ObjectRecord, record: SceneRecord, plan: Plan, category_ids: dict[str, int]) -> dict[str, Any]:
    box = item.label_xyxy((record.width, record.height))
    if box is None or item.painted_box is None or item.mask is None:
        raise ValueError("a dropped object has no annotation")
    left, top, right, bottom = box
    tight = list(Box.from_xyxy(*item.painted_box).xywh)
    mask = decode_mask(item.mask)
    rows, columns = _window(mask)
    mask = mask[rows, columns]
    segmentation: Any
    if plan.config.output.segmentation == "rle":
        segmentation = {"size": list(item.mask.size), "counts": item.mask.counts}
    else:
        mask = binary_fill_holes(mask)  # what a smaller object covers in the middle; polygons cannot say it
        segmentation = _trace(mask, (columns.start, rows.start))
    return {
        "id": record.index * plan.max_objects + item.object_index + 1,
        "image_id": record.index + 1,
        "category_id": category_ids[item.category],
        "bbox": tight if item.label_scale == 1 else [left, top, round(right - left, 2), round(bottom - top, 2)],
        "area": int(mask.sum()),
        "segmentation": segmentation,
        "iscrowd": 0,
        "tight_bbox": tight,
        "requested_bbox": list(Box.from_xyxy(*item.requested_box).xywh),
        "visible_share": item.visible_share,
        **({"verified_score": item.verified_score} if item.verified_score is not None else {}),
        **({"verified_bbox": list(Box.from_xyxy(*item.verified_box).xywh)} if item.verified_box is not None else {}),
    }


def _head(plan: Plan, split: str) -> dict[str, Any]:
    card = plan.config.card
    return {
        "info": {
            "description": f"Synthetic detection data set, {split} split, painted by boxpaint",
            "version": "1",
            "contributor": f"boxpaint {__version__}",
            "bundle": plan.config.bundle,
            "spec": plan.spec.digest,
            "seed": plan.config.seed,
        },
        "licenses": [{"id": 1, "name": f"Model output; model: {card.licence}", "url": ""}],
    }


def _categories(plan: Plan) -> list[dict[str, Any]]:
    return [
        {"id": number, "name": name, "supercategory": supercategory or name}
        for number, (name, supercategory) in enumerate(plan.spec.categories.items(), start=1)
    ]
