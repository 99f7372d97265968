"""Scenes that are full of one class, which nobody labels: it is painted over, and makes no place taken."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from detection.painter.photos import LabelledObject, LabelledPhoto
from detection.painter.samples import SampleRecipe, Subject
from detection.painter.verifier import PLACE, LookRecipe, draw_look, held_out_looks
from detection.painter.wording import PlainWording
from generator.foundation.geometry import Box

STONE, LEAF = (Box.from_xywh(x, y, 24, 24) for x, y in ((60, 60), (84, 60)))
SIDE = 64


class CountingWording(PlainWording):
    """Scenes with as many stones show the same."""

    def content(self, photo: LabelledPhoto, box: Box) -> str:
        return f"{sum(box.contains(each.box) for each in photo.of('stone'))} stones"


def subject(*objects: tuple[str, Box], ground: tuple[str, ...] = ("stone",), **changes) -> Subject:
    labelled = tuple(LabelledObject(category=name, box=box) for name, box in objects)
    image = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    shown = Subject(
        photos=[LabelledPhoto(name="a", image=image, objects=labelled)],
        kinds={"leaf": 1.0},
        wording=PlainWording(),
        side_px=SIDE,
        size_multiple=8,
        recipe=SampleRecipe(place_share=0, scene_share=0, box_shares=(0.4, 0.4), paddings=(0.1, 0.1)),
        ground=frozenset(ground),
    )
    return replace(shown, **changes)


@pytest.mark.parametrize(
    ("ground", "box", "is_clear"),
    [
        pytest.param((), STONE, False, id="a stone is an object"),
        pytest.param(("stone",), STONE, True, id="a stone is ground"),
        pytest.param(("stone",), LEAF, False, id="a leaf is not"),
        pytest.param(("stone",), Box.from_xywh(0, 0, 20, 20), False, id="something without a label"),
        pytest.param((), Box.from_xywh(0, 120, 20, 20), True, id="nothing"),
    ],
)
def test_a_part_of_a_photo_is_clear_of_what_would_be_labelled(ground: tuple[str, ...], box: Box, is_clear) -> None:
    shown = subject(
        ("stone", STONE),
        ("leaf", LEAF),
        ground=ground,
        has_unlabelled=lambda _photo, box: box.contains(Box.from_xyxy(0, 0, 9, 9)),
    )
    assert shown.is_clear(shown.photos[0], box) == is_clear


def test_ground_is_painted_over_and_other_objects_are_not() -> None:
    # The stone touches the leaf: padding takes in its edge.
    masks = {
        ground: subject(("stone", STONE), ("leaf", LEAF), ground=ground).draw(np.random.default_rng(0)).mask
        for ground in ((), ("stone",))
    }
    assert masks[()].sum() < masks["stone",].sum()
    rows, columns = np.nonzero(masks["stone",])
    assert masks["stone",].sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)  # a whole rectangle


@pytest.mark.parametrize(("scales", "sides"), [((1.0, 1.0), {64}), ((1.5, 2.0), set(range(96, 129)))])
def test_scenes_are_at_a_scale_of_the_recipe(scales: tuple[float, float], sides: set[int]) -> None:
    seen = set()

    class Watching(PlainWording):
        def view(self, photo: LabelledPhoto, box: Box, rng: np.random.Generator) -> str | None:
            seen.add(box.width)
            return super().view(photo, box, rng)

    recipe = SampleRecipe(scene_share=1, clear_share=0, scene_scales=scales)
    shown = subject(wording=Watching(), recipe=recipe)
    for seed in range(20):
        assert shown.draw(np.random.default_rng(seed)).pixels.shape == (SIDE, SIDE, 3)
    assert seen <= sides


def test_in_a_scene_that_is_to_pass_for_empty_ground_is_learned_and_objects_are_not() -> None:
    class Telling(PlainWording):
        def view(self, photo: LabelledPhoto, box: Box, rng: np.random.Generator) -> str | None:
            return ", ".join([photo.name, *sorted(each.category for each in photo.objects)])

    near, far = Box.from_xywh(60, 60, 10, 10), Box.from_xywh(90, 90, 10, 10)
    recipe = SampleRecipe(scene_share=1, clear_share=1, scene_scales=(2.5, 2.5))
    shown = subject(("stone", near), ("leaf", far), wording=Telling(), recipe=recipe)
    sample = shown.draw(np.random.default_rng(0))
    assert sample.caption == ", stone"
    # Every 2.5th pixel of the photo is shown: of the leaf, 1.4 times as large from 88 to 102, those at 90 to 100.
    assert sample.hidden is not None
    assert {tuple(set(each.tolist())) for each in np.nonzero(sample.hidden)} == {(36, 37, 38, 39, 40)}
    unlabelled = replace(shown, has_unlabelled=lambda _photo, _box: True)
    with pytest.raises(ValueError, match="nothing that can be learned from"):
        replace(unlabelled, kinds={"tree": 1.0}).draw(np.random.default_rng(0))


def test_looks_follow_their_shares_and_classes_theirs() -> None:
    shown = subject(("stone", STONE), ("leaf", LEAF), kinds={"leaf": 3.0, "stone": 1.0})
    recipe = LookRecipe(place_share=0.25, scene_share=0.0, place_sides_px=(20, 30))
    count = Counter(draw_look(shown, 16, np.random.default_rng(seed), recipe).kind for seed in range(400))
    # A quarter places; of the rest three leaves to a stone: 100, 225, 75, each within three standard deviations.
    assert count == pytest.approx({PLACE: 100, "leaf": 225, "stone": 75}, abs=30)


def test_scenes_with_the_same_content_fit_each_others_captions() -> None:
    recipe = LookRecipe(place_share=0.0, scene_share=1.0)
    shown = subject(("stone", STONE), wording=CountingWording())
    kinds = {draw_look(shown, 16, np.random.default_rng(seed), recipe).kind for seed in range(40)}
    assert kinds == {"0 stones", "1 stones"}
    plain = replace(shown, wording=PlainWording())
    assert {draw_look(plain, 16, np.random.default_rng(seed), recipe).kind for seed in range(40)} == {PLACE}


def test_of_a_frequent_class_some_are_measured_on() -> None:
    boxes = [Box.from_xywh(8 * x, 120, 8, 8) for x in range(20)]
    shown = subject(*(("leaf", box) for box in boxes))
    looks = held_out_looks(shown, 16, np.random.default_rng(0), most=8)
    assert sum(look.kind == "leaf" for look in looks) == 8
