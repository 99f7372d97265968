"""A DetectionDataset -> COCO files of the layout that `boxpaint generate` writes: images/ and annotations/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from detection.datasets.types import DetectionDataset
from generator.foundation.coco import NOT_EXHAUSTIVE, coco_writer
from generator.labels.segmentation import decode_segmentation


def write_coco(splits: Mapping[str, DetectionDataset], folder: Path, *, description: str) -> list[Path]:
    """Write annotations/instances_<split>.json for each split; returns the paths. Raises StorageError.

    Pictures must lie in folder/images already; ids count from 1 through all splits, so that they merge by
    concatenation.
    """
    head = {"info": {"description": description, "version": "1"}, "licenses": []}
    image_ids, annotation_ids = count(1), count(1)
    paths = []
    for split, data in splits.items():
        categories = [
            {"id": number, "name": name, "supercategory": name} for number, name in enumerate(data.categories, start=1)
        ]
        with coco_writer(folder, split, head=head, categories=categories) as file:
            for sample in data.samples:
                image_id, size_wh = next(image_ids), (sample.width, sample.height)
                image = {
                    "id": image_id,
                    "file_name": sample.path.relative_to(folder / "images").as_posix(),
                    "width": sample.width,
                    "height": sample.height,
                    **({NOT_EXHAUSTIVE: sorted(sample.not_exhaustive)} if sample.not_exhaustive else {}),
                }
                file.add_image(image)
                labels = zip(sample.boxes_xyxy.tolist(), sample.labels.tolist(), sample.segmentations, strict=True)
                for box, label, segmentation in labels:
                    file.add_annotation(annotation(next(annotation_ids), image_id, label, box, segmentation, size_wh))
        paths.append(file.path)
    return paths


def annotation(
    number: int, image_id: int, category_id: int, box_xyxy: Sequence[float], segmentation: Any, size_wh: tuple[int, int]
) -> dict[str, Any]:
    """Make one COCO annotation; its area is the mask's, without a mask the box's.

    Raises ValueError when the segmentation is neither polygons nor a run-length encoding.
    """
    x_min, y_min, x_max, y_max = (round(float(value), 3) for value in box_xyxy)
    width, height = round(x_max - x_min, 3), round(y_max - y_min, 3)
    area = float(decode_segmentation(segmentation, size_wh[::-1]).sum()) if segmentation else round(width * height, 3)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [x_min, y_min, width, height],
        "area": area,
        "segmentation": segmentation or [],
        "iscrowd": 0,
    }
