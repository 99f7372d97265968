"""Scenes that are photos: which part of which photo, what of its objects is seen, and where there is room left."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from generator.config import Config
from generator.foundation.geometry import Box, intersection_area
from generator.plan import Plan, ScenePlan
from generator.plan.photos import PhotoView, to_canvas_xy, view_photo
from generator.spec import BackgroundSpec, ClassSpec, Length, Spec
from generator.spec.photos import Flip, Photo, PhotoSet, RealObject
from tests.generator.photos import box_object, photo_of

CANVAS_WH = (96, 64)
SIDE = Length(value=16, is_share=False)


def spec_of(*photos: Photo, scenes: int = 12, painted: int = 0, **row: object) -> Spec:
    rows = [BackgroundSpec(prompt="a photo", num_imgs=scenes, photos=PhotoSet(photos=photos), **row)]  # type: ignore[arg-type]
    rows += [BackgroundSpec(prompt="a field", num_imgs=painted)] * bool(painted)
    zebra = ClassSpec(prompt="a zebra", name="zebra", min_appear=2, max_appear=2, sizes=(SIDE, SIDE, SIDE, SIDE))
    return Spec(backgrounds=tuple(rows), classes=(zebra,))


def plan_of(spec: Spec, **config: object) -> Plan:
    width, height = CANVAS_WH
    return Plan(spec=spec, config=Config(canvas={"width": width, "height": height}, seed=3, **config))  # type: ignore[arg-type]


def view_of(scene: ScenePlan) -> PhotoView:
    assert scene.photo is not None
    return scene.photo


def shown(photo: Photo, *, min_crop: float = 1.0, flip: str = "none", seed: int = 0) -> PhotoView:
    rng = np.random.default_rng(seed)
    return view_photo(photo, CANVAS_WH, min_crop=min_crop, flip=flip, min_visible=0.4, categories=("zebra",), rng=rng)


@pytest.mark.parametrize(
    ("flip", "point"),
    [("none", (20, 20)), ("horizontal", (180, 20)), ("vertical", (20, 80)), ("both", (180, 80))],
)
def test_a_point_of_a_photo_on_the_canvas(flip: Flip, point: tuple[float, float]) -> None:
    crop = Box.from_xywh(20, 10, 100, 50)  # shown twice as large
    assert to_canvas_xy(np.array([[30.0, 20.0]]), crop, flip, (200, 100)).tolist() == [list(point)]


def test_the_whole_of_a_photo_of_the_canvass_shape_is_shown(tmp_path: Path) -> None:
    zebra = box_object("zebra", Box.from_xyxy(20, 10, 60, 50))
    view = shown(photo_of(tmp_path, zebra, size_wh=(192, 128)))
    assert view.crop.xyxy == (0, 0, 192, 128)
    (item,) = view.present
    assert (item.box_xyxy, item.box.xyxy, item.unlabelled) == ((10, 5, 30, 25), (10, 5, 30, 25), "")


def test_parts_are_of_the_canvass_shape_and_as_large_as_asked_for(tmp_path: Path) -> None:
    photo = photo_of(tmp_path)
    crops = [shown(photo, min_crop=0.5, seed=seed).crop for seed in range(40)]
    shares = [crop.width / 120 for crop in crops]
    assert 0.5 <= min(shares) < 0.6 and 0.9 < max(shares) <= 1
    assert all(abs(crop.width / crop.height - 1.5) < 0.05 for crop in crops)
    assert len({crop.xyxy for crop in crops}) == 40


def test_parts_cut_no_object_where_there_is_another_way(tmp_path: Path) -> None:
    photo = photo_of(tmp_path, box_object("zebra", Box.from_xyxy(50, 35, 70, 55)))
    for seed in range(30):
        assert all(item.visible_share == 1 for item in shown(photo, min_crop=0.4, seed=seed).present)


def test_a_cut_object_keeps_what_is_seen_of_its_box_or_loses_its_label(tmp_path: Path) -> None:
    # All parts are 120 x 80 of 120 x 90: the first object is always cut, by 0 to 10 of its 20 rows at the top.
    top, wide = box_object("zebra", Box.from_xyxy(10, 0, 30, 20)), box_object("zebra", Box.from_xyxy(60, 0, 80, 10))
    photo = photo_of(tmp_path, top, wide, box_object("zebra", Box.from_xyxy(90, 75, 110, 90)))
    views = [shown(photo, seed=seed) for seed in range(40)]
    assert {view.crop.height for view in views} == {80}
    for view in views:
        for item in view.present:
            whole = photo.objects[item.number].box_xyxy
            left = min(whole[3], view.crop.y_max) - max(whole[1], view.crop.y_min)
            assert item.visible_share == pytest.approx(left / (whole[3] - whole[1]), abs=1e-4)
            assert bool(item.unlabelled) == (item.visible_share < 0.4)
            assert item.is_kept  # nothing is painted over it either way
            assert 0 <= item.box_xyxy[1] < item.box_xyxy[3] <= 64


def test_crowds_and_objects_of_no_class_get_no_label(tmp_path: Path) -> None:
    crowd = box_object("zebra", Box.from_xyxy(10, 30, 30, 50), is_crowd=True)
    lion = box_object("lion", Box.from_xyxy(60, 30, 80, 50))
    found = {item.unlabelled: item.is_kept for item in shown(photo_of(tmp_path, crowd, lion)).present}
    assert found == {"a crowd": True, "no class of classes.csv": False}


def test_every_photo_is_shown_as_often_as_the_others(tmp_path: Path) -> None:
    photos = [photo_of(tmp_path, seed=seed) for seed in range(5)]
    plan = plan_of(spec_of(*photos, scenes=12, painted=7))
    views = [scene.photo for scene in plan]
    assert sum(view is None for view in views) == 7
    counts = Counter(view.photo.name for view in views if view is not None)
    assert sorted(counts.values()) == [2, 2, 2, 3, 3]
    assert [plan.scene(index) for index in (3, 11)] == [plan_of(plan.spec).scene(index) for index in (3, 11)]


def test_all_scenes_of_a_photo_are_in_one_split(tmp_path: Path) -> None:
    photos = [photo_of(tmp_path, seed=seed) for seed in range(10)]
    spec = spec_of(*photos, scenes=40)
    twice = Spec(backgrounds=spec.backgrounds * 2, classes=spec.classes)
    splits: dict[str, set[str]] = {}
    for scene in plan_of(twice, output={"val_share": 0.2}):
        splits.setdefault(view_of(scene).photo.name, set()).add(scene.split)
    assert sorted(map(sorted, splits.values())) == [["train"]] * 8 + [["val"]] * 2


def test_flips_are_those_that_are_allowed(tmp_path: Path) -> None:
    photo = photo_of(tmp_path)
    for flip, allowed in (("none", {"none"}), ("vertical", {"none", "vertical"})):
        assert {view_of(scene).flip for scene in plan_of(spec_of(photo, scenes=20, flip=flip))} == allowed
    assert len({view_of(scene).flip for scene in plan_of(spec_of(photo, scenes=40, flip="both"))}) == 4


def test_nothing_is_placed_over_what_the_photo_shows(tmp_path: Path) -> None:
    real: list[RealObject] = [box_object("zebra", Box.from_xywh(x, 20, 18, 40)) for x in (5, 60)]
    lion = box_object("lion", Box.from_xywh(30, 10, 16, 40))
    plan = plan_of(spec_of(photo_of(tmp_path, *real, lion), scenes=20), placement={"decoys": 1, "max_overlap": 0.5})
    over_lion = 0
    for scene in plan:
        view = view_of(scene)
        for item in (*scene.placements, *scene.decoys):
            assert not any(intersection_area(item.box, box) for box in view.kept)
        for item in scene.placements:  # for which there is always room beside the lion
            over_lion += any(intersection_area(item.box, box) for box in view.avoided)
    assert over_lion == 0
    scenes = [plan.scene(index, seen=[Box.from_xyxy(70, 0, 96, 64)]) for index in range(20)]
    assert all(item.box.x_max <= 70 for scene in scenes for item in (*scene.placements, *scene.decoys))


def test_what_is_no_class_is_painted_over_where_nothing_else_is_free(tmp_path: Path) -> None:
    lion = box_object("lion", Box.from_xyxy(0, 0, 120, 90))
    plan = plan_of(spec_of(photo_of(tmp_path, lion), scenes=6))
    assert all(len(scene.placements) == 2 for scene in plan)


def test_plain_data_names_the_photo_only_where_there_is_one(tmp_path: Path) -> None:
    photo = photo_of(tmp_path, box_object("zebra", Box.from_xyxy(40, 30, 60, 50)))
    scenes = [scene.to_json() for scene in plan_of(spec_of(photo, scenes=1, painted=1))]
    (painted,) = (scene for scene in scenes if "photo" not in scene)
    (in_photo,) = (scene["photo"] for scene in scenes if "photo" in scene)
    assert "present" not in painted
    assert (in_photo["name"], in_photo["sha256"], len(in_photo["present"])) == ("0.png", photo.sha256, 1)
