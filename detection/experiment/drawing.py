"""Pictures of an experiment for people: what was pasted, and where painted images help least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from detection.datasets.read import open_rgb
from detection.datasets.types import DetectionDataset, Sample
from detection.detectors.types import Detections
from detection.evaluation.bootstrap import ResampledAp
from detection.evaluation.mistakes import best_working_point, find_mistakes, match_pictures
from detection.inference.drawing import pixel_box
from detection.inference.report import draw_mistakes
from generator.dataset.pictures import category_colours, draw_boxes, spread, tile
from generator.foundation.storage import atomic_writer

_QUALITY = 88
# Where nothing is right anywhere, there is no best score to take boxes from.
_MIN_SCORE = 0.3
_CELL_PX = 420


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A test picture: AP on it alone, mean over subsets, of the arm with painted pictures and of the one without."""

    picture: int
    name: str
    ap: float
    baseline_ap: float


def write_sheet(path: Path, data: DetectionDataset, *, most: int, columns: int, cell_width: int) -> None:
    """Write a JPEG of some pictures of a data set with their labels, spread over all of it. Raises StorageError."""
    colours = category_colours(data.categories)
    pictures = []
    for position in spread(len(data), most):
        sample = data.samples[position]
        names = [data.categories[int(label) - 1] for label in sample.labels]
        boxes = list(zip(names, map(pixel_box, sample.boxes_xyxy), strict=True))
        pictures.append(draw_boxes(open_rgb(sample.path), boxes, colours))
    _write_jpeg(path, tile(pictures, columns=min(columns, len(pictures)), cell_width=cell_width))


def worst_pictures(
    data: DetectionDataset, arm: Sequence[Sequence[Detections]], baseline: Sequence[Sequence[Detections]], *, most: int
) -> list[Failure]:
    """Find where an arm loses most against another one, then where it is worst at all; `most` pictures of each.

    `arm` and `baseline`: for each subset, what was found in each picture.
    """
    ap, baseline_ap = _of_pictures(data, arm), _of_pictures(data, baseline)
    known = np.flatnonzero(~np.isnan(ap))
    lost = [
        number
        for number in known[np.argsort((ap - baseline_ap)[known], kind="stable")]
        if ap[number] < baseline_ap[number]
    ]
    low = [number for number in known[np.argsort(ap[known], kind="stable")] if number not in lost[:most]]
    return [
        Failure(
            picture=int(number),
            name=data.samples[number].path.name,
            ap=float(ap[number]),
            baseline_ap=float(baseline_ap[number]),
        )
        for number in [*lost[:most], *low[:most]]
    ]


def draw_failures(
    path: Path,
    data: DetectionDataset,
    failures: Sequence[Failure],
    arm: Sequence[Detections],
    baseline: Sequence[Detections],
) -> None:
    """Write a JPEG with a row for each failure: the arm on the left, the other on the right. Raises StorageError."""
    columns = [_mistakes_drawn(data, found, failures) for found in (arm, baseline)]
    pictures = [picture for row in zip(*columns, strict=True) for picture in row]
    _write_jpeg(path, tile(pictures, columns=2, cell_width=_CELL_PX))


def _mistakes_drawn(
    data: DetectionDataset, found: Sequence[Detections], failures: Sequence[Failure]
) -> list[Image.Image]:
    matches = match_pictures(data, found)
    point = best_working_point(data, found, matches)
    mistakes = find_mistakes(data, found, matches, min_score=point.min_score if point else _MIN_SCORE)
    of_picture = {item.picture: item for item in mistakes}
    drawn = []
    for failure in failures:
        sample: Sample = data.samples[failure.picture]
        item, answer = of_picture[failure.picture], found[failure.picture]
        drawn.append(draw_mistakes(open_rgb(sample.path), sample, answer, item, data.categories))
    return drawn


def _of_pictures(data: DetectionDataset, found: Sequence[Sequence[Detections]]) -> np.ndarray:
    """AP on each picture alone (N,), mean over subsets; NaN where there is nothing to find."""
    alone = np.arange(len(data))[:, None]
    return np.stack([ResampledAp(data, each).ap_of(alone) for each in found]).mean(axis=0)


def _write_jpeg(path: Path, picture: Image.Image) -> None:
    with atomic_writer(path) as stream:
        picture.save(stream, "JPEG", quality=_QUALITY)
