"""Decoys in the plan: like objects in everything but the prompt, clear of them, and without effect on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from generator.config import Config
from generator.foundation.geometry import overlap_share
from generator.plan import Plan
from generator.spec import BackgroundSpec, ClassSpec, Length, Spec


def percent(least: float, most: float) -> tuple[Length, Length, Length, Length]:
    """Squares, in shares of the canvas."""
    small, large = (Length(value=value / 100, is_share=True) for value in (least, most))
    return small, small, large, large


SPEC = Spec(
    backgrounds=(BackgroundSpec(prompt="a field", num_imgs=200), BackgroundSpec(prompt="a wood", num_imgs=100)),
    classes=(
        ClassSpec(prompt="a cow", name="cow", min_appear=1, max_appear=2, sizes=percent(10, 20)),
        ClassSpec(prompt="a hen", name="hen", min_appear=0, max_appear=2, sizes=percent(4, 6)),
    ),
)


def plan_with(decoys: float, **settings: object) -> Plan:
    return Plan(spec=SPEC, config=Config(placement={"decoys": decoys}, **settings))


def test_no_object_knows_of_decoys() -> None:
    with_them, without = plan_with(1.0), plan_with(0.0)
    assert not any(scene.decoys for scene in without)
    assert [replace(scene, decoys=()) for scene in with_them] == list(without)


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_there_are_as_many_as_asked_for(share: float) -> None:
    scenes = list(plan_with(share))
    objects = sum(len(scene.placements) for scene in scenes)
    # Four standard deviations of a binomial draw; next to none finds no room here.
    assert abs(sum(len(scene.decoys) for scene in scenes) - share * objects) <= 4 * np.sqrt(objects) / 2 + 3


def test_they_are_painted_as_objects_are_but_show_the_scene() -> None:
    plan = plan_with(1.0, painting={"background_negative_prompt": "a cow", "object_negative_prompt": "fog"})
    sizes: dict[str, list[int]] = {"cow": [], "hen": []}
    for scene in plan:
        for decoy in scene.decoys:
            assert decoy.is_decoy
            assert decoy.prompt == scene.prompt
            assert (scene.negative_prompt, decoy.negative_prompt) == ("a cow", "fog")
            assert all(overlap_share(decoy.box, other.box) == 0 for other in scene.placements)
            sizes[decoy.category].append(decoy.box.width)
        numbers = [item.object_index for item in (*scene.placements, *scene.decoys, *scene.unplaced)]
        assert len(set(numbers)) == len(numbers)
        assert all(decoy.object_index >= plan.max_objects for decoy in scene.decoys)
    of_objects = {
        name: [item.box.width for scene in plan for item in scene.placements if item.category == name] for name in sizes
    }
    for name, widths in sizes.items():
        assert np.median(widths) == pytest.approx(np.median(of_objects[name]), rel=0.1)
    assert len({decoy.blender for scene in plan for decoy in scene.decoys}) == 3


def test_no_two_share_a_seed() -> None:
    seeds = [item.seed for scene in plan_with(1.0) for item in (*scene.placements, *scene.decoys)]
    assert len(set(seeds)) == len(seeds)
