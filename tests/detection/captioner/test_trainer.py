"""Pictures in batches: upright, RGB, in their order, without those that cannot be decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from detection.captioner.trainer import PictureReader


def as_it_is(pictures: list[np.ndarray], **_: str) -> dict[str, Any]:
    return {"pixel_values": torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)}


@pytest.fixture()
def reader(tmp_path: Path) -> PictureReader:
    return PictureReader(tmp_path, as_it_is)


def test_no_batches(reader: PictureReader) -> None:
    assert list(reader.batches([])) == []


def test_batches_keep_their_order_and_leave_out_what_is_broken(reader: PictureReader, tmp_path: Path) -> None:
    for number in range(5):
        Image.new("L", (2, 2), number).save(tmp_path / f"{number}.png")
    broken, gone = tmp_path / "broken.png", tmp_path / "gone.png"
    broken.write_bytes(b"no picture")
    good = [(tmp_path / f"{number}.png", str(number)) for number in range(5)]
    batches = [[good[0], (broken, "x"), good[1]], [(gone, "y")], [*good[2:]]]
    read = [batch and (batch[0][:, 0, 0, 0].tolist(), batch[1]) for batch in reader.batches(batches)]
    assert read == [([0, 1], ["0", "1"]), None, ([2, 3, 4], ["2", "3", "4"])]
    assert sorted(reader.unreadable) == ["broken.png", "gone.png"]


def test_pictures_come_upright(reader: PictureReader, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new("RGB", (4, 2)).save(tmp_path / "a.jpg", exif=exif)
    picture = reader.read(tmp_path / "a.jpg")
    assert picture is not None
    assert picture.shape == (4, 2, 3)
