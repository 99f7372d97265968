"""A DetectionSet -> YOLO labels beside its pictures, as ultralytics reads them: https://docs.ultralytics.com/datasets/detect/.

data.yaml                  names of the categories, and the list of each split
<split>.txt                pictures of the split, relative to the list
images/...                 the pictures, which are there already
labels/...                 a text file for each, of the same path: `category x_center y_center width height`

Categories count from 0, the other numbers are shares of the picture's sides. A picture without objects has an empty
file. data.yaml has no `path`, so that the folder can be moved: ultralytics then looks beside data.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import yaml

from detection.datasets.types import DetectionSet, Sample
from generator.errors import DatasetError, Fault
from generator.storage import make_folder, write_bytes

DESCRIPTION = "data.yaml"


def write_yolo(splits: Mapping[str, DetectionSet], folder: Path) -> Path:
    """Write labels, lists and data.yaml, which comes last; returns its path.

    Pictures must lie in folder/images already. The splits need the same categories; ultralytics knows the names train,
    val and test. Raises DatasetError when two pictures would share a file of labels, StorageError.
    """
    categories = next(iter(splits.values())).categories
    if any(data.categories != categories for data in splits.values()):
        raise ValueError("the splits need the same categories")
    written: dict[PurePosixPath, Sample] = {}
    for data in splits.values():
        for sample in data.samples:
            place = PurePosixPath("labels") / _below_images(sample, folder).with_suffix(".txt")
            other = written.setdefault(place, sample)
            if other.path != sample.path or not _same_labels(other, sample):
                expected = f"its labels and others of {other.path.name} would both be in {place}"
                raise DatasetError([Fault(file=str(sample.path), expected=expected)])
    for place, sample in written.items():
        make_folder((folder / place).parent)
        write_bytes(folder / place, label_lines(sample).encode())
    for split, data in splits.items():
        lines = [f"./images/{_below_images(sample, folder)}\n" for sample in data.samples]
        write_bytes(folder / f"{split}.txt", "".join(lines).encode())
    content = {**{split: f"{split}.txt" for split in splits}, "names": dict(enumerate(categories))}
    write_bytes(folder / DESCRIPTION, yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode())
    return folder / DESCRIPTION


def label_lines(sample: Sample) -> str:
    """Write the objects of a sample, one a line; six decimals are less than 1/100 of a pixel.

    >>> label_lines(Sample.of(Path("a.png"), (200, 100), [[20, 10, 60, 30]], [2]))
    '1 0.200000 0.200000 0.200000 0.200000\\n'
    """
    corners = sample.boxes_xyxy.astype(np.float64).reshape(-1, 2, 2) / (sample.width, sample.height)
    rows = np.concatenate([corners.mean(axis=1), corners[:, 1] - corners[:, 0]], axis=1)
    return "".join(
        f"{label - 1} " + " ".join(f"{value:.6f}" for value in row) + "\n"
        for label, row in zip(sample.labels.tolist(), rows.tolist(), strict=True)
    )


def _below_images(sample: Sample, folder: Path) -> PurePosixPath:
    return PurePosixPath(sample.path.relative_to(folder / "images").as_posix())


def _same_labels(one: Sample, other: Sample) -> bool:
    return np.array_equal(one.boxes_xyxy, other.boxes_xyxy) and np.array_equal(one.labels, other.labels)
