from __future__ import annotations

import cv2
import numpy as np
import pytest

from detection.calibration.extent import object_extent


def _smear(size_wh: tuple[int, int] = (120, 100)) -> np.ndarray:
    """Grey with the grain of a camera."""
    rng = np.random.default_rng(7)
    return rng.normal(190, 6, (size_wh[1], size_wh[0], 3)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("radii", [(10, 10), (20, 12), (9, 18)])
@pytest.mark.parametrize("scale", [1.0, 1.25, 1.6])
def test_an_ellipse_is_as_large_as_it_was_drawn(radii: tuple[int, int], scale: float) -> None:
    picture = cv2.ellipse(_smear(), (60, 50), radii, 0, 0, 360, (90, 40, 150), -1)
    half = np.array(radii) * scale
    extent = object_extent(picture, [60.5 - half[0], 50.5 - half[1], 60.5 + half[0], 50.5 + half[1]])
    assert extent is not None
    # A pixel of the window is up to a 24th of the box, and the drawn ellipse is a pixel wider than twice its radius.
    assert extent == pytest.approx((1 / scale, 1 / scale), abs=0.12)


def test_a_neighbour_is_not_taken_in() -> None:
    picture = cv2.circle(_smear(), (60, 50), 12, (90, 40, 150), -1)
    picture = cv2.circle(picture, (85, 50), 8, (90, 40, 150), -1)
    extent = object_extent(picture, [45, 35, 75, 65])
    assert extent is not None
    assert extent == pytest.approx((25 / 30, 25 / 30), abs=0.1)


@pytest.mark.parametrize("box", [[0, 40, 20, 60], [40, 0, 60, 20], [105, 40, 120, 60], [40, 85, 60, 100]])
def test_an_object_at_the_edge_is_not_measured(box: list[float]) -> None:
    assert object_extent(_smear(), box) is None


def test_one_flat_colour_has_nothing_to_measure() -> None:
    extent = object_extent(np.full((60, 60, 3), 128, np.uint8), [20, 20, 40, 40])
    assert extent is None or extent == pytest.approx((2.0, 2.0), abs=1.1)


def test_the_same_twice() -> None:
    picture = cv2.circle(_smear(), (60, 50), 14, (120, 80, 150), -1)
    assert object_extent(picture, [40, 30, 80, 70]) == object_extent(picture, [40, 30, 80, 70])
