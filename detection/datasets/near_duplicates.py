"""Which pictures on disk show nearly the same: foundation/near_duplicates.py says what that is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from detection.datasets.read import open_rgb
from generator.foundation.near_duplicates import HASH_BITS, group_hashes, picture_hash


def near_duplicate_groups(paths: Iterable[Path]) -> list[int]:
    """Number the groups of pictures that look alike: one number for each path, counted from 0 by first appearance.

    Raises DatasetError when a picture cannot be read.
    """
    hashes = [picture_hash(open_rgb(path)) for path in paths]
    return group_hashes(np.array(hashes, bool).reshape(-1, 2 * HASH_BITS))
