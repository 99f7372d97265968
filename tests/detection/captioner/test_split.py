from __future__ import annotations

from pathlib import Path

from detection.captioner.split import split_pictures
from detection.captioner.table import read_caption_table


def test_no_picture_is_on_both_sides_and_each_side_has_one(discs: Path) -> None:
    table = read_caption_table(discs, discs.parent / "images")
    for share, count in ((0.01, 1), (0.25, 6), (0.99, 23)):
        split = split_pictures(table, val_share=share, seed=3)
        assert len(split.val) == count
        assert set(split.train) | set(split.val) == set(table.captions)
        assert not set(split.train) & set(split.val)
    assert split_pictures(table, val_share=0.25, seed=3) != split_pictures(table, val_share=0.25, seed=4)
