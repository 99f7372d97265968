"""What was found in many pictures, with masks, in little memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np

from detection.detectors.types import Detections
from detection.segmenter.maps import masks_of
from generator.dataset.record import RleRecord, decode_mask, encode_mask


class PackedDetections(Sequence[Detections]):
    """Detections whose masks are run-length encoded until they are asked for.

    50 masks of a photo of 640 x 480 are 15 MB as they are, some 20 KB encoded; a thousand photos fit either way only
    like this.
    """

    def __init__(self, found: Iterable[Detections] = ()):
        self._packed: list[tuple[Detections, tuple[int, int], tuple[RleRecord, ...]]] = []
        for each in found:
            self.append(each)

    def append(self, found: Detections) -> None:
        """Add what was found in the next picture. Raises ValueError when it has no masks."""
        masks = masks_of(found)
        without = Detections(boxes_xyxy=found.boxes_xyxy, labels=found.labels, scores=found.scores)
        self._packed.append((without, (masks.shape[1], masks.shape[2]), tuple(encode_mask(mask) for mask in masks)))

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
        return Detections(boxes_xyxy=found.boxes_xyxy, labels=found.labels, scores=found.scores, masks=masks)
