"""A DetectionDataset -> COCO files of the layout that `boxpaint generate` writes: images/ and annotations/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detection.datasets.types import NOT_EXHAUSTIVE, DetectionDataset
from generator.foundation.storage import make_folder, write_json
from generator.labels.segmentation import decode_segmentation


def write_coco(splits: Mapping[str, DetectionDataset], folder: Path, *, description: str) -> list[Path]:
    """Write annotations/instances_<split>.json for each split; returns the paths. Raises StorageError.

    Pictures must lie in folder/images already; ids count from 1 through all splits, so that they merge by
    concatenation.
    """
    paths = []
    image_id = annotation_id = 0
    for split, data in splits.items():
        content: dict[str, Any] = {
            "info": {"description": description, "version": "1"},
            "licenses": [],
            "images": [],
            "annotations": [],
            "categories": [
                {"id": number, "name": name, "supercategory": name}
                for number, name in enumerate(data.categories, start=1)
            ],
        }
        for sample in data.samples:
            image_id += 1
            content["images"].append(
                {
                    "id": image_id,
                    "file_name": sample.path.relative_to(folder / "images").as_posix(),
                    "width": sample.width,
                    "height": sample.height,
                    **({NOT_EXHAUSTIVE: sorted(sample.not_exhaustive)} if sample.not_exhaustive else {}),
                }
            )
            for box, label, segmentation in zip(sample.boxes_xyxy, sample.labels, sample.segmentations, strict=True):
                annotation_id += 1
                content["annotations"].append(
                    annotation(
                        annotation_id, image_id, int(label), box.tolist(), segmentation, (sample.width, sample.height)
                    )
                )
        paths.append(make_folder(folder / "annotations") / f"instances_{split}.json")
        write_json(paths[-1], content, indent=None)
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
