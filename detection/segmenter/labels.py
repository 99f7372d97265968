"""Has every object of a data set a mask? Asked before a training, of the files that a person can mend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from generator.errors import DatasetError, Fault
from generator.validation import MAX_FAULTS_OF_A_KIND, decode_segmentation, find_annotation_files, read_annotations

_NO_MASK = (ValueError, TypeError, KeyError, IndexError, OverflowError)


def check_masks(path: Path, splits: Sequence[str] = ()) -> None:
    """Check that every object of a COCO data set, or of some splits of it, has a mask that can be drawn.

    Crowds (iscrowd 1) and boxes without an area are left out, as `read_detection_set` leaves them out. Raises
    DatasetError that names the annotations without.
    """
    faults: list[Fault] = []
    for file in find_annotation_files(path):
        if not splits or file.stem.removeprefix("instances_") in splits:
            faults += _file_faults(file)
    if faults:
        raise DatasetError(faults)


def _file_faults(file: Path) -> Iterator[Fault]:
    content = read_annotations(file)
    sizes = {item["id"]: (int(item["height"]), int(item["width"])) for item in content["images"]}
    items = [
        item
        for item in content["annotations"]
        if not item["iscrowd"] and min(item["bbox"][2:]) > 0 and item["image_id"] in sizes
    ]
    without = [item["id"] for item in items if not item.get("segmentation")]
    if without:
        expected = (
            f"{len(without)} of {len(items)} objects have no segmentation, and a segmenter is trained and scored by "
            f"masks: annotations {_listed(without)}"
        )
        yield Fault(file=str(file), column="segmentation", expected=expected)
    damaged = [
        (item["id"], _reason(item["segmentation"], sizes[item["image_id"]]))
        for item in items
        if item.get("segmentation")
    ]
    for number, reason in [each for each in damaged if each[1]][:MAX_FAULTS_OF_A_KIND]:
        yield Fault(file=str(file), column=f"annotation {number}", expected=f"the mask cannot be used: {reason}")


def _reason(segmentation: Any, size_hw: tuple[int, int]) -> str:
    """Why a mask cannot be used; empty when it can."""
    try:
        mask = decode_segmentation(segmentation, size_hw)
    except _NO_MASK as error:
        return f"it is neither polygons nor a run-length encoding ({error})"
    if mask.shape != size_hw:
        return f"it is {mask.shape[1]} x {mask.shape[0]} px, its picture {size_hw[1]} x {size_hw[0]}"
    return "" if mask.any() else "it is empty"


def _listed(ids: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in ids[:MAX_FAULTS_OF_A_KIND])
    return shown if len(ids) <= MAX_FAULTS_OF_A_KIND else f"{shown} and {len(ids) - MAX_FAULTS_OF_A_KIND} more"
