"""Pictures of coloured discs with boxes and masks: small enough to be learnt in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from detection.datasets.types import DetectionDataset, Detections, Sample
from detection.datasets.write import write_coco
from generator.dataset.record import encode_mask
from generator.foundation.seeds import derive_rng

COLOURS = {"red": (210, 40, 40), "blue": (50, 70, 210)}
SIZE_WH = (64, 48)


def disc_set(folder: Path, count: int, seed: int, *, prefix: str = "disc") -> DetectionDataset:
    """Draw `count` pictures with a red disc, a blue one, or both, into folder/images, and write them as split train."""
    return disc_splits(folder, {"train": count}, seed, prefix=prefix)["train"]


def disc_splits(
    folder: Path, counts: Mapping[str, int], seed: int, *, prefix: str = "disc"
) -> dict[str, DetectionDataset]:
    """Draw pictures for several splits into folder/images and write folder/annotations; the same seed, the same set."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    splits = {}
    for split, count in counts.items():
        samples = []
        for number in range(count):
            path = folder / "images" / f"{prefix}_{split}_{number:03d}.png"
            samples.append(_draw(path, number, derive_rng(seed, len(splits), number)))
        splits[split] = DetectionDataset(categories=tuple(COLOURS), samples=tuple(samples))
    write_coco(splits, folder, description="discs")
    return splits


def found_as_labelled(data: DetectionDataset, *, score: float = 1.0) -> list[Detections]:
    """Answer as a detector that knows the labels would."""
    return [
        Detections(
            boxes_xyxy=sample.boxes_xyxy,
            labels=sample.labels,
            scores=np.full(len(sample.labels), score, np.float32),
        )
        for sample in data.samples
    ]


def _draw(path: Path, number: int, rng: np.random.Generator) -> Sample:
    width, height = SIZE_WH
    picture = Image.fromarray(rng.integers(215, 240, (height, width, 3), np.uint8))
    boxes, labels, masks = [], [], []
    for label in ((1,), (2,), (1, 2))[number % 3]:
        radius = int(rng.integers(5, 9))
        # Red on the left half, blue on the right one: discs never overlap.
        left = radius + (label - 1) * width // 2
        x, y = int(rng.integers(left, left + width // 2 - 2 * radius)), int(rng.integers(radius, height - radius))
        mask = Image.new("L", SIZE_WH)
        ImageDraw.Draw(mask).ellipse((x - radius, y - radius, x + radius - 1, y + radius - 1), fill=255)
        picture.paste(tuple(COLOURS.values())[label - 1], mask=mask)
        boxes.append([x - radius, y - radius, x + radius, y + radius])
        labels.append(label)
        masks.append(encode_mask(np.asarray(mask) > 0).model_dump(mode="json"))
    picture.save(path)
    return Sample.of(path, SIZE_WH, boxes, labels, masks)
