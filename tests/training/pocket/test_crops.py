from pathlib import Path

import numpy as np
import pytest

from generator.foundation.geometry import Box, square_around
from training.pocket.clip import Saying
from training.pocket.smears import (
    BACKGROUND,
    SCENE,
    SHARES,
    Crop,
    held_out_crops,
    measure_limits,
    read_smears,
    training_crop,
    with_attributes,
)

PIXELS = np.zeros((8, 8, 3), np.uint8)


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


CELL = Crop(pixels=PIXELS, kind="platelet", size="small", tone="dark", purple=True)
VIEW = Crop(pixels=PIXELS, kind=SCENE, num_red=5, others=("platelet",))


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
