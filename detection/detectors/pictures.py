"""Pictures at the size a model takes, with their boxes and masks; kept in memory as far as a budget goes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from detection.datasets.read import read_rgb
from detection.datasets.types import Sample
from generator.foundation.errors import DatasetError, Fault
from generator.labels.segmentation import decode_segmentation

# Of one store; a training has two, one of them for its validation pictures.
CACHE_BYTES = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A picture at the size of the model's input, and what is on it.

    `image`: (H, W, 3) uint8 RGB; `boxes_xyxy`: (N, 4) float32 in its pixels; `labels`: (N,) int64, from 1; `masks`:
    (N, H, W) uint8 of 0 and 1, or None where none were asked for.
    """

    image: np.ndarray
    boxes_xyxy: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        masks = 0 if self.masks is None else self.masks.nbytes
        return self.image.nbytes + self.boxes_xyxy.nbytes + self.labels.nbytes + masks


class PictureStore:
    """Reads samples at one size. The first `cache_bytes` of them stay in memory; the rest is read each time."""

    def __init__(self, input_wh: tuple[int, int], *, with_masks: bool, cache_bytes: int = CACHE_BYTES):
        self.input_wh = input_wh
        self.with_masks = with_masks
        self._left = cache_bytes
        # By the sample itself, not its path: the same picture may carry other boxes in another set.
        self._kept: dict[int, tuple[Sample, Picture]] = {}

    def read(self, sample: Sample) -> Picture:
        """Read a sample. Raises DatasetError when its picture or a mask cannot be read."""
        kept = self._kept.get(id(sample))
        if kept is not None:
            return kept[1]
        picture = read_picture(sample, self.input_wh, with_masks=self.with_masks)
        if picture.nbytes <= self._left:
            self._left -= picture.nbytes
            self._kept[id(sample)] = sample, picture
        return picture


def read_picture(sample: Sample, input_wh: tuple[int, int], *, with_masks: bool) -> Picture:
    """Read a sample and resize it to `input_wh`. Raises DatasetError naming the file."""
    image = read_rgb(sample.path, labelled_wh=(sample.width, sample.height))
    scale = np.array([input_wh[0] / sample.width, input_wh[1] / sample.height] * 2, np.float32)
    return Picture(
        image=resize(image, input_wh),
        boxes_xyxy=sample.boxes_xyxy * scale,
        labels=sample.labels,
        masks=_read_masks(sample, input_wh) if with_masks else None,
    )


def resize(image: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Resize an image (H, W, 3) uint8 to a width and height; by area where that makes it smaller, else linear."""
    if (image.shape[1], image.shape[0]) == size_wh:
        return image
    is_smaller = size_wh[0] * size_wh[1] < image.shape[0] * image.shape[1]
    return cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR)


def _read_masks(sample: Sample, input_wh: tuple[int, int]) -> np.ndarray:
    masks = np.zeros((len(sample.labels), input_wh[1], input_wh[0]), np.uint8)
    for number, segmentation in enumerate(sample.segmentations):
        try:
            if segmentation is None:
                raise ValueError("it has none")
            mask = decode_segmentation(segmentation, (sample.height, sample.width))
        except ValueError as error:
            column, expected = f"object {number + 1}", f"a segmenter needs a mask of every object: {error}"
            raise DatasetError([Fault(file=str(sample.path), column=column, expected=expected)]) from None
        masks[number] = resize(mask.astype(np.uint8) * 255, input_wh) > 127
    return masks
