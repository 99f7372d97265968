"""All that `boxpaint calibrate` measures of each class: how boxes are drawn, how large objects are, and where."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
from pydantic import ValidationError

from detection.datasets.boxes import BoxScale, OnProgress, is_whole, tight_boxes
from detection.datasets.read import read_rgb
from detection.datasets.types import DetectionDataset
from generator.foundation.errors import BoxpaintError
from generator.foundation.seeds import derive_rng
from generator.plan.placing import Ground
from generator.spec.calibration import DECILES, ClassCalibration

# A few boxes scatter too little or too much by chance: as if so many more had the usual spread of sizes and shapes.
_PRIOR_BOXES, _PRIOR_SPREAD = 3.0, 0.15
# Ten boxes leave the middle of a picture as likely as the border: as if so many more lay anywhere.
_PRIOR_PLACES = 10.0
# On what ground objects lie is the same all over the picture, and a few boxes say more of it.
_PRIOR_RANKS = 1.0
_GRID = np.linspace(0, 1, 201)


def measure_classes(
    real: DetectionDataset,
    painted: DetectionDataset,
    scales: Mapping[str, BoxScale],
    *,
    seed: int = 0,
    on_progress: OnProgress = lambda *_: None,
) -> dict[str, ClassCalibration]:
    """Measure the classes of which there are both real and painted objects; the others are left out.

    `painted` knows which boxes were asked for, `scales` are those of `measure_scales`. Sizes and places come from real
    boxes that no edge of the picture cuts. Raises BoxpaintError when what comes out cannot be.
    """
    tight = tight_boxes(painted)
    found = {}
    whole = _whole_boxes(real, seed, on_progress)
    for number, name in enumerate(painted.categories, start=1):
        boxes = np.array(whole[number]).reshape(-1, 5)
        asked = np.array(list(_log_asked(tight, number)))
        if len(boxes) and len(asked):
            try:
                found[name] = _class_calibration(boxes, asked, scales[name])
            except ValidationError as error:
                item = error.errors()[0]
                what = f"{name}: {item['loc'][0]} comes out as {item['input']}, which cannot be ({item['msg']})"
                raise BoxpaintError(
                    f"{what}; are these pictures of the same things, and the painted ones sound (boxpaint validate)?"
                ) from None
    return found


def _class_calibration(boxes: np.ndarray, asked: np.ndarray, scale: BoxScale) -> ClassCalibration:
    """Of a class whose real boxes are (N, 5): centre x, centre y, log of the side, log of width / height, rank of the
    ground. `asked` are (M,) logarithms.
    """
    middle = np.median(boxes, axis=0)
    paint_scale = float(np.median(asked))
    return ClassCalibration(
        label_scale=_rounded(scale.factor),
        paint_scale=_rounded(math.exp(paint_scale)),
        paint_spread=_rounded(_robust_spread(asked - paint_scale)),
        side=_rounded(math.exp(middle[2])),
        side_spread=_rounded(_spread(boxes[:, 2] - middle[2])),
        aspect=_rounded(math.exp(middle[3])),
        aspect_spread=_rounded(_spread(boxes[:, 3] - middle[3])),
        centres_x=_deciles(boxes[:, 0], _PRIOR_PLACES),
        centres_y=_deciles(boxes[:, 1], _PRIOR_PLACES),
        ground=_deciles(boxes[:, 4], _PRIOR_RANKS),
        real_boxes=len(boxes),
        painted_boxes=len(asked),
    )


def _whole_boxes(
    real: DetectionDataset, seed: int, on_progress: OnProgress
) -> Mapping[int, list[tuple[float, float, float, float, float]]]:
    """Describe the whole boxes of each label, as `_class_calibration` takes them; each picture is read once."""
    found = defaultdict(list)
    rngs = {label: derive_rng(seed, label) for label in range(1, len(real.categories) + 1)}
    for position, sample in enumerate(real.samples, start=1):
        whole = [number for number, box in enumerate(sample.boxes_xyxy) if is_whole(sample, box)]
        if whole:
            ground = Ground(read_rgb(sample.path, labelled_wh=(sample.width, sample.height)))
            for box, label in zip(sample.boxes_xyxy[whole], sample.labels[whole].tolist(), strict=True):
                width, height = float(box[2] - box[0]), float(box[3] - box[1])
                side = math.sqrt(width * height / (sample.width * sample.height))
                x, y = float(box[0] + box[2]) / 2 / sample.width, float(box[1] + box[3]) / 2 / sample.height
                rank = float(ground.ranks(box, rngs[label])[0])
                found[label].append((x, y, math.log(side), math.log(width / height), rank))
        on_progress("looking at where they lie", position, len(real))
    return found


def _log_asked(painted: DetectionDataset, label: int) -> Iterator[float]:
    """How much larger the box asked for is than the painted one: logarithm of the ratio of their sides."""
    for sample in painted.samples:
        chosen = sample.labels == label
        for tight, asked in zip(sample.boxes_xyxy[chosen], sample.requested_xyxy[chosen], strict=True):
            if not np.isnan(asked).any() and is_whole(sample, tight) and _area(asked) > 0:
                yield 0.5 * math.log(_area(asked) / _area(tight))


def _area(box: np.ndarray) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _spread(deviations: np.ndarray) -> float:
    """Standard deviation, drawn towards the usual one where there are few."""
    total = float((deviations**2).sum()) + _PRIOR_BOXES * _PRIOR_SPREAD**2
    return math.sqrt(total / (len(deviations) + _PRIOR_BOXES))


def _robust_spread(deviations: np.ndarray) -> float:
    """Standard deviation from the middle half: an object that was painted in part says nothing of the others."""
    low, high = np.quantile(deviations, [0.25, 0.75])
    return float(high - low) / 1.349


def _deciles(shares: np.ndarray, prior: float) -> tuple[float, ...]:
    """Deciles of a mixture of the shares and an even spread, which weighs as much as so many boxes."""
    # Half of a box counts as below itself; and between two of few boxes there is something.
    below = np.interp(_GRID, np.sort(shares), np.arange(len(shares)) + 0.5, left=0, right=len(shares))
    share = (below + prior * _GRID) / (len(shares) + prior)
    return tuple(_rounded(float(place)) for place in np.interp(np.linspace(0, 1, DECILES), share, _GRID))


def _rounded(value: float) -> float:
    return round(value, 4)
