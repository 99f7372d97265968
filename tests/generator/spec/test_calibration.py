"""calibration.json: sizes and places that are drawn from it, the file there and back, and every mistake in it."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.foundation.errors import SpecError
from generator.spec.calibration import DECILES, ClassCalibration, centres_between, read_calibration, write_calibration

PROPERTY = settings(max_examples=300, deadline=None, derandomize=True, database=None)
CANVAS_WH = (400, 100)  # the square root of its area is 200 px
EVEN = tuple(place / 10 for place in range(DECILES))
MEASURED: dict[str, Any] = {
    "label_scale": 1.25,
    "paint_scale": 1.5,
    "paint_spread": 0.3,
    "side": 0.25,
    "side_spread": 0.5,
    "aspect": 1.0,
    "aspect_spread": 0.2,
    "ground": EVEN,
    "centres_x": EVEN,
    "centres_y": EVEN,
    "real_boxes": 10,
    "painted_boxes": 100,
}
# Draws whose places on the bell curve are known: its middle, and one standard deviation to either side.
MIDDLE, ONE_ABOVE, ONE_BELOW = 0.5, NormalDist().cdf(1), NormalDist().cdf(-1)

DRAWS = st.floats(0, 1, exclude_max=True)
SHARES = st.floats(0, 1)
DECILE_TUPLES = st.lists(SHARES, min_size=DECILES, max_size=DECILES).map(lambda places: tuple(sorted(places)))
LIMITS = st.tuples(SHARES, SHARES).map(lambda pair: (min(pair), max(pair)))


def measured(**changes: object) -> ClassCalibration:
    return ClassCalibration(**{**MEASURED, **changes})


# Sizes.


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # A quarter of 200 px are the 50 px of people's boxes, and 50 * 1.5 / 1.25 = 60.
        pytest.param({}, (60, 60), id="a square"),
        pytest.param({"aspect": 4.0}, (120, 30), id="four times as wide as high"),
        pytest.param({"aspect": 0.25}, (30, 120), id="four times as high as wide"),
        pytest.param({"paint_scale": 1.0, "label_scale": 1.0}, (50, 50), id="people draw and the painter paints tight"),
        pytest.param(
            {"paint_scale": 2.0, "label_scale": 1.0}, (100, 100), id="the painter paints half of what it is asked"
        ),
        pytest.param({"paint_scale": 1.0, "label_scale": 2.0}, (25, 25), id="people draw twice the object"),
        pytest.param({"side": 1.0}, (240, 240), id="larger than the canvas is high: cut by the plan, not here"),
    ],
)
def test_the_middle_draw_is_the_median_of_real_boxes_turned_into_what_to_ask_for(
    changes: dict[str, float], expected: tuple[float, float]
) -> None:
    assert measured(**changes).draw_size((MIDDLE, MIDDLE), CANVAS_WH) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("side_spread", "paint_spread", "left"),
    [
        pytest.param(0.5, 0.0, 0.5, id="a painter that scatters nothing takes nothing off"),
        pytest.param(0.5, 0.3, 0.4, id="squares are taken off: .25 - .09 = .16"),
        pytest.param(0.5, 0.48, 0.25, id=".25 - .2304 = .0196 is less than a quarter of .25: half the spread is left"),
        pytest.param(0.5, 0.5, 0.25, id="a painter that scatters as much"),
        pytest.param(0.5, 2.0, 0.25, id="a painter that scatters more"),
        pytest.param(0.0, 0.3, 0.0, id="real objects all of one size"),
    ],
)
def test_what_the_painter_scatters_is_not_asked_for_too(side_spread: float, paint_spread: float, left: float) -> None:
    found = measured(side_spread=side_spread, paint_spread=paint_spread)
    for draw, sign in ((ONE_ABOVE, 1), (ONE_BELOW, -1)):
        width, height = found.draw_size((draw, MIDDLE), CANVAS_WH)
        assert width == height == pytest.approx(60 * math.exp(sign * left))


def test_the_second_draw_changes_the_shape_and_not_the_area() -> None:
    found = measured(aspect=2.0, aspect_spread=0.2)
    for draw, sign in ((ONE_ABOVE, 1), (ONE_BELOW, -1)):
        width, height = found.draw_size((MIDDLE, draw), CANVAS_WH)
        assert width / height == pytest.approx(2 * math.exp(sign * 0.2))
        assert width * height == pytest.approx(60 * 60)


@pytest.mark.parametrize(
    ("tail", "last"), [(0.0, 0.025), (1e-9, 0.025), (0.02, 0.025), (0.98, 0.975), (1 - 1e-12, 0.975)]
)
def test_tails_are_clipped_to_the_middle_95_percent(tail: float, last: float) -> None:
    found = measured()
    assert found.draw_size((tail, tail), CANVAS_WH) == pytest.approx(found.draw_size((last, last), CANVAS_WH))
    # 1.96 standard deviations: of the logarithm of the side .4 each.
    width, height = found.draw_size((tail, MIDDLE), CANVAS_WH)
    assert abs(math.log(width / 60)) == abs(math.log(height / 60)) == pytest.approx(1.96 * 0.4, abs=1e-4)


# Places.


@pytest.mark.parametrize(
    ("deciles", "limits", "draw", "expected"),
    [
        pytest.param(EVEN, (0.0, 1.0), 0.37, 0.37, id="anywhere"),
        pytest.param(EVEN, (0.5, 1.0), 0.5, 0.75, id="the right half"),
        pytest.param(EVEN, (0.2, 0.6), 0.25, 0.3, id="a part"),
        pytest.param(EVEN, (0.3, 0.3), 0.8, 0.3, id="only one place is left"),
        # Eight tenths are a heap at .1; one lies evenly to its left, one evenly to its right.
        pytest.param((0.0, *[0.1] * 9, 1.0), (0.0, 1.0), 0.05, 0.05, id="left of a heap"),
        pytest.param((0.0, *[0.1] * 9, 1.0), (0.0, 1.0), 0.5, 0.1, id="in a heap"),
        pytest.param((0.0, *[0.1] * 9, 1.0), (0.0, 1.0), 0.95, 0.55, id="right of a heap"),
        # Half of them lie evenly up to .25, half evenly from there: what limits cut off leaves the rest its shape.
        pytest.param((0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.4, 0.55, 0.7, 0.85, 1), (0.0, 0.25), 0.5, 0.125, id="cut right"),
        pytest.param((0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.4, 0.55, 0.7, 0.85, 1), (0.25, 1.0), 0.2, 0.4, id="cut left"),
        pytest.param([0.5] * 11, (0.2, 0.9), 0.1, 0.5, id="all in one place, which is allowed"),
        pytest.param([0.5] * 11, (0.6, 0.9), 0.1, 0.6, id="all left of the limits: the place nearest to them"),
        pytest.param([0.5] * 11, (0.1, 0.3), 0.9, 0.3, id="all right of the limits"),
    ],
)
def test_centres_lie_as_the_deciles_have_them(
    deciles: list[float], limits: tuple[float, float], draw: float, expected: float
) -> None:
    assert centres_between(tuple(deciles), limits)(draw) == pytest.approx(expected, abs=1e-6)


@PROPERTY
@given(DECILE_TUPLES, LIMITS, DRAWS)
def test_a_centre_keeps_within_its_limits(deciles: tuple[float, ...], limits: tuple[float, float], draw: float) -> None:
    assert limits[0] <= centres_between(deciles, limits)(draw) <= limits[1]


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(DECILE_TUPLES)
def test_many_draws_have_the_deciles_that_were_asked_for(shares: tuple[float, ...]) -> None:
    # Off the right edge: several deciles in one place are kept apart by so little that the last is just beyond it.
    deciles = tuple(0.99 * share for share in shares)
    draws = (np.arange(1000) + 0.5) / 1000
    places = np.array([*map(centres_between(deciles, (0.0, 1.0)), draws.tolist())])
    # By counting, not by quantiles: between two heaps a quantile may lie anywhere.
    for rank, place in enumerate(deciles):
        assert (places <= place + 1e-6).mean() >= rank / 10 - 0.002
        assert (places >= place - 1e-6).mean() >= 1 - rank / 10 - 0.002


# The file.

CALIBRATIONS = st.builds(
    ClassCalibration,
    label_scale=st.floats(0.2, 5, exclude_min=True, exclude_max=True),
    paint_scale=st.floats(0.2, 5, exclude_min=True, exclude_max=True),
    paint_spread=st.floats(0, 3, exclude_max=True),
    side=st.floats(0, 1, exclude_min=True),
    side_spread=st.floats(0, 3, exclude_max=True),
    aspect=st.floats(0.02, 50, exclude_min=True, exclude_max=True),
    aspect_spread=st.floats(0, 3, exclude_max=True),
    centres_x=DECILE_TUPLES,
    centres_y=DECILE_TUPLES,
    ground=DECILE_TUPLES,
    real_boxes=st.integers(1, 10**6),
    painted_boxes=st.integers(1, 10**6),
)
# What a cell of a CSV file may hold: no half of a surrogate pair, which no file can.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(st.dictionaries(TEXTS, CALIBRATIONS, max_size=3), TEXTS)
def test_what_is_written_comes_back_to_the_last_bit(classes: dict[str, ClassCalibration], real: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "calibration.json"
        write_calibration(path, classes, real=real)
        assert read_calibration(path, [*classes, "one that was not measured"]) == classes


def test_the_file_is_json_that_says_what_was_measured_and_on_what(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    write_calibration(path, {"Zelle 🩸": measured()}, real="photos:train")
    content = json.loads(path.read_bytes())
    plain = {**MEASURED, "centres_x": list(EVEN), "centres_y": list(EVEN), "ground": list(EVEN)}
    assert content == {"schema_version": 1, "real": "photos:train", "classes": {"Zelle 🩸": plain}}
    assert [each.name for each in tmp_path.iterdir()] == ["calibration.json"]


def file_of(**changes: object) -> dict[str, Any]:
    """What the file holds, with changes to its only class."""
    return {"schema_version": 1, "real": "photos", "classes": {"cell": {**MEASURED, **changes}}}


def without(key: str) -> dict[str, Any]:
    content = file_of()
    del content["classes"]["cell"][key]
    return content


@pytest.mark.parametrize(
    ("content", "column", "words"),
    [
        pytest.param(b"", None, "is not JSON", id="empty"),
        pytest.param(b"\xff\xfe\x00{", None, "is not JSON", id="bytes that are no text"),
        pytest.param([], None, "dictionary", id="a list"),
        pytest.param({"real": "photos"}, "classes", "missing", id="no classes"),
        pytest.param({**file_of(), "schema_version": 2}, "schema_version", "1", id="a file of tomorrow"),
        pytest.param({**file_of(), "notes": "mine"}, "notes", "unknown key", id="an unknown key"),
        pytest.param({**file_of(), "classes": [MEASURED]}, "classes", "dictionary", id="a list of classes"),
        pytest.param(file_of(labelscale=1.2), "classes.cell.labelscale", "unknown key", id="an unknown key of a class"),
        pytest.param(file_of(centres_x=EVEN[:-1]), "classes.cell.centres_x", "11 items", id="ten deciles"),
        pytest.param(file_of(centres_y=(*EVEN, 1.0)), "classes.cell.centres_y", "11 items", id="twelve deciles"),
        pytest.param(file_of(label_scale="wide"), "classes.cell.label_scale", "number", id="a word"),
        pytest.param(file_of(label_scale=0.2), "classes.cell.label_scale", "greater than 0.2", id="far too small"),
        pytest.param(file_of(paint_spread=-0.1), "classes.cell.paint_spread", "greater than", id="a spread below zero"),
        pytest.param(file_of(side_spread=math.nan), "classes.cell.side_spread", "finite", id="not a number"),
        pytest.param(file_of(side=0), "classes.cell.side", "greater than 0", id="no side"),
        pytest.param(file_of(side=1.01), "classes.cell.side", "less than", id="larger than the picture"),
        pytest.param(without("paint_spread"), "classes.cell.paint_spread", "missing", id="without a spread"),
    ],
)
def test_every_mistake_is_one_fault_that_names_its_place(
    tmp_path: Path, content: object, column: str | None, words: str
) -> None:
    path = tmp_path / "calibration.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(SpecError) as caught:
        read_calibration(path, ["cell"])
    (fault,) = caught.value.faults
    assert (fault.file, fault.column) == (str(path), column)
    assert words in fault.expected


def test_classes_that_are_not_in_classes_csv_are_named_with_those_that_are(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    write_calibration(path, {"cell": measured(), "dog": measured(), "Cell": measured()}, real="photos")
    with pytest.raises(SpecError) as caught:
        read_calibration(path, ["cell", "platelet"])
    assert [(fault.column, fault.found) for fault in caught.value.faults] == [("classes", "dog"), ("classes", "Cell")]
    assert all("a class of classes.csv: cell, platelet" in fault.expected for fault in caught.value.faults)
    assert all("boxpaint calibrate" in str(fault) for fault in caught.value.faults)


@pytest.mark.parametrize(("is_folder", "words"), [(False, "no such file"), (True, "cannot be read: Is a directory")])
def test_a_file_that_cannot_be_read_is_a_fault_of_it(tmp_path: Path, is_folder: bool, words: str) -> None:
    path = tmp_path / "calibration.json"
    if is_folder:
        path.mkdir()
    with pytest.raises(SpecError) as caught:
        read_calibration(path, ["cell"])
    (fault,) = caught.value.faults
    assert fault.file == str(path)
    assert words in fault.expected


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.sampled_from(sorted(MEASURED)), inner, max_size=3)
    ),
    max_leaves=8,
)


@PROPERTY
@given(st.binary(max_size=40) | JSON_VALUES | st.tuples(st.sampled_from(sorted(MEASURED)), JSON_VALUES))
def test_whatever_the_file_holds_it_is_read_or_a_fault_of_it(
    tmp_path_factory: pytest.TempPathFactory, content: object
) -> None:
    path = tmp_path_factory.getbasetemp() / "calibration.json"
    if isinstance(content, tuple):  # a sound file but for one value
        content = file_of(**{content[0]: content[1]})
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    try:
        found = read_calibration(path, ["cell"])
    except SpecError as error:
        assert error.faults
        assert all(fault.file == str(path) for fault in error.faults)
    else:
        assert set(found) <= {"cell"}
