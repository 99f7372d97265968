"""COCO files -> a DetectionDataset. Whatever training could choke on is refused or left out, never passed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from detection.datasets.types import NOT_EXHAUSTIVE, DetectionDataset, Sample
from generator.dataset.validation import find_annotation_files, locate_picture, read_annotations
from generator.foundation.decoding import decode_rgb
from generator.foundation.errors import DatasetError, Fault


def read_detection_set(path: str | Path, *, split: str | None = None) -> DetectionDataset:
    """Read a data set in COCO form: a folder with annotations/*.json, or one such file.

    `split` chooses instances_<split>.json of a folder; None joins all. Categories are in the order of their ids; for
    others see categories.py. Crowds (iscrowd 1) and boxes without an area are left out. Raises DatasetError when a file
    or picture is missing.
    """
    path = Path(path)
    files = find_annotation_files(path)
    if split is not None and path.is_dir():
        named = [file for file in files if file.stem in (f"instances_{split}", split)]
        if not named:
            known = ", ".join(file.stem.removeprefix("instances_") for file in files)
            raise DatasetError([Fault(file=str(path), expected=f"there is no split '{split}'; splits: {known}")])
        files = named
    contents = {file: read_annotations(file) for file in files}
    ids: dict[Path, dict[int, str]] = {
        file: {item["id"]: str(item["name"]) for item in content["categories"]} for file, content in contents.items()
    }
    names = tuple(dict.fromkeys(name for of_file in ids.values() for _, name in sorted(of_file.items())))
    numbers = {name: number for number, name in enumerate(names, start=1)}
    samples: list[Sample] = []
    for file, content in contents.items():
        of_image: dict[int, list[dict[str, Any]]] = {item["id"]: [] for item in content["images"]}
        for item in content["annotations"]:
            if not item["iscrowd"] and item["category_id"] in ids[file] and item["image_id"] in of_image:
                of_image[item["image_id"]].append(item)
        for image in content["images"]:
            labels = {item["id"]: numbers[ids[file][item["category_id"]]] for item in of_image[image["id"]]}
            sample = _sample(file, image, of_image[image["id"]], labels)
            unlabelled = {numbers[name] for number, name in ids[file].items() if number in not_exhaustive_ids(image)}
            samples.append(replace(sample, not_exhaustive=frozenset(unlabelled)))
    return DetectionDataset(categories=names, samples=tuple(samples))


def not_exhaustive_ids(image: Mapping[str, Any]) -> list[int]:
    """Categories of which an image of a COCO file says that not every object is labelled."""
    found = image.get(NOT_EXHAUSTIVE)
    return [number for number in found if isinstance(number, int)] if isinstance(found, list) else []


def read_rgb(path: Path, *, labelled_wh: tuple[int, int] | None = None) -> np.ndarray:
    """Read a picture as (H, W, 3) uint8 RGB, upright.

    `labelled_wh` is the width and height that its labels are for. Raises DatasetError naming the file, also when it is
    of another size: boxes would be somewhere else on it.
    """
    picture = open_rgb(path)
    if labelled_wh is not None and picture.size != labelled_wh:
        found, expected = (f"{width} x {height}" for width, height in (picture.size, labelled_wh))
        raise DatasetError([Fault(file=str(path), found=found, expected=f"its labels are for {expected} px")])
    return np.asarray(picture)


def open_rgb(path: Path) -> Image.Image:
    """Read a picture as RGB, upright. Raises DatasetError naming the file."""
    try:
        return decode_rgb(path.read_bytes())
    except OSError as error:
        raise DatasetError([Fault(file=str(path), expected=f"cannot be read: {error.strerror}")]) from None
    except ValueError as error:
        raise DatasetError([Fault(file=str(path), expected=str(error))]) from None


def _sample(file: Path, image: dict[str, Any], items: list[dict[str, Any]], labels: dict[int, int]) -> Sample:
    path = locate_picture(file, str(image["file_name"]))
    if path is None:
        expected = "this picture is neither in images/ nor beside the annotations"
        raise DatasetError(
            [Fault(file=str(file), column=f"image {image['id']}", found=image["file_name"], expected=expected)]
        )
    size_wh = int(image["width"]), int(image["height"])
    limits = np.array([*size_wh, *size_wh], np.float32)
    boxes = np.clip(_xyxy([item["bbox"] for item in items]), 0, limits)
    asked, tight = (_xyxy([_known(item.get(key)) for item in items]) for key in ("requested_bbox", "tight_bbox"))
    whole = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
    segmentations = [item.get("segmentation") or None for item in items]
    return Sample.of(path, size_wh, boxes, [labels[item["id"]] for item in items], segmentations, asked, tight).choose(
        whole
    )


def _xyxy(boxes_xywh: list[list[float]]) -> np.ndarray:
    boxes = np.array(boxes_xywh, np.float32).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def _known(bbox: Any) -> list[float]:
    """A box that only our own files have; NaN where there is none, or none that could be used."""
    if isinstance(bbox, list) and len(bbox) == 4:
        sides = [float(side) for side in bbox if isinstance(side, int | float) and not isinstance(side, bool)]
        if len(sides) == 4 and np.isfinite(sides).all() and min(sides[2:]) > 0:
            return sides
    return [float("nan")] * 4
