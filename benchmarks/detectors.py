"""Time of the detectors that train on a CPU: a training step, its augmentation, and a prediction.

    OMP_NUM_THREADS=1 python -m benchmarks.detectors [--batch-size 16] [--steps 10] [NAME ...]

Pictures of noise with eight boxes each, at the size of each detector's input, on as many threads as torch takes; times
are of the processor, so that a busy machine changes little. One core of an AMD EPYC with AVX512-BF16:
retinanet_small 285 ms a step of 16 pictures, 22 ms of them augmentation; 12 ms a prediction.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks import Results, make_parser, timed
from detection.datasets.types import DetectionDataset, Sample
from detection.detectors.batches import Augmentation, read_picture
from detection.detectors.registry import DETECTORS, make_detector
from detection.detectors.settings import FitSettings
from detection.detectors.types import TrainingMix
from generator.foundation.history import Listener

CATEGORIES = ("one", "two")
OBJECTS = 8
PICTURES = 16
WARM_UP = 2


class Clock(Listener):
    """Processor time of the steps after the first ones."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, float, float]] = []

    def on_step(self, step: int, loss: float) -> None:
        """Note the time."""
        self.steps.append((step, loss, time.process_time()))

    @property
    def ms(self) -> float:
        """Mean of a step in milliseconds."""
        times = [when for step, _, when in self.steps if step >= WARM_UP]
        return 1000 * (times[-1] - times[0]) / (len(times) - 1)


def noise_set(folder: Path, size_wh: tuple[int, int]) -> DetectionDataset:
    """Draw pictures of noise; each box is 30 pixels wide and has a polygon around it."""
    rng = np.random.default_rng(0)
    samples = []
    for number in range(PICTURES):
        path = folder / f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (size_wh[1], size_wh[0], 3), np.uint8)).save(path)
        corners = rng.integers(0, [size_wh[0] - 30, size_wh[1] - 30], (OBJECTS, 2))
        boxes = np.concatenate([corners, corners + 30], axis=1)
        polygons = [[[float(box[i]) for i in (0, 1, 2, 1, 2, 3, 0, 3)]] for box in boxes]
        samples.append(Sample.of(path, size_wh, boxes, rng.integers(1, 3, OBJECTS), polygons))
    return DetectionDataset(categories=CATEGORIES, samples=tuple(samples))


def milliseconds(work: Callable[[int], object], repeats: int) -> float:
    """Mean processor time of `work(number)`, after a first run."""

    def repeat() -> None:
        for number in range(repeats):
            work(number)

    work(0)
    return float(1000 * timed(repeat)["cpu_s"] / repeats)


def measure(name: str, batch_size: int, steps: int) -> tuple[str, ...]:
    """One row of the table."""
    size_wh = DETECTORS[name].input_wh
    with tempfile.TemporaryDirectory() as folder:
        data = noise_set(Path(folder), size_wh)
        detector = make_detector(name, CATEGORIES, seed=0, device=torch.device("cpu"))
        clock = Clock()
        settings = FitSettings(steps=steps + WARM_UP, batch_size=batch_size)
        detector.fit(TrainingMix.of(data), settings, seed=0, listener=clock)
        pictures = [read_picture(each, size_wh, with_masks=DETECTORS[name].gives_masks) for each in data.samples]
    augment = Augmentation(vertical_flip=False)
    augmentation = milliseconds(lambda number: augment(pictures[number % PICTURES], number), 10 * PICTURES)
    prediction = milliseconds(lambda _: detector.predict([each.image for each in pictures]), 2) / PICTURES
    values = (clock.ms, batch_size * augmentation, prediction)
    return name, f"{size_wh[0]} x {size_wh[1]}", *(f"{value:.1f}" for value in values)


def main() -> None:
    """Print the table."""
    parser = make_parser(__doc__)
    parser.add_argument("names", nargs="*", default=[name for name in DETECTORS if name.endswith("_small")])
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    arguments = parser.parse_args()
    columns = ("detector", "input", "step, ms", "of it augmentation, ms", "prediction, ms a picture")
    with Results(f"batches of {arguments.batch_size}, processor time", *columns) as table:
        for name in arguments.names:
            table.add(*measure(name, arguments.batch_size, arguments.steps))


if __name__ == "__main__":
    main()
