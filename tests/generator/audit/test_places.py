from __future__ import annotations

import numpy as np
import pytest

from generator.audit.leak import PaintedPlaces
from generator.audit.places import MARGIN_PX, PATCH_PX, Place, centres_of, cut_patches, draw_untouched, pair_with_decoys
from generator.foundation.geometry import Box, intersection_area

ANYWHERE = {"": np.random.default_rng(0).uniform(0, 1, (400, 2))}
PICTURE = np.arange(120 * 160 * 3, dtype=np.uint32).reshape(120, 160, 3).astype(np.uint8)


def painted(box: Box, *, hidden: np.ndarray | None = None) -> Place:
    return Place(picture=PICTURE, box=box, group=3, is_painted=True, hidden=hidden)


def test_an_untouched_place_is_of_the_same_size_and_clear_of_all_painting() -> None:
    places = [painted(Box.from_xywh(20, 20, 30, 20)), painted(Box.from_xywh(70, 60, 12, 40))]
    occupied = [*(place.box for place in places), Box.from_xywh(110, 0, 40, 50)]
    for seed in range(30):
        pairs = draw_untouched(places, occupied, ANYWHERE, np.random.default_rng(seed))
        free = [other.box for _, other in pairs]
        assert [(box.width, box.height) for box in free] == [(30, 20), (12, 40)]
        boxes = [*occupied, *free]
        for number, box in enumerate(free):
            assert not any(intersection_area(box, other) for other in boxes if other is not box), number
        assert all(not other.is_painted and other.group == 3 for _, other in pairs)
        assert all(min(box.x_min, box.y_min, 160 - box.x_max, 120 - box.y_max) >= MARGIN_PX for box in free)


def test_where_there_is_no_room_there_is_no_pair() -> None:
    whole = painted(Box.from_xywh(0, 0, 160, 120))
    wide = painted(Box.from_xywh(17, 17, 120, 80))
    at_border = painted(Box.from_xywh(15, 50, 10, 10))
    assert draw_untouched([whole, wide], [whole.box], ANYWHERE, np.random.default_rng(0)) == []
    assert draw_untouched([at_border], [at_border.box], ANYWHERE, np.random.default_rng(0)) == []


def test_untouched_places_lie_where_others_of_their_class_were_painted() -> None:
    low = [painted(Box.from_xywh(x, 70, 20, 20)) for x in (16, 60, 110)]
    centres = centres_of([*low, painted(Box.from_xywh(0, 20, 20, 20))])  # what touches the border is no example
    assert np.round(centres[""] * [160, 120]).tolist() == [[26, 80], [70, 80], [120, 80]]
    for seed in range(10):
        ((_, free),) = draw_untouched(low[:1], [low[0].box], centres, np.random.default_rng(seed))
        assert (free.box.x_min, free.box.y_min) in [(60, 70), (110, 70)]


def test_what_is_hidden_is_hidden_in_both() -> None:
    hidden = np.zeros((20, 30), bool)
    hidden[5:10] = True
    place = painted(Box.from_xywh(20, 20, 30, 20), hidden=hidden)
    ((_, other),) = draw_untouched([place], [place.box], ANYWHERE, np.random.default_rng(0))
    assert other.hidden is hidden
    with pytest.raises(ValueError, match="not of the box's size"):
        painted(Box.from_xywh(0, 0, 5, 5), hidden=hidden)


def test_patches_lie_across_each_edge_with_the_outside_on_top() -> None:
    picture = np.full((200, 200, 3), 50, np.uint8)
    picture[60:140, 60:140] = 200
    place = Place(picture=picture, box=Box.from_xywh(60, 60, 80, 80), group=0, is_painted=True)
    patches = cut_patches([place])
    half = PATCH_PX // 2
    # 56 of 80 px along each side, corners left out: three patches.
    assert len(patches.pixels) == 12
    assert (patches.pixels[:, :half] == 50).all()
    assert (patches.pixels[:, half:] == 200).all()
    assert patches.known.all()


def test_sides_at_the_border_of_the_picture_have_no_patch() -> None:
    picture = np.zeros((100, 100, 3), np.uint8)
    corner = Place(picture=picture, box=Box.from_xywh(0, 0, 40, 40), group=0, is_painted=True)
    inside = Place(picture=picture, box=Box.from_xywh(30, 30, 40, 40), group=0, is_painted=True)
    everywhere = Place(picture=picture, box=Box.from_xywh(2, 2, 96, 96), group=0, is_painted=True)
    patches = cut_patches([corner, inside, everywhere])
    assert np.bincount(patches.place, minlength=3).tolist() == [2, 4, 0]


def test_hidden_pixels_are_not_in_the_patches() -> None:
    picture = np.full((100, 100, 3), 90, np.uint8)
    picture[40:60, 30:70] = 255
    hidden = np.zeros((40, 40), bool)
    hidden[10:30] = True
    place = Place(picture=picture, box=Box.from_xywh(30, 30, 40, 40), group=0, is_painted=True, hidden=hidden)
    patches = cut_patches([place])
    assert (patches.pixels == 90).all()
    assert not patches.known.all()


def test_decoys_stand_in_for_places_without_an_object_of_their_size() -> None:
    def sized(side: int, category: str, *, is_painted: bool = True, hides: bool = False) -> Place:
        hidden = np.zeros((side, side), bool) if hides else None
        if hidden is not None:
            hidden[: side // 2] = True
        box = Box.from_xywh(10, 10, side, side)
        return Place(picture=PICTURE, box=box, group=0, is_painted=is_painted, hidden=hidden, category=category)

    objects = [
        (sized(side, "cell", hides=True), sized(side, "cell", is_painted=False, hides=True)) for side in (20, 40, 60)
    ]
    decoys = [sized(38, "cell"), sized(30, "leaf")]
    pairs = pair_with_decoys(objects, decoys, np.random.default_rng(0))
    # One decoy of the class with the object nearest in size; another object with its own untouched place.
    assert len(pairs) == 2
    (nearest, decoy), (other, untouched) = pairs
    assert (nearest.box.width, decoy.box.width) == (40, 38)
    assert other.box.width == untouched.box.width != 40
    assert [place.is_painted for pair in pairs for place in pair] == [True, False, True, False]
    # It hides the upper half, as the object does.
    assert decoy.hidden is not None
    assert decoy.hidden[:19].all()
    assert not decoy.hidden[19:].any()
    assert pair_with_decoys(objects[:1], decoys, np.random.default_rng(0)) == [], "two objects to each decoy"


def test_where_a_photo_shows_an_object_is_no_untouched_place() -> None:
    # The only other place of its class is where a real object lies.
    here, there = painted(Box.from_xywh(20, 30, 20, 20)), Box.from_xywh(110, 70, 20, 20)
    audited = {True: PaintedPlaces(), False: PaintedPlaces()}
    for knows, places in audited.items():
        places.add_picture([here], [], np.random.default_rng(0), real=[there] if knows else [])
        places.add_picture([painted(there)], [], np.random.default_rng(0))
    compared = {knows: places.probe(seed=0).audit.compared["decoys"] for knows, places in audited.items()}
    assert compared == {True: 1, False: 2}
