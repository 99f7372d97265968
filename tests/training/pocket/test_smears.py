from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from generator.foundation.errors import BoxpaintError
from generator.foundation.geometry import Box, square_around
from training.pocket.clip import Saying
from training.pocket.smears import (
    BACKGROUND,
    SCENE,
    SHARES,
    Cell,
    Crop,
    Smear,
    cells_in_view,
    cut,
    empty_square,
    held_out_crops,
    measure_limits,
    read_smears,
    training_crop,
    with_attributes,
)

REAL = Path(__file__).parents[4] / "shared" / "data" / "bccd"
PIXELS = np.zeros((8, 8, 3), np.uint8)
CELL = Crop(pixels=PIXELS, kind="platelet", size="small", tone="dark", purple=True)
VIEW = Crop(pixels=PIXELS, kind=SCENE, num_red=5, others=("platelet",))


def one_photo(folder: Path, objects: str, size_wh: tuple[int, int] = (100, 80)) -> Path:
    for name in ("images", "annotations"):
        (folder / name).mkdir()
    cv2.imwrite(str(folder / "images" / "a.jpg"), np.full((size_wh[1], size_wh[0], 3), 200, np.uint8))
    (folder / "annotations" / "a.xml").write_text(f"<annotation>{objects}</annotation>")
    (folder / "train.txt").write_text("a\n")
    return folder


def voc(name: str, *xyxy: int) -> str:
    corners = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), xyxy, strict=True))
    return f"<object><name>{name}</name><bndbox>{corners}</bndbox></object>"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        # Counted from 1, the last pixel included: columns 11 to 30 are 20 pixels, from 10 on.
        pytest.param((11, 21, 30, 50), [(10, 20, 30, 50)], id="off by one"),
        pytest.param((1, 1, 100, 80), [(0, 0, 100, 80)], id="the whole photo"),
        pytest.param((0, 0, 20, 20), [(0, 0, 20, 20)], id="counted from 0"),
        pytest.param((91, 71, 120, 95), [(90, 70, 100, 80)], id="beyond the edge"),
        pytest.param((11, 21, 11, 50), [], id="no width"),
        pytest.param((11, 21, 17, 50), [], id="seven pixels"),
        pytest.param((11, 21, 18, 50), [(10, 20, 18, 50)], id="eight pixels"),
        pytest.param((30, 21, 11, 50), [], id="the wrong way round"),
    ],
)
def test_boxes_become_half_open_and_degenerate_ones_are_dropped(tmp_path: Path, found, expected) -> None:
    (smear,) = read_smears(one_photo(tmp_path, voc("WBC", *found)), ("train",))
    assert [cell.box.xyxy for cell in smear.cells] == expected


def test_kinds_are_named_in_words_and_unknown_ones_passed_over(tmp_path: Path) -> None:
    folder = one_photo(tmp_path, voc("RBC", 1, 1, 20, 20) + voc("dust", 1, 1, 20, 20) + voc("Platelets", 1, 1, 9, 9))
    (smear,) = read_smears(folder, ("train",))
    assert [cell.kind for cell in smear.cells] == ["red blood cell", "platelet"]


def test_the_drawn_photos_lose_their_degenerate_box(bccd: Path) -> None:
    smears = read_smears(bccd, ("train", "val"))
    assert [len(smear.cells) for smear in smears] == [8] * 4


def test_a_missing_list_and_a_missing_photo_are_said(tmp_path: Path) -> None:
    with pytest.raises(BoxpaintError, match=r"there is no train\.txt"):
        read_smears(tmp_path, ("train",))
    (tmp_path / "train.txt").write_text("a\n")
    with pytest.raises(BoxpaintError, match=r"'a', but .*a\.jpg cannot be read"):
        read_smears(tmp_path, ("train",))


def test_sizes_and_tones_are_thirds_of_a_kind() -> None:
    # Six squares of 10 to 60 px, each darker than the one before; the background is 240.
    image = np.full((100, 400, 3), 240, np.uint8)
    cells = []
    for number in range(6):
        side, x = 10 * (number + 1), 65 * number
        image[:side, x : x + side] = 200 - 30 * number
        cells.append(Cell(kind="platelet", box=Box.from_xywh(x, 0, side, side)))
    smear = Smear(name="a", image=image, cells=tuple(cells))
    limits = measure_limits([smear])
    # Quantiles of 10, 20, ... 60 at a third and two thirds: positions 5/3 and 10/3 of six values.
    assert limits.side_px["platelet"] == pytest.approx((10 + 10 * 5 / 3, 10 + 10 * 10 / 3))
    (described,) = with_attributes([smear], limits)
    assert [cell.size for cell in described.cells] == ["small", "small", "", "", "large", "large"]
    assert [cell.tone for cell in described.cells] == ["pale", "pale", "", "", "dark", "dark"]


def blank(*cells: Cell) -> Smear:
    return Smear(name="a", image=np.zeros((100, 100, 3), np.uint8), cells=cells)


def test_red_cells_are_in_view_by_their_centres_and_stained_ones_by_any_part() -> None:
    smear = blank(
        Cell(kind="red blood cell", box=Box.from_xyxy(40, 0, 58, 10)),  # centre at 49
        Cell(kind="red blood cell", box=Box.from_xyxy(40, 0, 60, 10)),  # centre at 50
        Cell(kind="platelet", box=Box.from_xyxy(49, 0, 60, 10)),
        Cell(kind="white blood cell", box=Box.from_xyxy(50, 0, 60, 10)),
    )
    assert cells_in_view(smear, Box.from_xywh(0, 0, 50, 50)) == (1, ("platelet",))


def test_an_empty_square_touches_nothing_stained() -> None:
    smear = blank(Cell(kind="platelet", box=Box.from_xyxy(0, 0, 60, 100)))
    rng = np.random.default_rng(0)
    found = [square for _ in range(50) if (square := empty_square(smear, 20, rng)) is not None]
    assert found
    assert all(square.x_min >= 60 for square in found)
    assert empty_square(smear, 41, rng) is None


@pytest.mark.parametrize("side", [16, 40, 90])
def test_a_cut_has_the_wished_side(side: int) -> None:
    assert cut(blank(), Box.from_xywh(5, 5, 40, 40), side).shape == (side, side, 3)


@pytest.mark.realdata
@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not there")
def test_the_real_photos_are_all_there() -> None:
    counts = {split: read_smears(REAL, (split,)) for split in ("train", "val", "test")}
    assert {split: len(smears) for split, smears in counts.items()} == {"train": 205, "val": 87, "test": 36}
    assert all(smear.image.shape == (480, 640, 3) for smears in counts.values() for smear in smears)
    names = [smear.name for smears in counts.values() for smear in smears]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("xywh", "margin", "size_wh", "shift", "xyxy"),
    [
        pytest.param((40, 40, 20, 20), 0.0, (100, 100), (0, 0), (40, 40, 60, 60), id="no margin"),
        pytest.param((40, 45, 20, 10), 0.5, (100, 100), (0, 0), (30, 30, 70, 70), id="by the longer side"),
        pytest.param((10, 10, 20, 10), 0.5, (100, 100), (0, 0), (0, 0, 40, 40), id="pushed inside"),
        # A margin of 0.5 of 20 px is 10 px: a shift of 1 moves it by all of it.
        pytest.param((40, 40, 20, 20), 0.5, (100, 100), (1, -1), (40, 20, 80, 60), id="shifted"),
        pytest.param((0, 0, 90, 50), 0.5, (100, 60), (0, 0), (15, 0, 75, 60), id="cut down to the picture"),
        pytest.param((90, 90, 10, 10), 0.5, (100, 100), (0, 0), (80, 80, 100, 100), id="in the last corner"),
    ],
)
def test_squares_around_boxes(xywh, margin: float, size_wh, shift, xyxy) -> None:
    assert square_around(Box.from_xywh(*xywh), margin=margin, size_wh=size_wh, shift=shift).xyxy == xyxy


def test_training_crops_follow_their_seed_and_show_every_kind(bccd: Path) -> None:
    smears = read_smears(bccd, ("train",))
    smears = with_attributes(smears, measure_limits(smears))
    first, again = ([training_crop(smears, 16, np.random.default_rng(seed)) for seed in range(40)] for _ in range(2))
    assert {crop.kind for crop in first} == set(SHARES)
    for a, b in zip(first, again, strict=True):
        assert a.pixels.shape == (16, 16, 3)
        assert a.pixels.dtype == np.uint8
        np.testing.assert_array_equal(a.pixels, b.pixels)


def test_held_out_crops_hold_every_stained_cell_and_as_many_of_the_rest_as_platelets(bccd: Path) -> None:
    crops = held_out_crops(read_smears(bccd, ("test",)), 16, np.random.default_rng(0))
    count = {kind: sum(crop.kind == kind for crop in crops) for kind in SHARES}
    # Two photos, each with one white cell, two platelets and five red cells; not every empty square is found.
    assert (count["white blood cell"], count["platelet"], count["red blood cell"], count[SCENE]) == (2, 4, 4, 0)
    assert 0 < count[BACKGROUND] <= 4


@pytest.mark.parametrize(
    ("said", "crop", "true"),
    [
        ({"kind": "platelet"}, CELL, True),
        ({"kind": "platelet", "size": "small", "tone": "dark", "purple": True}, CELL, True),
        ({"kind": "platelet", "size": "large"}, CELL, False),
        ({"kind": "platelet", "tone": "pale"}, CELL, False),
        ({"kind": "white blood cell"}, CELL, False),
        ({"kind": "platelet", "purple": True}, Crop(pixels=PIXELS, kind="platelet"), False),
        ({"kind": SCENE, "amount": "some", "others": ("platelet",)}, VIEW, True),
        ({"kind": SCENE, "amount": "many", "others": ("platelet",)}, VIEW, False),
        ({"kind": SCENE, "amount": "some"}, VIEW, False),
        ({"kind": BACKGROUND}, VIEW, False),
    ],
)
def test_a_saying_is_true_of_crops_that_show_it(said, crop: Crop, true: bool) -> None:
    assert Saying(text="...", **said).is_true_of(crop) is true
