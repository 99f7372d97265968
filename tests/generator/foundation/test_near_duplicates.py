"""Near-duplicates are found through what people do to pictures, and others are left apart."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from generator.foundation.near_duplicates import (
    HASH_BITS,
    MAX_DHASH_BITS,
    MAX_PHASH_BITS,
    group_hashes,
    merge_groups,
    picture_hash,
)

BCCD = Path(__file__).parents[3].parent / "shared" / "data" / "bccd"


def draw(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC)


def as_jpeg(picture: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=30)
    return Image.open(stream)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "the same": lambda picture: picture,
    "jpeg": as_jpeg,
    "half": lambda picture: picture.resize((160, 120)),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.2),
    "grey": lambda picture: picture.convert("L"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_copy_is_found_among_others(change: Callable[[Image.Image], Image.Image]) -> None:
    pictures = [change(draw(4)) if number == 9 else draw(number) for number in range(12)]
    assert group_hashes(np.stack([*map(picture_hash, pictures)])) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 4, 9, 10]


def flipped(base: np.ndarray, first: int, second: int) -> np.ndarray:
    """A hash with so many other bits in each half."""
    changed = base.copy()
    changed[:first] ^= True
    changed[HASH_BITS : HASH_BITS + second] ^= True
    return changed


@pytest.mark.parametrize(
    ("first", "second", "near"),
    [
        (0, 0, True),
        (MAX_PHASH_BITS, MAX_DHASH_BITS, True),
        (MAX_PHASH_BITS + 1, 0, False),
        (0, MAX_DHASH_BITS + 1, False),
    ],
)
def test_both_hashes_must_agree(first: int, second: int, near: bool) -> None:
    base = np.random.default_rng(0).random(2 * HASH_BITS) < 0.5
    groups = group_hashes(np.stack([base, flipped(base, first, second)]))
    assert groups == ([0, 0] if near else [0, 1])


def test_groups_are_chains_and_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    base = np.random.default_rng(0).random((5, 2 * HASH_BITS)) < 0.5
    hashes = np.stack([base[0], base[1], flipped(base[0], 8, 0), flipped(base[0], 16, 0), base[2]])
    assert group_hashes(hashes) == [0, 1, 0, 0, 2]
    monkeypatch.setattr("generator.foundation.near_duplicates._BLOCK", 2)
    assert group_hashes(hashes) == [0, 1, 0, 0, 2]


@pytest.mark.parametrize(
    ("first", "second", "merged"),
    [
        ([], [], []),
        ([0, 1, 2], [0, 1, 2], [0, 1, 2]),
        ([0, 0, 1, 2], [5, 6, 6, 7], [0, 0, 0, 1]),
        ([7, 8, 7, 9], [0, 1, 2, 1], [0, 1, 0, 1]),
    ],
)
def test_merging(first: list[int], second: list[int], merged: list[int]) -> None:
    assert merge_groups(first, second) == merged


@pytest.mark.realdata
@pytest.mark.skipif(not BCCD.is_dir(), reason="the blood smears are not here")
def test_of_the_blood_smears_two_are_the_same_field() -> None:
    pictures = sorted((BCCD / "images").glob("BloodImage_000[0-9]*.jpg"))
    hashes = [picture_hash(Image.open(path)) for path in pictures]
    groups = group_hashes(np.stack(hashes))
    twins = [path.stem for path, group in zip(pictures, groups, strict=True) if groups.count(group) > 1]
    assert twins == ["BloodImage_00037", "BloodImage_00038"]
