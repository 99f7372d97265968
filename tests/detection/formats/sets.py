"""A small data set in COCO form with what makes exports go wrong: odd names, every kind of mask, none, crowds."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detection.datasets.picture_set import Annotation, Category
from generator.foundation.storage import write_json
from tests.detection.formats.sources import SIZE, draw, encode, write

NAMES = ("house cat", "weißer Hund")
# Two squares; 10 x 10 px from (4, 5) without its middle, as run lengths down the columns of 40 x 30 px.
PARTS = [[20.0, 2.0, 24.0, 2.0, 24.0, 6.0, 20.0, 6.0], [30.0, 2.0, 34.0, 2.0, 34.0, 6.0, 30.0, 6.0]]
SQUARE = [[4.0, 5.0, 14.0, 5.0, 14.0, 15.0, 4.0, 15.0]]
RUNS = {"size": [30, 40], "counts": [4 * 30 + 5, 10, *[20, 10] * 9, 30 * 26 + 15]}


def label(number: int, image: int, category: int, bbox: list[float], **more: Any) -> dict[str, Any]:
    area = more.pop("area", bbox[2] * bbox[3])
    item = {"id": number, "image_id": image, "category_id": category, "bbox": bbox, "area": area, "iscrowd": 0}
    return {**item, "segmentation": [], **more}


def annotation(category: Category, box_xywh: tuple[float, ...] = (0, 0, 1, 1), segmentation: Any = None) -> Annotation:
    """A label in memory."""
    fixed: dict[str, Any] = {"id": 1, "area": 1, "is_crowd": False, "score": None, "content": {}}
    return Annotation(category=category, box_xywh=box_xywh, segmentation=segmentation, **fixed)


TRAIN = (
    {"id": 3, "file_name": "a b.png", "width": 40, "height": 30, "license": 1, "flash": True},
    {"id": 7, "file_name": "x.y.jpg", "width": 40, "height": 30},
    {"id": 8, "file_name": "empty.png", "width": 40, "height": 30},
)
VAL = ({"id": 9, "file_name": "ä.png", "width": 40, "height": 30},)
TRAIN_LABELS = (
    label(11, 3, 1, [20, 2, 14, 4], segmentation=PARTS, area=32, verified_score=0.9, tight_bbox=[20, 2, 14, 4]),
    label(12, 3, 5, [4, 5, 10, 10], segmentation=RUNS, area=100, verified_score=0.2),
    label(13, 7, 5, [0, 0.25, 12.5, 29.75]),
    label(14, 7, 1, [0, 0, 40, 30], iscrowd=1, segmentation={"size": [30, 40], "counts": [0, 1200]}),
)
VAL_LABELS = (label(21, 9, 1, [4, 5, 10, 10], segmentation=SQUARE, verified_score=0.5),)


def write_set(folder: Path) -> Path:
    """Write it below `folder`: four pictures, four objects and a crowd; category ids 1 and 5."""
    for number, item in enumerate((*TRAIN, *VAL)):
        kind = "JPEG" if item["file_name"].endswith(".jpg") else "PNG"
        write(folder / "images" / item["file_name"], encode(draw(number), kind))
    categories = [
        {"id": number, "name": name, "supercategory": "pet"} for number, name in zip((1, 5), NAMES, strict=True)
    ]
    licences = [{"id": 1, "name": "CC0", "url": ""}]
    (folder / "annotations").mkdir()
    for split, images, labels in (("train", TRAIN, TRAIN_LABELS), ("val", VAL, VAL_LABELS)):
        content = {"info": {"year": 2026}, "licenses": licences, "images": images, "annotations": labels}
        write_json(folder / "annotations" / f"instances_{split}.json", {**content, "categories": categories})
    return folder


@contextlib.contextmanager
def edited(folder: Path, split: str) -> Iterator[dict[str, Any]]:
    """Change the annotation file of a split."""
    path = folder / "annotations" / f"instances_{split}.json"
    content = json.loads(path.read_bytes())
    yield content
    write_json(path, content)


def without_masks(folder: Path) -> Path:
    """Take the masks out of a data set."""
    for split in ("train", "val"):
        with edited(folder, split) as content:
            for item in content["annotations"]:
                item.update(segmentation=[], iscrowd=0)
    return folder


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


assert SIZE == (40, 30)
