from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from detection.painter.photos import LabelledObject, LabelledPhoto, Limits
from detection.painter.verifier import PLACE, draw_look, held_out_looks
from generator.foundation.geometry import Box
from training.pocket.grammar import OBJECT_KINDS, STAINED
from training.pocket.inpaint import InpaintRecipe
from training.pocket.session import Session, open_session
from training.pocket.smears import (
    LOOK_KINDS,
    LOOKS,
    SmearWording,
    cells_in_view,
    described_cells,
    subject_of,
    unlabelled_stain,
)

REAL = Path(__file__).parents[4] / "shared" / "data"
VIEW = Box.from_xywh(0, 0, 50, 50)
Sessions = Callable[..., Session]


def cell(kind: str, *xyxy: int) -> LabelledObject:
    return LabelledObject(category=kind, box=Box.from_xyxy(*xyxy))


RED = cell("red blood cell", 5, 5, 25, 25)


def photo(*cells: LabelledObject) -> LabelledPhoto:
    return LabelledPhoto(name="a", image=np.zeros((100, 100, 3), np.uint8), objects=cells)


def test_sets_in_any_form_become_cells_without_their_degenerate_box(opened: Session) -> None:
    assert opened.seen.categories == OBJECT_KINDS
    assert [len(photos) for photos in (opened.seen, opened.unseen)] == [4, 2]
    assert opened.seen.counts() == {"white blood cell": 4, "platelet": 8, "red blood cell": 20}


def test_purple_is_the_more_colourful_half_of_stained_cells() -> None:
    image = np.full((40, 200, 3), 240, np.uint8)
    # Saturation 255 (50 + 14 n) / 200: above 120 from the fifth on, whatever the hue is called.
    for number in range(10):
        image[:20, 20 * number : 20 * number + 20] = (150, 150 - 14 * number, 200)
    boxes = [Box.from_xywh(20 * number, 0, 20, 20) for number in range(10)]
    limits = Limits(
        side_px=dict.fromkeys(OBJECT_KINDS, (1, 99)),
        darkness=dict.fromkeys(OBJECT_KINDS, (-1.0, 2.0)),
        saturation=dict.fromkeys(OBJECT_KINDS, 120.0),
    )
    for kind in ("platelet", "red blood cell"):
        shown = replace(photo(*(LabelledObject(category=kind, box=box) for box in boxes)), image=image)
        (found,) = described_cells([shown], limits)
        purple = ["purple" if kind in STAINED and number >= 4 else "" for number in range(10)]
        assert [each.colour for each in found.objects] == purple


def test_red_cells_are_in_view_by_their_centres_and_stained_ones_by_any_part() -> None:
    shown = photo(
        cell("red blood cell", 40, 0, 58, 10),  # centre at 49
        cell("red blood cell", 40, 0, 60, 10),  # centre at 50
        cell("platelet", 49, 0, 60, 10),
        cell("white blood cell", 50, 0, 60, 10),
    )
    assert cells_in_view(shown, VIEW) == (1, ("platelet",))
    assert SmearWording().content(shown, VIEW) == "a scene, a few, platelet"


@pytest.mark.parametrize(
    ("others", "named"),
    [
        pytest.param((), (), id="red cells only"),
        pytest.param((cell("platelet", 30, 30, 40, 40),), ("platelet",), id="a platelet in view"),
        pytest.param((cell("white blood cell", 80, 80, 90, 90),), (), id="a white cell out of view"),
    ],
)
def test_scenes_are_captioned_with_what_is_in_view(others, named: tuple[str, ...]) -> None:
    for seed in range(20):
        caption = SmearWording().view(photo(RED, *others), VIEW, np.random.default_rng(seed))
        assert caption is not None
        assert [kind for kind in STAINED if f"a {kind}" in caption] == list(named)
        if named:
            assert "only" not in caption
            assert "no white" not in caption


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param((), id="no red cell"),
        pytest.param((RED, cell("platelet", 47, 10, 57, 20)), id="a sliver of a platelet"),
    ],
)
def test_a_view_of_which_nothing_true_can_be_said_has_no_caption(cells) -> None:
    assert SmearWording().view(photo(*cells), VIEW, np.random.default_rng(0)) is None


def test_a_stained_cell_without_its_label_is_found_and_no_red_one(opened: Session) -> None:
    labelled = opened.seen_photos[0]
    assert not unlabelled_stain(labelled).any()
    stain = unlabelled_stain(replace(labelled, objects=()))
    for each in labelled.objects:
        x, y = (each.box.x_min + each.box.x_max) // 2, (each.box.y_min + each.box.y_max) // 2
        assert stain[y, x] == (each.category in STAINED)
    subject = subject_of([replace(labelled, objects=tuple(labelled.of("red blood cell")))], 16)
    white, red = labelled.of("white blood cell")[0].box, labelled.of("red blood cell")[0].box
    assert [subject.is_clear(subject.photos[0], box) for box in (white, red)] == [False, True]


def test_samples_are_what_they_say(opened: Session) -> None:
    subject = subject_of(opened.seen_photos, 64, recipe=InpaintRecipe().samples)
    whole = 0
    for seed in range(60):
        sample = subject.draw(np.random.default_rng(seed))
        whole += bool(sample.mask.all())
        # Purple is blue above green by far: nothing of it where the caption has no stained cell.
        purple = (sample.pixels[..., 2].astype(int) - sample.pixels[..., 1] > 50) & sample.mask
        if sample.hidden is not None:
            purple &= ~sample.hidden
        said = sample.caption.replace("no white blood cells", "")
        assert any(kind in said for kind in STAINED) == bool(purple.any()), sample.caption
    assert 8 <= whole <= 30


def test_crops_that_are_looked_at_are_of_every_kind(opened: Session) -> None:
    subject = subject_of(opened.seen_photos, 16)
    kinds = {draw_look(subject, 16, np.random.default_rng(seed), LOOKS).kind for seed in range(60)}
    assert {*LOOK_KINDS, PLACE} <= kinds
    assert any(kind.startswith("a scene, ") for kind in kinds)
    looks = held_out_looks(subject_of(opened.unseen_photos, 16), 16, np.random.default_rng(0), LOOKS, most=4)
    count = {kind: sum(look.kind == kind for look in looks) for kind in OBJECT_KINDS}
    # Two photos, each with one white cell, two platelets and five red cells.
    assert count == {"white blood cell": 2, "platelet": 4, "red blood cell": 4}


@pytest.mark.realdata
@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not there")
def test_the_real_photos_are_all_there(tmp_path: Path) -> None:
    captions = REAL / "captions" / "coco_val2017_captions.txt"
    session = open_session(REAL / "bccd", tmp_path, captions, 0, torch.device("cpu"), print)
    assert (len(session.seen), len(session.unseen)) == (292, 36)
    assert session.unseen.counts() == {"white blood cell": 36, "platelet": 33, "red blood cell": 421}
