from pathlib import Path

import cv2
import numpy as np
import pytest

from generator.foundation.errors import BoxpaintError
from generator.foundation.geometry import Box
from training.pocket.smears import (
    Cell,
    Smear,
    cells_in_view,
    cut,
    empty_square,
    measure_limits,
    read_smears,
    with_attributes,
)

REAL = Path(__file__).parents[4] / "shared" / "data" / "bccd"


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
