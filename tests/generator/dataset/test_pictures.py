from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generator.dataset.pictures import PALETTE, category_colours, draw_boxes, draw_record, preview_plan, spread, tile
from generator.foundation.errors import DatasetError
from generator.foundation.geometry import Box
from generator.plan import ScenePlan
from tests.generator.records import painted_object, record_of_objects

YELLOW, BLUE = (0xF0, 0xE4, 0x42), (0x56, 0xB4, 0xE9)


def grey(width: int = 60, height: int = 40) -> Image.Image:
    return Image.new("RGB", (width, height), (100, 100, 100))


@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [
        (0, 5, []),
        (3, 5, [0, 1, 2]),
        (5, 5, [0, 1, 2, 3, 4]),
        (10, 3, [0, 4, 9]),
        (10, 1, [0]),
        (10, 0, []),
        (1_000_000, 2, [0, 999_999]),
    ],
)
def test_spread(total: int, count: int, expected: list[int]) -> None:
    assert spread(total, count) == expected
    assert all(len(set(spread(total, 24))) == 24 for total in range(25, 80, 7)), "no position twice"


def test_colours_follow_the_order_and_start_again() -> None:
    names = [f"class {number}" for number in range(10)]
    colours = category_colours(names)
    assert list(colours) == names
    assert list(colours.values()) == [*PALETTE, *PALETTE[:2]]
    assert category_colours([]) == {}


def test_boxes_are_drawn_on_their_outermost_pixels_of_a_copy() -> None:
    picture, items, colours = grey(), [("cell", Box.from_xywh(10, 5, 20, 12))], {"cell": PALETTE[0]}
    drawn = np.asarray(draw_boxes(picture, items, colours))
    assert np.asarray(picture).std() == 0, "the picture itself stays"
    ys, xs = np.nonzero((drawn == YELLOW).all(axis=2))
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == (10, 5, 29, 16)
    assert tuple(drawn[10, 20]) == (100, 100, 100), "hollow"
    assert not np.array_equal(np.asarray(draw_boxes(picture, items, colours, names=True)), drawn), "its name beside it"


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (0, 0, 60, 40), (59, 39, 60, 40), (30, 0, 31, 40)])
@pytest.mark.parametrize("names", [False, True])
def test_boxes_of_any_size_can_be_drawn(box: tuple[int, int, int, int], names: bool) -> None:
    item = ("größer 日本 🩸", Box.from_xyxy(*box))
    drawn = draw_boxes(grey(), [item], {item[0]: PALETTE[1]}, names=names)
    assert drawn.size == (60, 40)
    assert np.asarray(drawn).std() > 0
    assert np.array_equal(np.asarray(draw_boxes(grey(), [], {})), np.asarray(grey()))


@pytest.mark.parametrize(
    ("count", "columns", "cell_width", "size"),
    [
        # A gap of 4 px around every cell; 60 x 40 at 30 px is 30 x 20.
        (1, 1, 30, (38, 28)),
        (3, 2, 30, (72, 52)),
        (4, 4, 60, (260, 48)),
    ],
)
def test_tile(count: int, columns: int, cell_width: int, size: tuple[int, int]) -> None:
    pictures = [Image.new("RGB", (60, 40), (50 + number, 0, 200)) for number in range(count)]
    sheet = tile(pictures, columns=columns, cell_width=cell_width)
    assert sheet.size == size
    for number in range(count):
        row, column = divmod(number, columns)
        centre = (4 + column * (cell_width + 4) + cell_width // 2, 4 + row * (cell_width * 2 // 3 + 4) + 8)
        assert sheet.getpixel(centre) == (50 + number, 0, 200)
    assert sheet.getpixel((0, 0)) == (0x20, 0x20, 0x20)


def test_a_plan_is_previewed_in_colours_of_its_categories() -> None:
    placements = tuple(
        replace(painted_object(number, name, None, canvas_wh=(400, 300)).placement, box=Box.from_xywh(x, 60, 100, 100))
        for number, (name, x) in enumerate([("platelet", 20), ("cell", 200)])
    )
    scene = ScenePlan(index=0, split="train", prompt="s", negative_prompt="", seed=0, placements=placements)
    scenes = [replace(scene, index=index) for index in range(3)]
    sheet = preview_plan(scenes, (400, 300), ["cell", "platelet"], columns=2)
    assert sheet.size == (2 * 304 + 4, 2 * 229 + 4)
    bare = [replace(scene, placements=()) for scene in scenes[:1]]
    assert preview_plan(bare, (96, 64), []).size == (308, 208)
    one = np.asarray(preview_plan(scenes[:1], (300, 200), ["cell", "platelet"]))
    # At 300 px a cell there is no scaling: the left edge of the first box, and of the second.
    assert tuple(one[4 + 120, 4 + 20]) == BLUE
    assert tuple(one[4 + 120, 4 + 200]) == YELLOW


def test_a_record_shows_what_was_painted_not_what_was_asked_for(tmp_path: Path) -> None:
    grey().save(tmp_path / "000000.png")

    mask = np.zeros((40, 60), bool)
    mask[8:20, 10:22] = True
    objects = [painted_object(number, "cell", mask, canvas_wh=(60, 40)) for number, mask in enumerate((mask, None))]
    record = record_of_objects(objects, canvas_wh=(60, 40))
    drawn = np.asarray(draw_record(record, tmp_path, {"cell": PALETTE[0]}))
    ys, xs = np.nonzero((drawn != 100).any(axis=2))
    assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == (10, 8, 22, 20)
    whole = (tmp_path / "000000.png").read_bytes()
    for damaged in (b"", whole[:60], b"text"):
        (tmp_path / "000000.png").write_bytes(damaged)
        with pytest.raises(DatasetError, match=r"000000\.png: cannot be read .* remove it"):
            draw_record(record, tmp_path, {"cell": PALETTE[0]})
