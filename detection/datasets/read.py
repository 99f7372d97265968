"""COCO files -> a DetectionDataset. Whatever training could choke on is refused or left out, never passed on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from detection.datasets.picture_set import Picture, not_exhaustive_ids, read_files
from detection.datasets.types import DetectionDataset, Sample
from generator.foundation.coco import find_annotation_files, is_box
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
    data = read_files({file.name: file for file in files})
    numbers = {category.id: number for number, category in enumerate(data.categories, start=1)}
    return DetectionDataset(
        categories=tuple(category.name for category in data.categories),
        samples=tuple(_sample(picture, numbers) for picture in data.pictures),
    )


def read_rgb(path: Path, *, labelled_wh: tuple[int, int] | None = None) -> np.ndarray:
    """Read a picture as (H, W, 3) uint8 RGB, upright. Raises what open_rgb raises."""
    return np.asarray(open_rgb(path, labelled_wh=labelled_wh))


def open_rgb(path: Path, *, labelled_wh: tuple[int, int] | None = None) -> Image.Image:
    """Read a picture as RGB, upright.

    `labelled_wh` is the width and height that its labels are for. Raises DatasetError naming the file, also when it is
    of another size: boxes would be somewhere else on it.
    """
    try:
        picture = decode_rgb(path.read_bytes())
    except OSError as error:
        raise DatasetError([Fault(file=str(path), expected=f"cannot be read: {error.strerror}")]) from None
    except ValueError as error:
        raise DatasetError([Fault(file=str(path), expected=str(error))]) from None
    if labelled_wh is not None and picture.size != labelled_wh:
        found, expected = (f"{width} x {height}" for width, height in (picture.size, labelled_wh))
        raise DatasetError([Fault(file=str(path), found=found, expected=f"its labels are for {expected} px")])
    return picture


def _sample(picture: Picture, numbers: dict[int, int]) -> Sample:
    items = [item for item in picture.annotations if not item.content["iscrowd"]]
    limits = np.array([*picture.size_wh, *picture.size_wh], np.float32)
    boxes = np.clip(_xyxy([item.content["bbox"] for item in items]), 0, limits)
    asked, tight = (
        _xyxy([_known(item.content.get(key)) for item in items]) for key in ("requested_bbox", "tight_bbox")
    )
    return Sample.of(
        picture.path,
        picture.size_wh,
        boxes,
        [numbers[item.category.id] for item in items],
        [item.segmentation for item in items],
        asked,
        tight,
        not_exhaustive=[numbers[number] for number in not_exhaustive_ids(picture.content)],
    ).choose(np.all(boxes[:, 2:] > boxes[:, :2], axis=1))


def _xyxy(boxes_xywh: Sequence[Sequence[float]]) -> np.ndarray:
    boxes = np.array(boxes_xywh, np.float32).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def _known(bbox: Any) -> list[float]:
    """A box that only our own files have; NaN where there is none, or none that could be used."""
    return bbox if is_box(bbox) and min(bbox[2:]) > 0 else [float("nan")] * 4
