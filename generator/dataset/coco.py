"""Records of a run -> COCO files.

Image, annotation and category ids come from the plan, so that parts of a data set merge by concatenation.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scipy.ndimage import binary_fill_holes

from generator.dataset.record import ObjectRecord, RealObjectRecord, RleRecord, SceneRecord, decode_mask
from generator.foundation.coco import NOT_EXHAUSTIVE, coco_writer
from generator.foundation.geometry import Box
from generator.foundation.version import __version__
from generator.labels.segmentation import mask_to_polygons, window_of
from generator.plan import Plan

SPLITS = ("train", "val")


def export_coco(records: Iterable[SceneRecord], plan: Plan, folder: Path) -> list[Path]:
    """Write annotations/instances_train.json and instances_val.json; returns the paths. Raises StorageError.

    Records are taken one at a time, so that memory does not grow with their number.
    """
    category_ids = {name: number for number, name in enumerate(plan.spec.categories, start=1)}
    with contextlib.ExitStack() as stack:
        files = {
            split: stack.enter_context(
                coco_writer(folder, split, head=_head(plan, split), categories=_categories(plan))
            )
            for split in SPLITS
        }
        for record in records:
            file = files[record.split]
            file.add_image(
                {
                    "id": record.index + 1,
                    "file_name": record.file_name,
                    "width": record.width,
                    "height": record.height,
                    "license": 1 if record.photo is None else 2,
                    **_of_photo(record, category_ids),
                }
            )
            for item in record.objects:
                if item.painted_box is not None:
                    file.add_annotation(_annotation(item, record, plan, category_ids))
            for real in record.real_objects:
                file.add_annotation(_real_annotation(real, record, plan, category_ids))
        return [file.path for file in files.values()]


def _of_photo(record: SceneRecord, category_ids: dict[str, int]) -> dict[str, Any]:
    """What an image says of the photo that was painted into."""
    if record.photo is None:
        return {}
    photo = record.photo
    lacking = sorted(category_ids[name] for name in photo.not_exhaustive if name in category_ids)
    crop = list(Box.from_xyxy(*photo.crop).xywh)
    return {
        "photo": {"file_name": photo.name, "sha256": photo.sha256, "crop": crop, "flip": photo.flip},
        **({NOT_EXHAUSTIVE: lacking} if lacking else {}),
    }


def _real_annotation(
    item: RealObjectRecord, record: SceneRecord, plan: Plan, category_ids: dict[str, int]
) -> dict[str, Any]:
    left, top, right, bottom = item.label_box
    width, height = round(right - left, 2), round(bottom - top, 2)
    segmentation, area = ([], round(width * height, 2)) if item.mask is None else _outline(item.mask, plan)
    return {
        "id": record.index * plan.max_labels + plan.max_objects + item.number + 1,
        "image_id": record.index + 1,
        "category_id": category_ids[item.category],
        "bbox": [left, top, width, height],
        "area": area,
        "segmentation": segmentation,
        "iscrowd": 0,
        "source": "real",
        "visible_share": item.visible_share,
    }


def _outline(encoded: RleRecord, plan: Plan) -> tuple[Any, int]:
    """A mask as the config wants it, and how many pixels it covers then."""
    mask = decode_mask(encoded)
    if plan.config.output.segmentation == "rle":
        return {"size": list(encoded.size), "counts": encoded.counts}, int(mask.sum())
    window = window_of(mask)
    mask[window] = binary_fill_holes(mask[window])  # what a smaller object covers in the middle; polygons cannot say it
    return mask_to_polygons(mask), int(mask.sum())


def _annotation(item: ObjectRecord, record: SceneRecord, plan: Plan, category_ids: dict[str, int]) -> dict[str, Any]:
    box = item.label_xyxy((record.width, record.height))
    if box is None or item.painted_box is None or item.mask is None:
        raise ValueError("a dropped object has no annotation")
    left, top, right, bottom = box
    tight = list(Box.from_xyxy(*item.painted_box).xywh)
    segmentation, area = _outline(item.mask, plan)
    return {
        "id": record.index * plan.max_labels + item.object_index + 1,
        "image_id": record.index + 1,
        "category_id": category_ids[item.category],
        "bbox": tight if item.label_scale == 1 else [left, top, round(right - left, 2), round(bottom - top, 2)],
        "area": area,
        "segmentation": segmentation,
        "iscrowd": 0,
        **({"source": "painted"} if record.photo is not None else {}),
        "tight_bbox": tight,
        "requested_bbox": list(Box.from_xyxy(*item.requested_box).xywh),
        "visible_share": item.visible_share,
        **({"verified_score": item.verified_score} if item.verified_score is not None else {}),
        **({"verified_bbox": list(Box.from_xyxy(*item.verified_box).xywh)} if item.verified_box is not None else {}),
    }


def _head(plan: Plan, split: str) -> dict[str, Any]:
    card = plan.config.card
    licences = [{"id": 1, "name": f"Model output; model: {card.licence}", "url": ""}]
    if any(row.photos for row in plan.spec.backgrounds):
        name = f"Part of a photo, under that one's licence, with model output; model: {card.licence}"
        licences.append({"id": 2, "name": name, "url": ""})
    return {
        "info": {
            "description": f"Synthetic detection data set, {split} split, painted by boxpaint",
            "version": "1",
            "contributor": f"boxpaint {__version__}",
            "bundle": card.name,
            "spec": plan.spec.digest,
            "seed": plan.config.seed,
        },
        "licenses": licences,
    }


def _categories(plan: Plan) -> list[dict[str, Any]]:
    return [
        {"id": number, "name": name, "supercategory": supercategory or name}
        for number, (name, supercategory) in enumerate(plan.spec.categories.items(), start=1)
    ]
