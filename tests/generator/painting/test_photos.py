"""Scenes that are photos: shown as the plan says, painted into beside what is there, and finished only around that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generator.config import Config
from generator.foundation.geometry import Box
from generator.labels.verifier import Verifier
from generator.painting.chunk import paint_chunk
from generator.painting.crop import resize
from generator.painting.finish import FADE_PX, grain_like, lay_over
from generator.painting.photos import show_photo
from generator.plan import Plan, ScenePlan
from generator.plan.photos import PhotoView
from generator.spec import BackgroundSpec, ClassSpec, Length, Spec
from generator.spec.photos import PhotoSet
from generator.types import Scene, Unlabelled
from tests.generator.painting.stand_ins import DiscPainter, ToldVerifier, config_with
from tests.generator.photos import box_object, photo_of

SIDE = Length(value=20, is_share=False)


@pytest.mark.parametrize(
    ("flip", "step"),
    [("none", (1, 1)), ("horizontal", (1, -1)), ("vertical", (-1, 1)), ("both", (-1, -1))],
)
def test_the_part_that_the_plan_chose_is_shown(flip: Any, step: tuple[int, int], tmp_path: Path) -> None:
    photo, crop = photo_of(tmp_path), Box.from_xywh(10, 5, 96, 64)
    shown = show_photo(PhotoView(photo=photo, crop=crop, flip=flip), (48, 32))
    part = photo.read()[crop.slices][:: step[0], :: step[1]]
    assert np.array_equal(shown, resize(np.ascontiguousarray(part), (48, 32)))


def photo_plan(folder: Path, config: Config) -> Plan:
    objects = [box_object("zebra", Box.from_xywh(6, 20, 40, 40)), box_object("zebra", Box.from_xywh(100, 20, 30, 30))]
    photo = photo_of(folder, *objects, size_wh=(192, 64))
    zebra = ClassSpec(prompt="a zebra", name="zebra", min_appear=1, max_appear=1, sizes=(SIDE, SIDE, SIDE, SIDE))
    row = BackgroundSpec(prompt="a photo", num_imgs=2, photos=PhotoSet(photos=(photo,)))
    return Plan(spec=Spec(backgrounds=(row,), classes=(zebra,)), config=config)


def paint(plan: Plan, verifier: Verifier | None = None) -> list[Scene]:
    scenes: list[ScenePlan] = list(plan)
    return paint_chunk(scenes, DiscPainter(plan.config), verifier, lay_out=plan.scene)


def config_of(tiny_config: Mapping[str, object], **painting: object) -> Config:
    return config_with(
        tiny_config,
        canvas={"width": 192, "height": 64},
        placement={"decoys": 0},
        painting={"harmonize_strength": 0.125, "sensor_noise": 3.0, "harmonize_area": "painted", **painting},
        labels={"max_edge_contact": 1.0, "max_unlabelled": 0.9},
    )


def test_what_is_in_a_photo_stays_bit_for_bit_and_the_rest_of_it_does_far_from_what_was_painted(
    tiny_config: Mapping[str, object], tmp_path: Path
) -> None:
    plan = photo_plan(tmp_path, config_of(tiny_config))
    for scene in paint(plan):
        assert scene.plan.photo is not None
        photo = show_photo(scene.plan.photo, (192, 64))
        (item,) = scene.objects
        assert item.label is not None and not item.dropped
        changed = (scene.image != photo).any(axis=2)
        region = np.zeros_like(changed)
        x_min, y_min, x_max, y_max = item.region.xyxy
        region[max(0, y_min - FADE_PX) : y_max + FADE_PX, max(0, x_min - FADE_PX) : x_max + FADE_PX] = True
        assert changed.any() and not changed[~region].any()
    # All over: no part of the photo stays as it was.
    for scene in paint(photo_plan(tmp_path, config_of(tiny_config, harmonize_area="all"))):
        assert scene.plan.photo is not None
        assert (scene.image != show_photo(scene.plan.photo, (192, 64))).any(axis=2).mean() > 0.9


class Finder(ToldVerifier):
    """Sees an object in the middle of every photo that it is shown as a whole."""

    known: tuple[Box, ...] = ()

    def find_unlabelled(self, picture, *, within=None, known=()):  # type: ignore[no-untyped-def]
        if within is not None:
            return []
        self.known = tuple(known)
        return [Unlabelled(category="zebra", box=Box.from_xywh(60, 10, 30, 40), score=0.97)]


def test_what_nobody_labelled_is_recorded_and_nothing_is_painted_over_it(
    tiny_config: Mapping[str, object], tmp_path: Path
) -> None:
    verifier = Finder(margin=lambda _: 0.9)
    for scene in paint(photo_plan(tmp_path, config_of(tiny_config)), verifier):
        assert scene.plan.photo is not None
        assert verifier.known == tuple(scene.plan.photo.kept)
        (attempt,) = scene.background_attempts  # a photo is not painted again
        assert scene.background_taken == attempt.number and not attempt.accepted
        assert "that nobody labelled" in attempt.verdicts[-1].reason
        assert [each.box.x_min for each in scene.seen] == [60]
        (item,) = scene.objects
        assert item.placement.box.x_min >= 90 or item.placement.box.x_max <= 60


def test_grain_has_the_strength_the_scale_and_the_colours_of_its_sample() -> None:
    rng = np.random.default_rng(0)
    white = rng.normal(0, 1, (200, 200, 1))
    coarse = (white + np.roll(white, 1, 0) + np.roll(white, 1, 1) + np.roll(white, (1, 1), (0, 1))) * [2.0, 1.0, 1.0]
    known = np.ones((200, 200), bool)
    known[60:140, 60:140] = False
    made = grain_like(np.where(known[..., None], coarse, 500).astype(np.float32), known, np.random.default_rng(1))

    def figures(grain: np.ndarray) -> list[float]:
        beside = np.corrcoef(grain[:, 1:, 0].ravel(), grain[:, :-1, 0].ravel())[0, 1]
        channels = np.corrcoef(grain[..., 0].ravel(), grain[..., 1].ravel())[0, 1]
        return [*grain.std(axis=(0, 1)).tolist(), float(beside), float(channels)]

    assert figures(made) == pytest.approx(figures(coarse), rel=0.08)
    assert not np.array_equal(made, grain_like(coarse.astype(np.float32), known, np.random.default_rng(2)))


def test_what_was_painted_gets_the_photos_grain_and_its_colours() -> None:
    rng = np.random.default_rng(0)
    photo = np.clip(120 + rng.normal(0, 5, (160, 160, 3)), 0, 255).round().astype(np.uint8)
    picture, drawn = photo.copy(), np.full_like(photo, 128)  # drawn anew: 8 levels lighter, and smooth
    picture[50:110, 50:110] = 120
    result = lay_over(photo, picture, drawn, seed=1)
    far = np.ones((160, 160), bool)
    far[50 - FADE_PX - 1 : 111 + FADE_PX, 50 - FADE_PX - 1 : 111 + FADE_PX] = False
    assert np.array_equal(result[far], photo[far])
    ring = np.zeros_like(far)
    ring[46:114, 46:114] = True
    ring[52:108, 52:108] = False
    for part in (np.s_[55:105, 55:105], ring):
        assert result[part].mean() == pytest.approx(120, abs=0.7)
        assert result[part].std() == pytest.approx(5, rel=0.12)
    assert lay_over(photo, photo, drawn, seed=1) is photo
