"""Is a COCO data set sound? Ours or anybody's: every fault with its file, its id and what would be right."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from generator.dataset.record import read_record
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.folder_kinds import IMPORTED, PAINTED, add_kind, kind_of
from generator.foundation.storage import sha256_of
from generator.labels.segmentation import decode_segmentation, distance_from_mask
from generator.spec import MAX_NAME

_REQUIRED = {
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("id", "image_id", "category_id", "bbox", "area", "iscrowd"),
    "categories": ("id", "name"),
}
# `area` is the mask's; tools count polygons differently by a rim of pixels.
AREA_TOLERANCE_SHARE, AREA_TOLERANCE_PX = 0.1, 16.0
MAX_FAULTS_OF_A_KIND = 20


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
    root = path if path.is_dir() else path.parent
    root = root.parent if root.name == "annotations" else root
    faults: list[Fault] = []
    images, labels = 0, Counter[str]()
    listed: dict[str, str] = {}
    for file in files:
        try:
            content = read_annotations(file)
        except DatasetError as error:
            faults += error.faults
            continue
        shown = str(file)
        names = {category["id"]: str(category["name"]) for category in content["categories"]}
        for item in content["images"]:
            other = listed.setdefault(item["file_name"], shown)
            if other != shown:
                faults.append(_fault(shown, f"image {item['id']}", "is listed in two files", other, item["file_name"]))
        faults += _image_faults(shown, content, root)
        faults += _annotation_faults(shown, content)
        images += len(content["images"])
        labels.update(names.get(item["category_id"], "?") for item in content["annotations"])
    if (root / "run.json").exists():
        faults += _run_faults(root, set(listed))
    return ValidationReport(
        annotation_files=tuple(files),
        num_images=images,
        labels_per_category=dict(labels),
        faults=tuple(_shortened(faults)),
    )


def find_annotation_files(path: Path) -> list[Path]:
    """Find the COCO files of a data set. Raises DatasetError when there are none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DatasetError([Fault(file=str(path), expected="there is no such file or folder")])
    is_run, kind = (path / "run.json").exists(), kind_of(path)  # beside it lie other JSON files of ours
    for folder in (path / "annotations",) if is_run or kind else (path / "annotations", path):
        files = sorted(file for file in folder.glob("*.json") if file.is_file())
        # COCO's own folder also holds captions and keypoints, of the same pictures.
        instances = [file for file in files if file.name.startswith("instances")]
        if files:
            return instances or files
    expected = "no COCO file is in it or in its annotations/"
    if is_run and kind in (PAINTED, None):
        expected += " (the run is unfinished, or its leak audit refused it: run `boxpaint generate` again)"
    elif kind is None:
        expected += "; where it is of another layout (YOLO, VOC, CSV ...), `boxpaint import` makes one of it"
    elif kind == IMPORTED:
        expected += "; they were here once: run the same `boxpaint import` again"
    else:
        expected = add_kind(expected, path)
    raise DatasetError([Fault(file=str(path), expected=expected)])


def read_annotations(file: Path) -> dict[str, Any]:
    """Read a COCO file whose images, annotations and categories have all that they need. Raises DatasetError."""
    content = _read(file)
    faults = list(_structure_faults(str(file), content))
    if faults:
        raise DatasetError(_shortened(faults))
    return content


def locate_picture(file: Path, name: str) -> Path | None:
    """Find a picture that a COCO file names: in images/, a folder of its split, or beside the annotations."""
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    return next((path for path in _candidates(root, name) if path.is_file()), None)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise DatasetError([Fault(file=str(file), expected=f"cannot be read: {error.strerror}")]) from None
    except (ValueError, RecursionError) as error:
        raise DatasetError([Fault(file=str(file), expected=f"is not JSON: {error}")]) from None
    if not isinstance(content, dict):
        raise DatasetError(
            [Fault(file=str(file), expected="a JSON object with images, annotations, categories is needed")]
        )
    return content


def _fault(file: str, what: str, expected: str, *found: object) -> Fault:
    return Fault(
        file=file, column=what, found=", ".join(str(item) for item in found) if found else None, expected=expected
    )


def _structure_faults(file: str, content: dict[str, Any]) -> Iterator[Fault]:
    for section, keys in _REQUIRED.items():
        items = content.get(section)
        if not isinstance(items, list):
            yield _fault(file, section, "a list of this name is missing")
            continue
        for position, item in enumerate(items):
            if not isinstance(item, dict):
                yield _fault(file, f"{section}[{position}]", "an object is needed", item)
                continue
            missing = [key for key in keys if key not in item]
            if missing:
                yield _fault(file, f"{section}[{position}]", f"lacks {', '.join(missing)}")
            numbers = [key for key in keys if key not in ("file_name", "name", "bbox")]
            for key in numbers:
                if key in item and not _is_number(item[key]):
                    expected = "a finite number is needed, and whole ones in 64 bits"
                    yield _fault(file, f"{section}[{position}].{key}", expected, item[key])
            for key in ("file_name", "name"):
                if key in keys and key in item and not (isinstance(item[key], str) and 0 < len(item[key]) <= MAX_NAME):
                    yield _fault(file, f"{section}[{position}].{key}", f"a text of 1 to {MAX_NAME} letters is needed")
            box = item.get("bbox")
            if section == "annotations" and "bbox" in item and not _is_box(box):
                yield _fault(file, f"annotations[{position}].bbox", "four numbers x, y, width, height are needed", box)
        ids = Counter(item.get("id") for item in items if isinstance(item, dict) and isinstance(item.get("id"), int))
        for number, count in ids.items():
            if count > 1:
                yield _fault(file, section, f"the id {number} is used {count} times; ids must be unique")
    zero = [item for item in content.get("annotations") or [] if isinstance(item, dict) and item.get("id") == 0]
    if zero:
        yield _fault(file, "annotations", "the id 0 counts as a miss in pycocotools (AP 1.0 becomes 0.0); start at 1")


def _is_box(box: object) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(_is_number(side) for side in box)


def _is_number(value: object) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) < 2**63
    return isinstance(value, float) and math.isfinite(value)


def _image_faults(file: str, content: dict[str, Any], root: Path) -> Iterator[Fault]:
    for item in content["images"]:
        what = f"image {item['id']}"
        path = next((p for p in _candidates(root, str(item["file_name"])) if p.is_file()), None)
        if path is None:
            yield _fault(file, what, "this picture is neither in images/ nor beside the annotations", item["file_name"])
            continue
        try:
            with Image.open(path) as picture:
                picture.load()
                size = picture.size
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            yield _fault(file, what, f"the picture cannot be read: {error}", item["file_name"])
            continue
        if size != (item["width"], item["height"]):
            yield _fault(file, what, f"the picture is {size[0]} x {size[1]} px", f"{item['width']} x {item['height']}")


def _candidates(root: Path, name: str) -> list[Path]:
    splits = [folder for folder in ("train", "val", "train2017", "val2017") if (root / folder).is_dir()]
    return [root / folder / name for folder in ("images", ".", *splits)]


def _annotation_faults(file: str, content: dict[str, Any]) -> Iterator[Fault]:
    sizes = {item["id"]: (item["width"], item["height"]) for item in content["images"]}
    categories = {item["id"] for item in content["categories"]}
    for item in content["annotations"]:
        what = f"annotation {item['id']}"
        if item["category_id"] not in categories:
            yield _fault(file, what, "no category has this id", item["category_id"])
        if item["image_id"] not in sizes:
            yield _fault(file, what, "no image has this id", item["image_id"])
            continue
        width, height = sizes[item["image_id"]]
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
    tight = item["tight_bbox"] if _is_box(item.get("tight_bbox")) else item["bbox"]
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


def _shortened(faults: list[Fault]) -> Iterator[Fault]:
    """At most so many faults of one kind, then a count: ten thousand equal lines help nobody."""
    kinds = Counter[tuple[str, str]]()
    for fault in faults:
        kind = (fault.file, fault.expected.split(" ")[0:4].__repr__())
        kinds[kind] += 1
        if kinds[kind] <= MAX_FAULTS_OF_A_KIND:
            yield fault
    for (file, _), count in kinds.items():
        if count > MAX_FAULTS_OF_A_KIND:
            yield Fault(file=file, expected=f"{count - MAX_FAULTS_OF_A_KIND} more faults like those above")
