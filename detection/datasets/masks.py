"""Masks of objects: one value a pixel of many that may overlap, encoded in little memory, outlined where none are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, overload

import cv2
import numpy as np
from scipy.ndimage import binary_fill_holes

from detection.datasets.types import DetectionDataset, Detections, Sample
from generator.dataset.record import RleRecord, decode_mask, encode_mask
from generator.foundation.coco import MAX_FAULTS_OF_A_KIND
from generator.foundation.errors import DatasetError, Fault
from generator.labels.labelling import largest_parts
from generator.labels.segmentation import decode_segmentation

# What lies around a box, as a share of its longer side, tells GrabCut what is not the object.
_AROUND = 0.5
_MIN_OUTLINED_PX = 4
_GRABCUT_ITERATIONS = 4


def front_object(masks: np.ndarray) -> np.ndarray:
    """Number of the first mask that covers each pixel, from 1; 0 where none does.

    (N, H, W) bool -> (H, W) uint16.

    >>> front_object(np.array([[[True, False, False]], [[True, True, False]]])).tolist()
    [[1, 2, 0]]
    """
    if not len(masks):
        return np.zeros(masks.shape[1:], np.uint16)
    return np.where(masks.any(axis=0), masks.argmax(axis=0) + 1, 0).astype(np.uint16)


def semantic_map(masks: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Label of the first mask that covers each pixel; 0, the background, where none does.

    `masks`: (N, H, W) bool; `labels`: (N,), from 1; returns (H, W) uint16. Of detections, best first, it is the
    category of the best one.
    """
    return np.concatenate([[0], labels]).astype(np.uint16)[front_object(masks)]


def masks_of(found: Detections) -> np.ndarray:
    """Masks (N, H, W) bool of what was found. Raises ValueError when the detector gives none."""
    if found.masks is None:
        raise ValueError("a detector without masks, where masks are needed")
    return found.masks


def labelled_map(sample: Sample) -> np.ndarray:
    """Draw the labels of a picture as `semantic_map` does: (H, W) uint16, 0 for the background.

    Where labels overlap the smaller object is in front, or it would vanish behind the larger. Raises ValueError when
    an object has no mask, or one that cannot be drawn.
    """
    masks = np.zeros((len(sample.labels), sample.height, sample.width), bool)
    for number, segmentation in enumerate(sample.segmentations):
        if segmentation is None:
            raise ValueError(f"{sample.path}: object {number + 1} has no mask")
        masks[number] = decode_segmentation(segmentation, (sample.height, sample.width))
    order = np.argsort(masks.sum(axis=(1, 2)), kind="stable")
    return semantic_map(masks[order], sample.labels[order])


class PackedDetections(Sequence[Detections]):
    """Detections whose masks are run-length encoded until they are asked for.

    50 masks of a photo of 640 x 480 are 15 MB as they are, some 20 KB encoded; a thousand photos fit only like this.
    """

    def __init__(self, found: Iterable[Detections] = ()):
        self._packed: list[tuple[Detections, tuple[int, int], tuple[RleRecord, ...]]] = []
        for each in found:
            self.append(each)

    def append(self, found: Detections) -> None:
        """Add what was found in the next picture. Raises ValueError when it has no masks."""
        masks = masks_of(found)
        self._packed.append((replace(found, masks=None), masks.shape[1:], tuple(map(encode_mask, masks))))

    def __len__(self) -> int:
        return len(self._packed)

    @overload
    def __getitem__(self, position: int) -> Detections: ...
    @overload
    def __getitem__(self, position: slice) -> list[Detections]: ...
    def __getitem__(self, position: int | slice) -> Detections | list[Detections]:
        if isinstance(position, slice):
            return [self[each] for each in range(*position.indices(len(self)))]
        found, size_hw, encoded = self._packed[position]
        masks = np.zeros((len(encoded), *size_hw), bool)
        for number, mask in enumerate(encoded):
            masks[number] = decode_mask(mask)
        return replace(found, masks=masks)


def outline(picture: np.ndarray, box_xyxy: np.ndarray) -> np.ndarray | None:
    """Outline the object in a box (4,) of a picture (HWC uint8): (H, W) bool; None where none stands out.

    By GrabCut: Rother et al. 2004, doi:10.1145/1015706.1015720. The same pixels give the same mask: OpenCV's random
    numbers are seeded.
    """
    size_wh = np.array(picture.shape[1::-1])
    (x_min, y_min), (x_max, y_max) = (
        np.clip(edges, 0, size_wh).astype(int).tolist() for edges in (np.floor(box_xyxy[:2]), np.ceil(box_xyxy[2:]))
    )
    around = round(_AROUND * max(x_max - x_min, y_max - y_min))
    left, top = max(0, x_min - around), max(0, y_min - around)
    part = np.ascontiguousarray(picture[top : y_max + around, left : x_max + around])
    inner = (x_min - left, y_min - top, x_max - x_min, y_max - y_min)
    if min(inner[2:]) < _MIN_OUTLINED_PX or inner[2] * inner[3] >= part.shape[0] * part.shape[1]:
        return None
    labels = np.zeros(part.shape[:2], np.uint8)
    cv2.setRNGSeed(0)
    cv2.grabCut(part, labels, inner, np.zeros((1, 65)), np.zeros((1, 65)), _GRABCUT_ITERATIONS, cv2.GC_INIT_WITH_RECT)
    found = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if not found.any():
        return None
    mask = np.zeros(picture.shape[:2], bool)
    mask[top : top + part.shape[0], left : left + part.shape[1]] = binary_fill_holes(largest_parts(found))
    return mask


def check_masks(data: DetectionDataset, *, where: str) -> None:
    """Check that every object of a data set, called `where`, has a mask that can be drawn.

    Raises DatasetError that names the objects without by picture and place.
    """
    without: list[str] = []
    damaged: list[Fault] = []
    for sample in data.samples:
        for number, segmentation in enumerate(sample.segmentations):
            name = _named(data, sample, number)
            if not segmentation:
                without.append(name)
            elif reason := _mask_fault(segmentation, (sample.height, sample.width)):
                damaged.append(Fault(file=where, column=name, expected=f"the mask cannot be used: {reason}"))
    faults = damaged[:MAX_FAULTS_OF_A_KIND]
    if without:
        shown = "; ".join(without[:MAX_FAULTS_OF_A_KIND])
        if len(without) > MAX_FAULTS_OF_A_KIND:
            shown += f"; and {len(without) - MAX_FAULTS_OF_A_KIND} more"
        expected = (
            f"{len(without)} of {sum(data.counts().values())} objects have no segmentation, and a segmenter is trained "
            f"and scored by masks: {shown}"
        )
        faults.insert(0, Fault(file=where, column="segmentation", expected=expected))
    if faults:
        raise DatasetError(faults)


def _named(data: DetectionDataset, sample: Sample, number: int) -> str:
    x, y = sample.boxes_xyxy[number, :2]
    return f"{data.categories[sample.labels[number] - 1]} at x {x:.0f}, y {y:.0f} in {sample.path.name}"


def _mask_fault(segmentation: Any, size_hw: tuple[int, int]) -> str:
    """Why a mask cannot be used; empty when it can."""
    try:
        mask = decode_segmentation(segmentation, size_hw)
    except ValueError as error:
        return f"it is neither polygons nor a run-length encoding ({error})"
    if mask.shape != size_hw:
        return f"it is {mask.shape[1]} x {mask.shape[0]} px, its picture {size_hw[1]} x {size_hw[0]}"
    return "" if mask.any() else "it is empty"
