"""COCO in the layout of `boxpaint generate`: images/, annotations/instances_<split>.json; ids and all fields stay.

https://cocodataset.org/#format-data
"""

from __future__ import annotations

from typing import Any

from detection.exporters.types import PictureSet
from detection.exporters.work import Work
from generator.foundation.storage import make_folder, write_json

OPENING = """
from pycocotools.coco import COCO
coco = COCO("annotations/instances_{split}.json")
"""


def write(data: PictureSet, work: Work) -> None:
    """Lay the pictures, and write a file for each split. Raises StorageError."""
    categories = [{**item.content, "id": item.id, "name": item.name} for item in data.categories]
    annotations = make_folder(work.folder / "annotations")
    for split, pictures in data.splits().items():
        images: list[dict[str, Any]] = []
        labels: list[dict[str, Any]] = []
        for picture in work.walk(pictures):
            work.lay(picture, f"images/{picture.name}")
            source = {"source": picture.source} if picture.source is not None else {}
            images.append({**picture.content, "id": picture.id, "file_name": picture.name, **source})
            labels += [
                {**item.content, "id": item.id, "image_id": picture.id, "category_id": item.category.id}
                for item in picture.annotations
            ]
        content = {**data.heads[split], "images": images, "annotations": labels, "categories": categories}
        write_json(annotations / f"instances_{split}.json", content, indent=None)
