"""Splits that hold the same share of every category, and keep on one side what belongs together.

Iterative stratification after Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data" (2011): the
rarest category is dealt out first, each time to the split that wants it most. Dealt out are whole groups.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from detection.datasets.types import DetectionDataset
from generator.foundation.errors import ConfigError, DatasetError, Fault
from generator.foundation.seeds import derive_rng

DEFAULT_SHARES = {"train": 0.8, "val": 0.2}
# Position below the seed: generator/foundation/seeds.py.
_SPLIT = 0
_EXAMPLE = "name=share pairs that sum to 1 are needed, such as train=0.7,val=0.15,test=0.15"


def parse_shares(text: str) -> dict[str, float]:
    """Read "train=0.7,val=0.15,test=0.15". Raises ConfigError."""

    def fault(expected: str) -> ConfigError:
        return ConfigError([Fault(file="--split", found=text, expected=f"{expected}; {_EXAMPLE}")])

    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition("="))
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise fault(f"{name!r} is no name of a split")
        if name in shares:
            raise fault(f"{name!r} is named twice")
        try:
            shares[name] = float(number)
        except ValueError:
            raise fault(f"{number!r} is no number") from None
        if not 0 < shares[name] <= 1:
            raise fault(f"{number} is not above 0 and at most 1")
    if not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
        raise fault(f"they sum to {sum(shares.values()):g}")
    return shares


def split_set(
    data: DetectionDataset, shares: Mapping[str, float], seed: int, groups: Sequence[int] | None = None
) -> dict[str, DetectionDataset]:
    """Split a set: name -> its pictures, in their order, with close to the asked share of those of each category.

    `shares` sum to 1. Pictures of one number in `groups` (one for each picture) stay together; None: each is its own.
    The same set, shares, seed and groups give the same splits. No split is empty: raises DatasetError when there are
    fewer groups than splits.
    """
    units: dict[int, list[int]] = {}
    for position, group in enumerate(groups if groups is not None else range(len(data))):
        units.setdefault(group, []).append(position)
    if len(units) < len(shares):
        expected = f"{len(units)} x pictures that stay together cannot fill {len(shares)} splits ({', '.join(shares)})"
        raise DatasetError([Fault(file="splits", expected=expected)])
    members = list(units.values())
    counts = np.array([_present(data, unit).sum(axis=0) for unit in members], float)
    chosen = _deal_out(counts, np.array([len(unit) for unit in members], float), np.array([*shares.values()]), seed)
    positions: dict[str, list[int]] = {name: [] for name in shares}
    for unit, number in zip(members, chosen, strict=True):
        positions[list(shares)[number]] += unit
    return {name: data.choose(sorted(found)) for name, found in positions.items()}


def _present(data: DetectionDataset, unit: Sequence[int]) -> np.ndarray:
    """Which categories are in which picture, (pictures, categories + 1); the last column says: none."""
    present = np.zeros((len(unit), len(data.categories) + 1))
    for row, position in enumerate(unit):
        labels = data.samples[position].labels
        present[row, labels - 1 if len(labels) else -1] = 1
    return present


def _deal_out(counts: np.ndarray, sizes: np.ndarray, shares: np.ndarray, seed: int) -> list[int]:
    """Give every unit (counts: (units, categories), sizes: (units,) pictures) the number of a split."""
    rng = derive_rng(seed, _SPLIT)
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]  # large groups while there is room
    wanted = shares[:, None] * counts.sum(axis=0)
    room = shares * sizes.sum()
    chosen = np.full(len(sizes), -1)
    while len(left := order[chosen[order] < 0]):
        remaining = counts[left].sum(axis=0)
        rarest = int(np.argmin(np.where(remaining > 0, remaining, np.inf)))
        for unit in left[counts[left, rarest] > 0]:
            best = int(np.lexsort((rng.random(len(shares)), -room, -wanted[:, rarest]))[0])
            chosen[unit] = best
            wanted[best] -= counts[unit]
            room[best] -= sizes[unit]
    _fill_empty(chosen, sizes, len(shares))
    return [int(number) for number in chosen]


def _fill_empty(chosen: np.ndarray, sizes: np.ndarray, count: int) -> None:
    """Move the smallest unit of the split with the most of them to one that has none: small sets leave some empty."""
    for empty in range(count):
        if not np.any(chosen == empty):
            donor = int(np.argmax(np.bincount(chosen, minlength=count)))
            units = np.flatnonzero(chosen == donor)
            chosen[units[np.argmin(sizes[units])]] = empty
