"""Has every object of a data set a mask? Asked before a training, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from detection.datasets.types import DetectionDataset, Sample
from generator.foundation.coco import MAX_FAULTS_OF_A_KIND
from generator.foundation.errors import DatasetError, Fault
from generator.labels.segmentation import decode_segmentation


def check_masks(data: DetectionDataset, *, where: str) -> None:
    """Check that every object of a data set, called `where`, has a mask that can be drawn.

    Raises DatasetError that names the objects without by picture and place.
    """
    faults = list(_faults(data, where))
    if faults:
        raise DatasetError(faults)


def _faults(data: DetectionDataset, where: str) -> Iterator[Fault]:
    objects = [(sample, number) for sample in data.samples for number in range(len(sample.labels))]
    without = [_named(data, *each) for each in objects if not each[0].segmentations[each[1]]]
    if without:
        expected = (
            f"{len(without)} of {len(objects)} objects have no segmentation, and a segmenter is trained and scored by "
            f"masks: {_listed(without)}"
        )
        yield Fault(file=where, column="segmentation", expected=expected)
    damaged = [
        (_named(data, sample, number), _reason(sample.segmentations[number], (sample.height, sample.width)))
        for sample, number in objects
        if sample.segmentations[number]
    ]
    for name, reason in [each for each in damaged if each[1]][:MAX_FAULTS_OF_A_KIND]:
        yield Fault(file=where, column=name, expected=f"the mask cannot be used: {reason}")


def _named(data: DetectionDataset, sample: Sample, number: int) -> str:
    x, y = sample.boxes_xyxy[number, :2]
    return f"{data.categories[sample.labels[number] - 1]} at x {x:.0f}, y {y:.0f} in {sample.path.name}"


def _reason(segmentation: Any, size_hw: tuple[int, int]) -> str:
    """Why a mask cannot be used; empty when it can."""
    try:
        mask = decode_segmentation(segmentation, size_hw)
    except ValueError as error:
        return f"it is neither polygons nor a run-length encoding ({error})"
    if mask.shape != size_hw:
        return f"it is {mask.shape[1]} x {mask.shape[0]} px, its picture {size_hw[1]} x {size_hw[0]}"
    return "" if mask.any() else "it is empty"


def _listed(names: Sequence[str]) -> str:
    shown = "; ".join(names[:MAX_FAULTS_OF_A_KIND])
    return shown if len(names) <= MAX_FAULTS_OF_A_KIND else f"{shown}; and {len(names) - MAX_FAULTS_OF_A_KIND} more"
