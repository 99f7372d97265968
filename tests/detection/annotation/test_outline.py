"""What stands out in a box becomes its mask."""

from __future__ import annotations

import numpy as np
import pytest

from detection.annotation.outline import outline


def disc_on_grey(size_wh: tuple[int, int], centre_xy: tuple[int, int], radius: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[: size_wh[1], : size_wh[0]]
    disc = (x - centre_xy[0]) ** 2 + (y - centre_xy[1]) ** 2 < radius**2
    noise = np.random.default_rng(0).integers(-8, 9, (size_wh[1], size_wh[0], 3))
    picture = np.where(disc[..., None], (200, 40, 60), (150, 150, 150)) + noise
    return np.clip(picture, 0, 255).astype(np.uint8), disc


@pytest.mark.parametrize("centre_xy", [(40, 30), (14, 14), (66, 46)])
def test_a_disc_is_outlined(centre_xy: tuple[int, int]) -> None:
    picture, disc = disc_on_grey((80, 60), centre_xy, 12)
    x, y = centre_xy
    box = np.array([x - 14, y - 14, x + 14, y + 14], np.float32)
    found = outline(picture, box)
    assert found is not None
    assert (found & disc).sum() / (found | disc).sum() > 0.9
    assert np.array_equal(found, outline(picture, box))


@pytest.mark.parametrize(
    "box",
    [
        pytest.param([10, 10, 12, 40], id="too thin to tell"),
        pytest.param([0, 0, 80, 60], id="the whole picture: nothing lies around it"),
        pytest.param([-5, -5, 200, 100], id="more than the picture"),
    ],
)
def test_where_nothing_can_stand_out_there_is_no_mask(box: list[float]) -> None:
    picture, _ = disc_on_grey((80, 60), (40, 30), 12)
    assert outline(picture, np.array(box, np.float32)) is None
