"""Which real pictures a training may see: drawn by seed, nested, the same for every arm."""

from __future__ import annotations

import numpy as np

from detection.datasets.types import DetectionDataset
from generator.foundation.seeds import derive_rng

# Positions below the experiment's seed, see generator/foundation/seeds.py.
SUBSET, TRAINING, PAINTED_ORDER, PASTING, RESAMPLING = range(5)


def subset_order(data: DetectionDataset, seed: int, subset: int) -> list[int]:
    """Positions of all pictures in the order in which subset number `subset` takes them.

    A shuffle; but pictures that bring a category which none before them shows come first, so that three pictures hold
    every category wherever that is possible. The first n of the order are the subset of n pictures: a larger subset
    of the same number holds the smaller one.
    """
    shuffled = [int(position) for position in derive_rng(seed, SUBSET, subset).permutation(len(data))]
    first: list[int] = []
    seen: set[int] = set()
    for position in shuffled:
        labels = {int(label) for label in data.samples[position].labels}
        if not labels <= seen:
            first.append(position)
            seen |= labels
    return [*first, *(position for position in shuffled if position not in first)]


def choose_subset(data: DetectionDataset, seed: int, subset: int, number: int) -> DetectionDataset:
    """Subset `subset` of `number` pictures. Raises ValueError when there are not so many."""
    if number > len(data):
        raise ValueError(f"{number} of {len(data)} pictures")
    return data.choose(subset_order(data, seed, subset)[:number])


def shuffle_painted(data: DetectionDataset, seed: int, number: int) -> DetectionDataset:
    """The first so many painted pictures by name, in an order of the seed's.

    By name, so that a folder that holds more gives what one that was painted with so many does; shuffled, since scenes
    of one prompt lie together on disk, and the value curve takes the first ones.
    """
    names = [sample.path.name for sample in data.samples]
    by_name = sorted(range(len(data)), key=names.__getitem__)[:number]
    order = derive_rng(seed, PAINTED_ORDER).permutation(number)
    return data.choose(int(position) for position in np.array(by_name)[order])
