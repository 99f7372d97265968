"""Labelled pictures in memory -> photos to paint into."""

from __future__ import annotations

from collections.abc import Sequence

from detection.datasets.types import DetectionDataset, Sample
from generator.foundation.errors import DatasetError, Fault
from generator.spec.photos import Photo, PhotoSet, RealObject, measure_photo


def photo_set(data: DetectionDataset) -> PhotoSet:
    """Make photos of labelled pictures, in their order, for `Spec.in_photos`.

    Raises DatasetError when one cannot be read, or is not of the size that its labels are for.
    """
    return PhotoSet(photos=tuple(_photo(sample, data.categories) for sample in data.samples))


def _photo(sample: Sample, categories: Sequence[str]) -> Photo:
    objects = [
        RealObject(category=categories[label - 1], box_xyxy=(x_min, y_min, x_max, y_max), segmentation=segmentation)
        for (x_min, y_min, x_max, y_max), label, segmentation in zip(
            sample.boxes_xyxy.tolist(), sample.labels.tolist(), sample.segmentations, strict=True
        )
    ]
    lacking = [categories[label - 1] for label in sorted(sample.not_exhaustive)]
    try:
        photo = measure_photo(sample.path, name=sample.path.name, objects=objects, not_exhaustive=lacking)
    except OSError as error:
        raise DatasetError([Fault(file=str(sample.path), expected=f"cannot be read: {error.strerror}")]) from None
    except ValueError as error:
        raise DatasetError([Fault(file=str(sample.path), expected=str(error))]) from None
    if photo.size_wh != (sample.width, sample.height):
        found, expected = f"{photo.size_wh[0]} x {photo.size_wh[1]}", f"{sample.width} x {sample.height}"
        raise DatasetError([Fault(file=str(sample.path), found=found, expected=f"its labels are for {expected} px")])
    return photo
