"""Boxes and masks turn with their pictures; the frame they were drawn in is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from detection.formats.mending import find_frame, turn_mask, turn_points
from tests.detection.formats.sources import ALL, coco_json, encode, run, voc_xml, write

STORED = (40, 30)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_points_and_masks_go_where_pillow_puts_the_pixels(orientation: int) -> None:
    mask = np.zeros((30, 40), bool)
    mask[3:9, 5:16] = True
    picture = Image.fromarray(mask)
    exif = picture.getexif()
    exif[274] = orientation
    picture.info["exif"] = exif.tobytes()
    expected = np.asarray(ImageOps.exif_transpose(picture))
    assert np.array_equal(turn_mask(mask, orientation), expected)
    corners = turn_points(np.array([[5.0, 3.0], [16.0, 9.0]]), STORED, orientation)
    rows, columns = np.nonzero(expected)
    assert corners.min(axis=0).tolist() == [columns.min(), rows.min()]
    assert corners.max(axis=0).tolist() == [columns.max() + 1, rows.max() + 1]


NONE = np.zeros((0, 2))


@pytest.mark.parametrize(
    ("claimed", "stored", "upright", "corners", "expected"),
    [
        (STORED, STORED, (30, 40), NONE, ("stored", True)),
        ((30, 40), STORED, (30, 40), NONE, ("upright", True)),
        (None, STORED, (30, 40), NONE, ("upright", False)),
        ((800, 600), STORED, (30, 40), NONE, ("upright", False)),
        (None, STORED, (30, 40), np.array([[1.0, 1], [38, 20]]), ("stored", True)),
        (None, STORED, (30, 40), np.array([[1.0, 1], [20, 38]]), ("upright", True)),
        (None, STORED, (30, 40), np.array([[1.0, 1], [20, 20]]), ("upright", False)),
        (None, STORED, (30, 40), np.array([[1.0, 1], [38, 38]]), ("upright", False)),
        (STORED, STORED, STORED, NONE, ("upright", False)),  # half a turn: the sizes say nothing
    ],
)
def test_the_frame(
    claimed: tuple[int, int] | None,
    stored: tuple[int, int],
    upright: tuple[int, int],
    corners: np.ndarray,
    expected: tuple[str, bool],
) -> None:
    assert find_frame(claimed, stored, upright, corners) == expected


def turned_picture() -> bytes:
    """Stored 40 x 30 px with a red block at x 5 to 16, y 3 to 9; upright 30 x 40 px, the block at x 21 to 27."""
    pixels = np.full((30, 40, 3), 200, np.uint8)
    pixels[3:9, 5:16] = (255, 0, 0)
    return encode(Image.fromarray(pixels), "PNG", 6)


@pytest.mark.parametrize(
    ("size_wh", "box"), [((40, 30), (5, 3, 16, 9)), ((30, 40), (21, 5, 27, 16)), (None, (21, 5, 27, 16))]
)
def test_a_box_lies_on_its_object_in_whatever_frame_it_was_drawn(
    source: Path, size_wh: tuple[int, int] | None, box: tuple[int, int, int, int]
) -> None:
    write(source / "a.png", turned_picture())
    write(source / "a.xml", voc_xml("a.png", [("block", box)], size_wh=size_wh))
    imported = run(source, shares=ALL)
    assert imported.boxes["a.png"] == [("block", [21, 5, 27, 16])]
    red = np.asarray(imported.picture("a.png"))[:, :, 1] == 0
    assert red[5:16, 21:27].all()
    assert red.sum() == 66
    turned = "a picture that EXIF turns: turned upright"
    unclear = "a picture that EXIF turns, and nothing says if the boxes are turned: taken as they look upright"
    assert imported.what == ([turned] if size_wh else [turned, unclear])


@pytest.mark.parametrize(
    "segmentation",
    [
        [[5, 3, 16, 3, 16, 9, 5, 9]],
        {"size": [30, 40], "counts": [5 * 30 + 3, 6, *[24, 6] * 10, 24 * 30 + 21]},
    ],
)
def test_masks_turn_with_their_boxes(source: Path, segmentation: object) -> None:
    write(source / "a.png", turned_picture())
    item = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 3, 11, 6], "segmentation": segmentation}
    write(source / "train.json", coco_json([{"id": 1, "file_name": "a.png"}], [item]))
    imported = run(source)
    (found,) = imported.contents["train"]["annotations"]
    assert found["segmentation"]
    assert (found["bbox"], found["area"]) == ([21, 5, 6, 11], 66)
    assert imported.what == ["a picture that EXIF turns: turned upright"]


def test_shares_count_in_the_upright_picture(source: Path) -> None:
    write(source / "a.png", turned_picture())
    write(source / "a.txt", f"0 {24 / 30} {10.5 / 40} {6 / 30} {11 / 40}\n")
    write(source / "classes.txt", "block\n")
    assert run(source, shares=ALL).boxes["a.png"] == [("block", [21, 5, 27, 16])]
