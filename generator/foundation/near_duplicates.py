"""Pictures that show nearly the same: on both sides of a split they make a score too good.

Two perceptual hashes of 64 bits each must agree, pHash (low frequencies) and dHash (gradients):
https://www.phash.org, https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html. Both forgive
another size, compression or brightness, not a turn or a flip.
"""

from __future__ import annotations

from collections.abc import Sequence

import imagehash
import numpy as np
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

# Bits that may differ. Measured on BCCD, 328 photos: of 53,628 pairs one is a near-duplicate, 4 and 3 bits apart; the
# next is 14 and 15 apart. Saved as JPEG 30, halved, 1.3 times as bright or with 2 % cut off each side, photos stay
# within 10 and 9; with 5 % cut off, two in five do.
MAX_PHASH_BITS, MAX_DHASH_BITS = 10, 12
HASH_BITS = 64
# The hashes look at 32 x 32 and 9 x 8 pixels: shrinking by whole factors first takes a tenth of the time.
_SHORT_SIDE_PX = 128
_BLOCK = 2048


def picture_hash(picture: Image.Image) -> np.ndarray:
    """Hash a picture: (128,) bool, pHash before dHash."""
    grey = picture.convert("L")
    small = grey.reduce(max(1, min(grey.size) // _SHORT_SIDE_PX))
    parts = [imagehash.phash(small).hash, imagehash.dhash(small).hash]
    return np.concatenate([part.reshape(-1) for part in parts]).astype(bool)


def group_hashes(hashes: np.ndarray) -> list[int]:
    """Group hashes, (N, 128) bool, of which both halves are near; what is near to the same is one group, too."""
    signs = hashes.astype(np.float32) * 2 - 1
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(signs), _BLOCK):
        block = signs[start : start + _BLOCK]
        near = np.ones((len(block), len(signs)), bool)
        for half, most in ((slice(0, HASH_BITS), MAX_PHASH_BITS), (slice(HASH_BITS, None), MAX_DHASH_BITS)):
            # Of two vectors of signs the product is the bits that agree less those that differ.
            near &= HASH_BITS - block[:, half] @ signs[:, half].T <= 2 * most
        rows, columns = np.nonzero(near)
        pairs += [(start + int(row), int(column)) for row, column in zip(rows, columns, strict=True)]
    return _connect(len(hashes), pairs)


def merge_groups(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """Join two ways to group the same things: what is together in one of them is together."""
    pairs = []
    for groups in (first, second):
        leaders: dict[int, int] = {}
        pairs += [(leaders.setdefault(group, position), position) for position, group in enumerate(groups)]
    return _connect(len(first), pairs)


def _connect(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Number the connected parts of a graph by first appearance."""
    rows, columns = np.array(pairs, int).reshape(-1, 2).T
    graph = coo_matrix((np.ones(len(rows), bool), (rows, columns)), shape=(count, count))
    numbers: dict[int, int] = {}
    return [numbers.setdefault(int(part), len(numbers)) for part in connected_components(graph, directed=False)[1]]
