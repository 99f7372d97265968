"""Is a COCO data set sound? Ours or anybody's: every fault with its file, its id and what would be right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from generator.dataset.record import read_record
from generator.foundation.coco import (
    CocoFile,
    find_annotation_files,
    folder_of,
    is_box,
    locate_picture,
    missing_picture,
    read_coco,
    shortened,
)
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.storage import sha256_of
from generator.labels.segmentation import decode_segmentation, distance_from_mask

# `area` is the mask's; tools count polygons differently by a rim of pixels.
AREA_TOLERANCE_SHARE, AREA_TOLERANCE_PX = 0.1, 16.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationReport:
    """What was looked at, and what is wrong with it."""

    annotation_files: tuple[Path, ...]
    num_images: int
    labels_per_category: dict[str, int]
    faults: tuple[Fault, ...]


def validate_dataset(path: str | Path) -> ValidationReport:
    """Check a folder (with annotations/*.json, or *.json in it) or one COCO file.

    Raises DatasetError only when there is nothing to check; faults of the data set are in the report.
    """
    path = Path(path)
    files = find_annotation_files(path)
    faults: list[Fault] = []
    images, labels = 0, Counter[str]()
    listed: dict[str, str] = {}
    for file in files:
        try:
            content = read_coco(file)
        except DatasetError as error:
            faults += error.faults
            continue
        for item in content.images:
            other = listed.setdefault(item["file_name"], content.name)
            if other != content.name:
                what = f"image {item['id']}"
                faults.append(_fault(content.name, what, "is listed in two files", other, item["file_name"]))
        faults += _image_faults(file, content.images)
        faults += _annotation_faults(content)
        images += len(content.images)
        names = {category["id"]: category["name"] for category in content.categories}
        labels.update(names.get(item["category_id"], "?") for item in content.annotations)
    root = folder_of(path)
    if (root / "run.json").exists():
        faults += _run_faults(root, set(listed))
    return ValidationReport(
        annotation_files=tuple(files),
        num_images=images,
        labels_per_category=dict(labels),
        faults=tuple(shortened(faults)),
    )


def _fault(file: str, what: str, expected: str, *found: object) -> Fault:
    return Fault(file=file, column=what, found=", ".join(map(str, found)) if found else None, expected=expected)


def _image_faults(file: Path, images: Sequence[dict[str, Any]]) -> Iterator[Fault]:
    for item in images:
        path = locate_picture(file, item["file_name"])
        if path is None:
            yield missing_picture(file, item)
            continue
        shown, what = str(file), f"image {item['id']}"
        try:
            with Image.open(path) as picture:
                picture.load()
                size = picture.size
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            yield _fault(shown, what, f"the picture cannot be read: {error}", item["file_name"])
            continue
        if size != (item["width"], item["height"]):
            yield _fault(shown, what, f"the picture is {size[0]} x {size[1]} px", f"{item['width']} x {item['height']}")


def _annotation_faults(content: CocoFile) -> Iterator[Fault]:
    sizes = {item["id"]: (item["width"], item["height"]) for item in content.images}
    file = content.name
    for item, image_id, category_id in content.joined()[0]:
        what = f"annotation {item['id']}"
        if category_id is None:
            yield _fault(file, what, "no category has this id", item["category_id"])
        if image_id is None:
            yield _fault(file, what, "no image has this id", item["image_id"])
            continue
        width, height = sizes[image_id]
        x, y, box_w, box_h = item["bbox"]
        if box_w <= 0 or box_h <= 0:
            yield _fault(file, what, "the box has no area, which makes training losses NaN", item["bbox"])
            continue
        if x < -0.5 or y < -0.5 or x + box_w > width + 0.5 or y + box_h > height + 0.5:
            yield _fault(file, what, f"the box leaves its picture of {width} x {height} px", item["bbox"])
        if item["iscrowd"] not in (0, 1):
            yield _fault(file, what, "iscrowd is 0 or 1", item["iscrowd"])
        if item.get("segmentation"):
            yield from _mask_faults(file, what, item, (int(height), int(width)))


def _mask_faults(file: str, what: str, item: dict[str, Any], size_hw: tuple[int, int]) -> Iterator[Fault]:
    try:
        mask = decode_segmentation(item["segmentation"], size_hw)
    except ValueError as error:
        yield _fault(file, what, f"the segmentation is neither polygons nor a run-length encoding: {error}")
        return
    if mask.shape != size_hw:
        yield _fault(
            file, what, f"the mask is {mask.shape[1]} x {mask.shape[0]} px, its picture {size_hw[1]} x {size_hw[0]}"
        )
        return
    if not mask.any():
        yield _fault(file, what, "the mask is empty")
        return
    # People's boxes, and ours where they follow people's, are larger than the mask: then this one says where it is.
    tight = item["tight_bbox"] if is_box(item.get("tight_bbox")) else item["bbox"]
    off = distance_from_mask(tight, mask)
    if off > 0:
        yield _fault(file, what, f"the box is up to {off:.0f} px off its mask", tight)
    elif not _holds_middle(item["bbox"], tight):
        yield _fault(file, what, "the box does not hold the middle of what was painted", item["bbox"], tight)
    area = float(mask.sum())
    if abs(area - item["area"]) > AREA_TOLERANCE_PX + AREA_TOLERANCE_SHARE * area:
        yield _fault(file, what, f"the mask covers {area:.0f} px", f"area {item['area']}")


def _holds_middle(box: list[float], of: list[float]) -> bool:
    x, y = of[0] + of[2] / 2, of[1] + of[3] / 2
    return box[0] <= x <= box[0] + box[2] and box[1] <= y <= box[1] + box[3]


def _run_faults(root: Path, listed: set[str]) -> Iterator[Fault]:
    """What only a data set of ours can show: every record has its picture, unchanged, and is annotated."""
    for path in sorted((root / "records").glob("*.json")):
        try:
            record = read_record(path)
        except DatasetError as error:
            yield from error.faults
            continue
        image = root / "images" / record.file_name
        if not image.is_file():
            yield _fault(str(path), "file_name", "the picture of this record is missing", record.file_name)
        elif sha256_of(image) != record.sha256:
            yield _fault(str(path), "sha256", "the picture is not the one that was painted", record.file_name)
        if record.file_name not in listed:
            yield _fault(
                str(path), "file_name", "is finished but not annotated; run `boxpaint generate` again", record.file_name
            )
