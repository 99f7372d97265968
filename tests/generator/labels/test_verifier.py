"""The verifier: the pocket's CLIP on drawn smears, which it takes for stained ones, and an OWLv2 of known places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from generator.config import Config, LabelConfig
from generator.foundation.errors import ModelNotFoundError
from generator.foundation.geometry import Box, box_iou, intersection_area
from generator.labels.verifier import Verifier, View
from generator.spec import Spec, load_spec
from generator.types import Sighting, Unlabelled
from tests.conftest import REPOSITORY
from tests.generator.models.tiny_owl import save_tiny_owl

WHITE_CELL, PLATELET = "white blood cell", "platelet"
# On the canvas of 416 x 320 a white blood cell has a longer side of 116.5 px and a platelet one of 31.5; with a
# quarter of it on each side, CLIP looks through windows of 175 and 47 px, moved by half of that.
WINDOW_PX = {WHITE_CELL: 175, PLATELET: 47}
# The part of a window that an object takes: without a border of a sixth (29 and 8 px) on each side.
BORDER_PX = {WHITE_CELL: 29, PLATELET: 8}
SMALL_WH = (208, 176)
CELL = Box.from_xywh(50, 40, 110, 110)


@pytest.fixture(scope="module")
def spec() -> Spec:
    return load_spec(REPOSITORY / "background.csv", REPOSITORY / "classes.csv", canvas_wh=Config.load().canvas_wh)


@pytest.fixture(scope="module")
def verifier(spec: Spec) -> Verifier:
    return Verifier(Config.load(device="cpu"), spec)


@pytest.fixture(scope="module")
def with_owl(spec: Spec, tmp_path_factory: pytest.TempPathFactory) -> Verifier:
    folder = save_tiny_owl(tmp_path_factory.mktemp("tiny") / "owl")
    return Verifier(Config.load(device="cpu", models={"detector": {"folder": str(folder)}}), spec)


def smear(width: int = SMALL_WH[0], height: int = SMALL_WH[1], seed: int = 0) -> np.ndarray:
    """Pale red cells with paler middles on a pale ground."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), (214, 205, 190), np.uint8)
    for _ in range(width * height // 2000):
        middle = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        cv2.circle(picture, middle, 20, (205, 160, 150), -1, cv2.LINE_AA)
        cv2.circle(picture, middle, 8, (215, 180, 170), -1, cv2.LINE_AA)
    return picture


def with_cell(picture: np.ndarray, box: Box, nucleus: tuple[int, int, int] = (90, 60, 140)) -> np.ndarray:
    """A purple disc with a pale rim."""
    painted = picture.copy()
    middle, radius = (box.x_min + box.width // 2, box.y_min + box.height // 2), box.width // 2
    cv2.circle(painted, middle, radius, (190, 150, 190), -1, cv2.LINE_AA)
    cv2.circle(painted, middle, radius * 3 // 4, nucleus, -1, cv2.LINE_AA)
    return painted


def view(picture: np.ndarray, box: Box = CELL, category: str = WHITE_CELL) -> View:
    return View(picture=picture, box=box, category=category)


def look(verifier: Verifier, picture: np.ndarray, box: Box = CELL, category: str = WHITE_CELL) -> Sighting:
    (sighting,) = verifier.look([view(picture, box, category)])
    return sighting


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


PICTURES = {
    "cell": with_cell(smear(), CELL),
    "pale cell": with_cell(smear(), CELL, (170, 140, 180)),
    "smear": smear(),
    "ground": np.full((176, 208, 3), (214, 205, 190), np.uint8),
    "noise": noise(*SMALL_WH),
    "black": np.zeros((176, 208, 3), np.uint8),
}
every_picture = pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)
every_class = pytest.mark.parametrize("category", [WHITE_CELL, PLATELET])


# Relevance.


@pytest.mark.parametrize("nucleus", [(90, 60, 140), (120, 70, 160), (70, 40, 120)], ids=["purple", "light", "dark"])
def test_a_purple_disc_looks_like_a_white_blood_cell(verifier: Verifier, nucleus: tuple[int, int, int]) -> None:
    sighting = look(verifier, with_cell(smear(seed=1), CELL, nucleus))
    assert sighting.score > 0.9
    assert sighting.margin > 0.8
    # What it is does not depend on what it should be.
    other = look(verifier, with_cell(smear(seed=1), CELL, nucleus), category=PLATELET)
    assert other.rival == WHITE_CELL
    assert other.rival_score == pytest.approx(sighting.score, abs=1e-5)


@every_class
def test_a_bare_smear_looks_like_the_background(verifier: Verifier, category: str) -> None:
    sighting = look(verifier, smear(seed=1), category=category)
    assert sighting.rival == ""
    assert sighting.margin < -0.8


@every_picture
def test_shares_of_all_classes_and_the_background_add_up_to_one(verifier: Verifier, picture: np.ndarray) -> None:
    cell, platelet = (look(verifier, picture, category=name) for name in (WHITE_CELL, PLATELET))
    for sighting, other in ((cell, PLATELET), (platelet, WHITE_CELL)):
        assert sighting.rival in {"", other}
        # Of three shares, the larger of two others is at least half of what is left.
        assert (1 - sighting.score) / 2 - 1e-6 <= sighting.rival_score <= 1 - sighting.score + 1e-6
        assert (sighting.box, sighting.box_score) == (None, 0.0), "the pocket has no detector"
        # Plain numbers, which go into JSON.
        assert [type(value) for value in (sighting.score, sighting.rival_score)] == [float, float]
    background = {each.rival_score for each in (cell, platelet) if each.rival == ""}
    # The background is unnamed only where both classes beat it, and then it has what they leave.
    if background:
        assert cell.score + platelet.score + background.pop() == pytest.approx(1, abs=1e-5)
    else:
        assert 1 - cell.score - platelet.score <= min(cell.score, platelet.score)


def test_with_one_class_the_background_has_the_rest_and_what_is_named_as_background_counts(spec: Spec) -> None:
    one = replace(spec, classes=spec.classes[:1])
    prompt = next(row.prompt for row in spec.classes if row.name == WHITE_CELL)
    alone = Verifier(Config.load(device="cpu"), one)
    named = Verifier(Config.load(device="cpu", labels={"background_prompts": ["blood smear background", prompt]}), one)
    for picture in PICTURES.values():
        sighting = look(alone, picture)
        assert sighting.rival == ""
        assert sighting.score + sighting.rival_score == pytest.approx(1, abs=1e-6)
        # The same words on both sides: the background is at least as likely as the class.
        assert look(named, picture).margin <= 1e-6


def test_a_class_is_as_likely_as_the_best_of_its_texts(spec: Spec) -> None:
    picture, texts = PICTURES["pale cell"], ("a red blood cell", "a dark purple white blood cell", "a platelet")
    row = spec.classes[0]

    def odds(*prompts: str) -> float:
        classes = tuple(replace(row, prompt=prompt) for prompt in prompts)
        sighting = look(Verifier(Config.load(device="cpu"), replace(spec, classes=classes)), picture)
        return sighting.score / sighting.rival_score

    alone = [odds(text) for text in texts]
    assert odds(*texts) == pytest.approx(max(alone), rel=1e-3)
    assert min(alone) < max(alone)


def test_an_object_may_lie_anywhere_and_have_any_size(verifier: Verifier) -> None:
    # In either corner, all of the picture, one pixel, thin.
    boxes = [(0, 0, 20, 20), (198, 160, 10, 16), (0, 0, 208, 176), (100, 80, 1, 1), (0, 80, 208, 2)]
    sightings = verifier.look([view(PICTURES["cell"], Box.from_xywh(*box)) for box in boxes])
    assert all(0 <= sighting.score <= 1 for sighting in sightings)


def test_only_the_surroundings_of_the_box_are_seen(verifier: Verifier) -> None:
    # A quarter of 40 px on each side: from 70 to 130 and from 50 to 110.
    picture, box = PICTURES["smear"], Box.from_xywh(80, 60, 40, 40)
    elsewhere = np.zeros_like(picture)
    elsewhere[50:110, 70:130] = picture[50:110, 70:130]
    assert look(verifier, picture, box) == look(verifier, elsewhere, box)
    elsewhere[52:60, 72:128] = (90, 60, 140)
    assert look(verifier, picture, box) != look(verifier, elsewhere, box)


# The same answer to the same question.


def test_equal_pictures_give_equal_answers(verifier: Verifier, spec: Spec) -> None:
    assert verifier.look([]) == []
    views = [view(picture) for picture in PICTURES.values()]
    copies = [view(picture.copy()) for picture in PICTURES.values()]
    assert verifier.look(views) == verifier.look(copies)
    assert Verifier(Config.load(device="cpu"), spec).look(views) == verifier.look(views)


def test_company_changes_no_answer(verifier: Verifier) -> None:
    # More than the 32 that CLIP takes at a time.
    views = [
        view(smear(seed=number), Box.from_xywh(20 + number, 90 - number, 20 + number, 20 + number), category)
        for number, category in enumerate([WHITE_CELL, PLATELET] * 17)
    ]
    together = verifier.look(views)
    assert len(together) == len(views)
    for number in (0, 13, 31, 32, 33):
        (alone,) = verifier.look([views[number]])
        assert alone.rival == together[number].rival
        assert alone.score == pytest.approx(together[number].score, abs=1e-5)


def test_the_picture_is_left_as_it_is_and_may_be_read_only(verifier: Verifier) -> None:
    picture = PICTURES["cell"].copy()
    picture.setflags(write=False)
    look(verifier, picture)
    verifier.find_unlabelled(picture, within=Box.from_xywh(0, 0, 60, 60))
    assert np.array_equal(picture, PICTURES["cell"])


# Unlabelled objects, in windows.


def window_of(each: Unlabelled) -> Box:
    border = BORDER_PX[each.category]
    x_min, y_min, x_max, y_max = each.box.xyxy
    return Box.from_xyxy(x_min - border, y_min - border, x_max + border, y_max + border)


def by_place(windows: list[Unlabelled]) -> dict[tuple[str, Box], float]:
    return {(each.category, each.box): each.score for each in windows}


@pytest.fixture(scope="module")
def windows(verifier: Verifier) -> list[Unlabelled]:
    """All windows of the picture with a cell."""
    return verifier.find_unlabelled(PICTURES["cell"])


@pytest.mark.parametrize(
    ("size_wh", "cells", "platelets"),
    [
        # Of 208 x 176 px, 175 px leave room for 0 and 33 by 0 and 1; for 47 px there are 0, 24, ... 144 and the last,
        # 161, by 0, 24, ... 120 and the last, 129.
        pytest.param(SMALL_WH, 2 * 2, 8 * 7, id="as above"),
        # Windows no larger than the picture: one of 64 px; 0 and 17 both ways for 47.
        pytest.param((64, 64), 1, 2 * 2, id="smaller than a cell"),
        pytest.param((40, 40), 1, 1, id="smaller than a platelet"),
        pytest.param((47, 95), 2 + 1, 2 + 1, id="just as wide as a platelet"),
    ],
)
def test_windows_cover_the_picture(verifier: Verifier, size_wh: tuple[int, int], cells: int, platelets: int) -> None:
    found = verifier.find_unlabelled(noise(*size_wh))
    named = [each.category for each in found]
    assert (named.count(WHITE_CELL), named.count(PLATELET)) == (cells, platelets)
    assert len(by_place(found)) == cells + platelets, "each window once"
    whole = Box.from_xywh(0, 0, *size_wh)
    assert all(whole.contains(each.box) for each in found)
    assert all(0 <= each.score <= 1 for each in found)


def test_windows_have_the_size_of_their_class_and_the_surest_comes_first(
    verifier: Verifier, windows: list[Unlabelled]
) -> None:
    for each in windows:
        assert (window_of(each).width, window_of(each).height) == (WINDOW_PX[each.category],) * 2
    scores = [each.score for each in windows]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1]
    assert verifier.find_unlabelled(PICTURES["cell"].copy()) == windows


def test_a_cell_that_nobody_asked_for_is_found_where_it_is(verifier: Verifier, windows: list[Unlabelled]) -> None:
    cells = [each for each in windows if each.category == WHITE_CELL]
    assert cells[0].score > 0.9
    # The four windows lie within 33 px of each other, all around the cell.
    assert box_iou(cells[0].box, CELL) > 0.4
    assert verifier.find_unlabelled(PICTURES["smear"])[0].score < 0.1


def is_centred_in(box: Box, within: Box) -> bool:
    x, y = (box.x_min + box.x_max) // 2, (box.y_min + box.y_max) // 2
    return within.x_min <= x < within.x_max and within.y_min <= y < within.y_max


WHOLE = Box.from_xywh(0, 0, *SMALL_WH)


@pytest.mark.parametrize(
    ("within", "known"),
    [
        pytest.param(WHOLE, [], id="all"),
        pytest.param(Box.from_xywh(60, 50, 60, 50), [], id="a part"),
        pytest.param(Box.from_xywh(0, 0, 23, 23), [], id="a corner without a middle"),
        pytest.param(WHOLE, [CELL], id="beside the cell"),
        pytest.param(WHOLE, [Box.from_xywh(0, 0, 10, 10), Box.from_xywh(180, 150, 20, 20)], id="beside two"),
        pytest.param(WHOLE, [Box.from_xywh(104, 88, 1, 1)], id="beside one pixel"),
        pytest.param(WHOLE, [WHOLE], id="beside everything"),
    ],
)
def test_windows_are_centred_in_the_part_and_touch_nothing_that_is_known(
    verifier: Verifier, windows: list[Unlabelled], within: Box, known: list[Box]
) -> None:
    found = verifier.find_unlabelled(PICTURES["cell"], within=within, known=known)
    expected = [
        each
        for each in windows
        if is_centred_in(each.box, within) and not any(intersection_area(window_of(each), box) for box in known)
    ]
    assert by_place(found) == pytest.approx(by_place(expected), abs=1e-5)
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True)


def test_the_first_window_is_centred_on_its_own_middle_pixel_and_may_meet_what_is_known(verifier: Verifier) -> None:
    # 47 px from 0: the middle is pixel 23, and it ends before pixel 47.
    within, picture = Box.from_xywh(23, 23, 1, 1), PICTURES["cell"]
    (first,) = verifier.find_unlabelled(picture, within=within, known=[Box.from_xywh(47, 0, 20, 100)])
    assert (first.category, first.box) == (PLATELET, Box(x_min=8, y_min=8, x_max=39, y_max=39))
    assert verifier.find_unlabelled(picture, within=within, known=[Box.from_xywh(46, 0, 20, 100)]) == []


# The verdict.


def test_the_verdict_is_that_of_the_surest_one(verifier: Verifier, windows: list[Unlabelled]) -> None:
    surest = windows[0]
    score = round(surest.score, 4)
    inclusive = verifier.unlabelled_verdict(PICTURES["cell"], LabelConfig(max_unlabelled=score))
    assert (inclusive.check, inclusive.passed, inclusive.reason) == ("stray", True, "")
    below = verifier.unlabelled_verdict(PICTURES["cell"], LabelConfig(max_unlabelled=float(np.nextafter(score, 0))))
    assert not below.passed
    sure = f"{100 * score:.3g}%, above {100 * np.nextafter(score, 0):.3g}%"
    assert below.reason == f"shows a {surest.category} that nobody asked for ({sure})"
    assert inclusive.score == below.score == score
    nothing = verifier.unlabelled_verdict(PICTURES["cell"], LabelConfig(max_unlabelled=0.0), known=[WHOLE])
    assert (nothing.passed, nothing.score, nothing.reason) == (True, 0.0, ""), "there is nothing to look at"


@pytest.mark.parametrize(("name", "passed"), [("cell", False), ("smear", True), ("ground", True)])
def test_a_background_must_show_nothing_that_should_be_labelled(verifier: Verifier, name: str, passed: bool) -> None:
    verdict = verifier.unlabelled_verdict(PICTURES[name], LabelConfig())
    assert verdict.passed is passed
    assert (type(verdict.score), type(verdict.passed)) == (float, bool)


def test_the_verdict_sees_no_further_than_asked(verifier: Verifier) -> None:
    # Only the last platelet's windows, from 161, keep off the cell, which ends at 160; their middle is 184.
    free = Box.from_xywh(184, 0, 24, 176)
    verdict = verifier.unlabelled_verdict(PICTURES["cell"], LabelConfig(), within=free, known=[CELL])
    assert verdict.passed
    (surest, *_) = verifier.find_unlabelled(PICTURES["cell"], within=free, known=[CELL])
    assert verdict.score == round(surest.score, 4)


# With a detector. In a picture of 96 x 64 px the tiny one sees boxes of 24 px around each 24th pixel.

WIDE = smear(96, 64)
COLUMNS, ROWS = [(12, 36), (36, 60), (60, 84), (84, 96)], [(12, 36), (36, 60), (60, 64)]
PLACES = [Box.from_xyxy(x[0], y[0], x[1], y[1]) for y in ROWS for x in COLUMNS]


@pytest.mark.parametrize(
    ("box", "seen"),
    [
        pytest.param(Box.from_xywh(36, 36, 24, 24), [PLACES[5]], id="the same"),
        # 12 x 24 shared pixels of 576 + 576 - 288 with each of two: a third.
        pytest.param(Box.from_xywh(24, 12, 24, 24), PLACES[0:2], id="between two"),
        # 12 x 12 of 144 + 576 - 144: a quarter of one.
        pytest.param(Box.from_xywh(36, 36, 12, 12), [PLACES[5]], id="a quarter"),
        # 7 x 8 of 576 pixels: 0.097, too little to be the same; 8 x 8: 0.11.
        pytest.param(Box.from_xywh(12, 12, 7, 8), [], id="a corner"),
        pytest.param(Box.from_xywh(12, 12, 8, 8), [PLACES[0]], id="a larger corner"),
        pytest.param(Box.from_xywh(0, 0, 12, 12), [], id="where it sees nothing"),
    ],
)
@every_class
def test_the_detectors_box_is_the_surest_of_those_near(
    with_owl: Verifier, box: Box, seen: list[Box], category: str
) -> None:
    sighting = look(with_owl, WIDE, box, category)
    if not seen:
        assert (sighting.box, sighting.box_score) == (None, 0.0)
        return
    scores = {each.box: each.score for each in with_owl.find_unlabelled(WIDE) if each.category == category}
    assert sighting.box == max(seen, key=lambda each: scores[each])
    assert sighting.box_score == pytest.approx(scores[sighting.box], abs=1e-6)


def test_a_detector_has_no_say_in_what_it_is(verifier: Verifier, with_owl: Verifier) -> None:
    for picture in PICTURES.values():
        sighting = look(with_owl, picture)
        assert replace(sighting, box=None, box_score=0.0) == look(verifier, picture)


@pytest.mark.parametrize(
    ("within", "known", "seen"),
    [
        (None, [], range(12)),
        # Middles at 24, 48, 72 and 90, by 24, 48 and 62.
        (Box.from_xywh(24, 24, 1, 1), [], [0]),
        (Box.from_xywh(25, 24, 60, 24), [], [1, 2]),
        (Box.from_xywh(48, 24, 25, 25), [], [1, 2, 5, 6]),
        (Box.from_xywh(90, 0, 6, 64), [], [3, 7, 11]),
        (Box.from_xywh(0, 0, 24, 24), [], []),
        (None, PLACES[:2], range(2, 12)),
        # The last two rows of the second box: 24 x 2 = 48 of its 576 pixels, 0.083; the last three: 72, 0.125.
        (None, [Box.from_xywh(36, 34, 24, 2)], range(12)),
        (None, [Box.from_xywh(36, 33, 24, 3)], [0, *range(2, 12)]),
        # The lowest row is cut to 24 x 4 px: 24 of 96 are a quarter.
        (None, [Box.from_xywh(36, 60, 24, 1)], [*range(9), 10, 11]),
        (None, [Box.from_xywh(0, 0, 96, 64)], []),
    ],
)
def test_a_detectors_unlabelled_are_centred_in_the_part_and_not_those_known(
    with_owl: Verifier, within: Box | None, known: list[Box], seen: Sequence[int]
) -> None:
    found = with_owl.find_unlabelled(WIDE, within=within, known=known)
    places = sorted(PLACES[number].xyxy for number in seen)
    for name in (WHITE_CELL, PLATELET):
        assert sorted(each.box.xyxy for each in found if each.category == name) == places
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True)


# What it needs.


def test_a_verifier_needs_a_clip(spec: Spec) -> None:
    with pytest.raises(ValueError, match=r"models\.clip"):
        Verifier(Config.load(models={"clip": None}), spec)


def test_a_missing_detector_says_which_setting_to_change(spec: Spec, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"models\.detector\.folder: there is no folder"):
        Verifier(Config.load(device="cpu", models={"detector": {"folder": str(tmp_path / "gone")}}), spec)
