"""Pictures on disk that show nearly the same; how near, tests/generator/foundation knows."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detection.datasets.near_duplicates import near_duplicate_groups
from generator.foundation.errors import DatasetError


def test_files_are_grouped_in_their_order(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.jpg")]
    for path, seed in zip(paths, (0, 1, 0), strict=True):
        coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
        Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC).save(path)
    assert near_duplicate_groups(paths) == [0, 1, 0]


def test_no_picture_and_one_that_cannot_be_read(tmp_path: Path) -> None:
    assert near_duplicate_groups([]) == []
    (tmp_path / "a.png").write_bytes(b"words")
    with pytest.raises(DatasetError, match=r"a\.png"):
        near_duplicate_groups([tmp_path / "a.png"])
