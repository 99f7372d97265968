"""What is measured of each class, on drawn discs."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from detection.calibration.classes import measure_classes
from detection.calibration.scale import BoxScaleEstimator, measure_scales
from detection.datasets.boxes import tight_boxes
from detection.datasets.types import DetectionDataset, Sample
from generator.spec.calibration import ClassCalibration, read_calibration, write_calibration

pytestmark = pytest.mark.slow

# Discs and spots are painted and real. Of the others something is missing: a ghost was never painted; of a shade
# nobody knows which boxes were asked for; of real moons there is but a half, at the border.
NAMES = ("disc", "spot", "ghost", "shade", "moon")
DISC, SPOT, GHOST, SHADE, MOON = range(1, 6)
COLOURS = {DISC: (90, 40, 150), SPOT: (150, 60, 60), GHOST: (60, 120, 60), SHADE: (40, 40, 40), MOON: (120, 120, 30)}

PAINTED_WH = (160, 96)
PAINTED = 24
# Sides asked for over sides painted, of a third of the discs each: the quartiles are 1.4 and 1.6.
ASKED = (1.4, 1.5, 1.6)

REAL_WH = (200, 128)  # the square root of its area is 160 px
LOOSE = 1.2
# Of ten real discs the diameters, and width / height of their boxes. The two in the middle of each are 24 and 1.05.
DIAMETERS = (16, 18, 20, 22, 24, 24, 28, 30, 32, 36)
ASPECTS = (1.2, 1.05, 0.9, 1.1, 1.0, 1.05, 0.9, 1.1, 0.95, 1.1)
# All in the middle from left to right; five in the middle of the upper half, five in that of the lower one.
CENTRES = tuple((100, 32 if number % 2 else 96) for number in range(10))

Box = tuple[float, float, float, float]
Disc = tuple[int, int, int, int]
"""Label, x, y, diameter: an even number of pixels about a corner of pixels."""


def draw(path: Path, size_wh: tuple[int, int], discs: Sequence[Disc]) -> None:
    width, height = size_wh
    noise = np.random.default_rng(len(discs)).normal(190, 6, (height, width, 3))
    picture = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
    for label, x, y, diameter in discs:
        half = diameter // 2
        ImageDraw.Draw(picture).ellipse((x - half, y - half, x + half - 1, y + half - 1), fill=COLOURS[label])
    picture.save(path)


def around(x: float, y: float, side: float, aspect: float = 1.0) -> Box:
    """Box about a point; `side` is the geometric mean of its sides."""
    half_w, half_h = side * math.sqrt(aspect) / 2, side / math.sqrt(aspect) / 2
    return x - half_w, y - half_h, x + half_w, y + half_h


def painted_set(folder: Path) -> DetectionDataset:
    """Pictures with a disc and another thing each; an earlier calibration made their labels 1.1 times the tight box."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    samples = []
    for number in range(PAINTED):
        disc = (DISC, int(rng.integers(36, 50)), int(rng.integers(40, 56)), 2 * int(rng.integers(9, 18)))
        other = ((SPOT, SHADE, MOON)[number % 3], int(rng.integers(114, 126)), 48, 2 * int(rng.integers(6, 9)))
        path = folder / f"{number}.png"
        draw(path, PAINTED_WH, [disc, other])
        scales = ((1.0, 1.0), (1.1, 1.1), (ASKED[number % 3], math.nan if other[0] == SHADE else 1.0))
        tight, labelled, asked = (
            np.array([around(x, y, side * scale) for (_, x, y, side), scale in zip((disc, other), both, strict=True)])
            for both in scales
        )
        samples.append(
            Sample.of(path, PAINTED_WH, labelled, [disc[0], other[0]], requested_xyxy=asked, tight_xyxy=tight)
        )
    # What a border cuts says nothing of sizes: nine times as large as what is seen of it was asked for.
    path = folder / "cut.png"
    draw(path, PAINTED_WH, [(DISC, 0, 0, 20)])
    tight, asked = np.array([[0, 0, 10, 10]]), np.array([[0, 0, 90, 90]])
    cut = Sample.of(path, PAINTED_WH, tight, [DISC], requested_xyxy=asked, tight_xyxy=tight)
    return DetectionDataset(categories=NAMES, samples=(*samples, cut))


def real_set(folder: Path) -> DetectionDataset:
    """Ten whole discs and a spot in boxes 1.2 times their size, ghosts, a shade; and what a border cuts."""
    folder.mkdir()
    samples = []
    for number, ((x, y), diameter, aspect) in enumerate(zip(CENTRES, DIAMETERS, ASPECTS, strict=True)):
        path = folder / f"{number}.png"
        discs = [(DISC, x, y, diameter), (GHOST, 170, 64, 20)]
        if number == 0:
            discs += [(SPOT, 50, 64, 20), (SHADE, 40, 100, 20)]
        draw(path, REAL_WH, discs)
        boxes = [around(x, y, diameter * LOOSE, aspect), *(around(x, y, 20 * LOOSE) for _, x, y, _ in discs[1:])]
        samples.append(Sample.of(path, REAL_WH, boxes, [label for label, *_ in discs]))
    # Large and lying: they would move every median.
    path = folder / "cut.png"
    draw(path, REAL_WH, [(DISC, 0, 64, 80), (DISC, 100, 128, 80), (MOON, 200, 64, 40)])
    boxes = [(0, 30, 48, 98), (40, 90, 160, 128), (176, 40, 200, 88)]
    samples.append(Sample.of(path, REAL_WH, boxes, [DISC, DISC, MOON]))
    return DetectionDataset(categories=NAMES, samples=tuple(samples))


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DetectionDataset, DetectionDataset]]:
    """Real pictures and painted ones; estimators are trained for a third of their time, which is enough for discs."""
    folder = tmp_path_factory.mktemp("sets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BoxScaleEstimator, "fit", staticmethod(functools.partial(BoxScaleEstimator.fit, steps=100)))
        yield real_set(folder / "real"), painted_set(folder / "painted")


def measured(real: DetectionDataset, painted: DetectionDataset) -> dict[str, ClassCalibration]:
    readings = measure_scales(real, tight_boxes(painted))
    return measure_classes(real, painted, {name: reading.scale for name, reading in readings.items()})


@pytest.fixture(scope="module")
def found(sets: tuple[DetectionDataset, DetectionDataset]) -> dict[str, ClassCalibration]:
    return measured(*sets)


def test_whole_boxes_of_classes_that_are_real_and_asked_for_are_measured(found: dict[str, ClassCalibration]) -> None:
    assert list(found) == ["disc", "spot"]
    # Without those that a border cuts.
    assert (found["disc"].real_boxes, found["disc"].painted_boxes) == (10, 24)
    assert (found["spot"].real_boxes, found["spot"].painted_boxes) == (1, 8)


# As if three more boxes had a spread of .15. Squares of the logarithms of diameter / 24 px add up to .6088, those of
# width / height over 1.05 to .0178 + 2 * .0238 + .0024 + .0100 + 3 * .0022 = .0842.
FEW = 3 * 0.15**2
MEASURED = {
    # Asked for over painted: over the tight box, not over the label, which an earlier calibration had made larger.
    "paint_scale": (1.5, 1.0),
    "paint_spread": (math.log(1.6 / 1.4) / 1.349, 0.0),
    # The medians of people's boxes: 24 px times 1.2 of 160 px.
    "side": (0.18, 0.15),
    "aspect": (1.05, 1.0),
    "side_spread": (math.sqrt((0.6088 + FEW) / 13), math.sqrt(FEW / 4)),
    "aspect_spread": (math.sqrt((0.0842 + FEW) / 13), math.sqrt(FEW / 4)),
}


@pytest.mark.parametrize("key", MEASURED)
def test_what_is_measured(found: dict[str, ClassCalibration], key: str) -> None:
    assert (getattr(found["disc"], key), getattr(found["spot"], key)) == pytest.approx(MEASURED[key], abs=1e-4)


def test_the_estimator_says_by_how_much_peoples_boxes_are_larger_than_tight_ones(
    found: dict[str, ClassCalibration],
) -> None:
    # Against labels 1.1 times as large as what was painted it would be 1.09.
    assert 1.1 < found["disc"].label_scale < 1.3


@pytest.mark.parametrize(
    ("name", "axis", "expected"),
    [
        # Ten boxes at .5 and ten anywhere: up to .5 there are a quarter of all, and from there on the last quarter.
        pytest.param("disc", "centres_x", (0, 0.2, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5, 0.6, 0.8, 1), id="one heap"),
        # Five at .25 and five at .75: an eighth of all, 4.5 boxes in the heap, one between the two, and so on.
        pytest.param("disc", "centres_y", (0, 0.2, 0.25, 0.25, 1 / 3, 0.5, 2 / 3, 0.75, 0.75, 0.8, 1), id="two heaps"),
        # One at .25 and ten anywhere: the n-th decile of eleven is 1.1 n of the ten, one less beyond the box.
        pytest.param("spot", "centres_x", (0, 0.11, 0.22, 0.25, 0.34, 0.45, 0.56, 0.67, 0.78, 0.89, 1), id="one box"),
    ],
)
def test_places_are_those_of_the_boxes_among_ten_more_that_lie_anywhere(
    found: dict[str, ClassCalibration], name: str, axis: str, expected: tuple[float, ...]
) -> None:
    # They are read from a grid of two hundredths.
    assert getattr(found[name], axis) == pytest.approx(expected, abs=0.0051)


def test_what_was_measured_survives_its_file(found: dict[str, ClassCalibration], tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    write_calibration(path, found, real="discs")
    assert read_calibration(path, NAMES) == found


def test_without_real_pictures_or_painted_ones_nothing_is_measured(
    sets: tuple[DetectionDataset, DetectionDataset],
) -> None:
    real, painted = sets
    assert measured(real.choose([]), painted) == {}
    assert measured(real, painted.choose([])) == {}
