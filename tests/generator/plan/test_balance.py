"""Which objects a real set lacks, and that the plan then holds exactly so many."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.config import Config
from generator.foundation.errors import BoxpaintError
from generator.plan import Plan
from generator.plan.balance import balance, shared_out
from generator.spec import BackgroundSpec, ClassSpec, Length, Spec

LEAST, MOST = Length(value=16, is_share=False), Length(value=20, is_share=False)
SMALL = (LEAST, LEAST, MOST, MOST)


def class_of(name: str, most: int, *, least: int = 0, prompt: str = "") -> ClassSpec:
    return ClassSpec(prompt=prompt or f"a {name}", name=name, min_appear=least, max_appear=most, sizes=SMALL)


def spec_of(*classes: ClassSpec, scenes: tuple[int, ...] = (30, 10)) -> Spec:
    rows = tuple(BackgroundSpec(prompt=f"a scene {number}", num_imgs=count) for number, count in enumerate(scenes))
    return Spec(backgrounds=rows, classes=classes)


CELLS = spec_of(class_of("white cell", 1, least=1), class_of("platelet", 4))


def test_rare_classes_are_painted_until_all_are_as_common() -> None:
    found = balance(CELLS, {"White Cell": 40, "platelet": 10, "red cell": 900})
    assert [(each.name, each.real, each.painted) for each in found.classes] == [
        ("white cell", 40, 0),
        ("platelet", 10, 30),
    ]
    assert found.ignored == {"red cell": 900}
    # Two platelets a scene are usual, so 15 scenes; three quarters of them are of the first kind.
    assert [row.num_imgs for row in found.spec.backgrounds] == [11, 4]
    assert [row.total for row in found.spec.classes] == [0, 30]


def test_targets_are_for_both_sets_together_and_leave_the_others() -> None:
    found = balance(CELLS, {"white cell": 40, "platelet": 10}, {"White cell": 45})
    assert [each.painted for each in found.classes] == [5, 0]
    assert found.spec.num_scenes == 5


def test_rows_of_one_class_share_its_objects() -> None:
    spec = spec_of(class_of("cell", 3, least=3), class_of("dot", 2), class_of("cell", 1, least=1, prompt="a pale cell"))
    found = balance(spec, {"cell": 0, "dot": 12})
    assert [row.total for row in found.spec.classes] == [9, 0, 3]
    assert [row.name for row in found.spec.classes] == ["cell", "dot", "cell"]


@pytest.mark.parametrize(
    ("spec", "targets", "words"),
    [
        (CELLS, {"leaf": 3}, "there is no class 'leaf'; classes: white cell, platelet"),
        (CELLS, {"platelet": 3}, "nothing is to be painted: the real set holds 5 white cell, 5 platelet"),
        (CELLS, {}, "nothing is to be painted"),
        (spec_of(class_of("white cell", 1), class_of("platelet", 0)), {"platelet": 9}, "platelet: max_appear is 0"),
    ],
)
def test_what_cannot_be_is_said(spec: Spec, targets: dict[str, int], words: str) -> None:
    with pytest.raises(BoxpaintError, match=words):
        balance(spec, {"white cell": 5, "platelet": 5}, targets)


@given(
    cells=st.integers(0, 60),
    platelets=st.integers(0, 60),
    seed=st.integers(0, 1000),
    most=st.tuples(st.integers(1, 3), st.integers(1, 5)),
)
def test_the_plan_asks_for_exactly_what_is_missing(
    cells: int, platelets: int, seed: int, most: tuple[int, int]
) -> None:
    spec = spec_of(class_of("white cell", most[0]), class_of("platelet", most[1]))
    if cells == platelets:
        return
    wanted = balance(spec, {"white cell": cells, "platelet": platelets}).spec
    plan = Plan(spec=wanted, config=Config.load(None, seed=seed))
    asked: Counter[str] = Counter()
    for scene in plan:
        of_scene = Counter(item.category for item in (*scene.placements, *scene.unplaced))
        assert of_scene["white cell"] <= most[0]
        assert of_scene["platelet"] <= most[1]
        asked += of_scene
    assert asked["white cell"] + cells == asked["platelet"] + platelets == max(cells, platelets)


@given(total=st.integers(0, 10_000), weights=st.lists(st.floats(0, 50), min_size=1, max_size=8).filter(any))
def test_parts_sum_and_keep_their_proportion(total: int, weights: list[float]) -> None:
    parts = shared_out(total, weights)
    assert sum(parts) == total
    assert all(
        abs(part - total * weight / sum(weights)) < 1 + 1e-6 for part, weight in zip(parts, weights, strict=True)
    )


def test_a_spec_as_written_says_what_it_said_before() -> None:
    assert "total" not in json.dumps(CELLS.to_json())
    assert balance(CELLS, {"platelet": 3}).spec.digest != CELLS.digest
