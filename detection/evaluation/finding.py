"""What a detector finds in a data set."""

from __future__ import annotations

from collections.abc import Callable

from detection.datasets.read import read_rgb
from detection.datasets.types import DetectionDataset
from detection.detectors.types import Detections, Detector

# Pictures that are in memory at once.
_BATCH = 16


def find_objects(
    detector: Detector, data: DetectionDataset, on_picture: Callable[[int], None] = lambda _: None
) -> list[Detections]:
    """Find objects in every picture of a data set, in its order; `on_picture` is told how many are done.

    Without masks: those of a thousand photos are more than fits into memory; see segmenter/packed.py. Raises
    DatasetError naming a picture that cannot be read or is not of the size that its labels are for, ModelError.
    """
    found: list[Detections] = []
    for start in range(0, len(data), _BATCH):
        pictures = [
            read_rgb(sample.path, labelled_wh=(sample.width, sample.height))
            for sample in data.samples[start : start + _BATCH]
        ]
        found += detector.predict(pictures, with_masks=False)
        on_picture(len(found))
    return found


def confident(found: Detections, min_score: float) -> Detections:
    """Keep what was found with this score or a better one."""
    keep = found.scores >= min_score
    return Detections(
        boxes_xyxy=found.boxes_xyxy[keep],
        labels=found.labels[keep],
        scores=found.scores[keep],
        masks=found.masks[keep] if found.masks is not None else None,
    )
