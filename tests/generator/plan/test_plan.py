import itertools
import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import plan as plans
from generator.config import Config
from generator.foundation.geometry import overlap_share
from generator.plan import BLENDERS_IN_MIX, Plan, ScenePlan, count_planned, extend_plan, write_plan
from generator.plan.placing import LONG_SIDE_SHARES, aspect_size_px, draw_size
from generator.spec import MIN_SIDE_PX, BackgroundSpec, ClassSpec, Length, Spec, load_spec

ROOT = Path(__file__).parents[3]
CANVAS_WH = (400, 300)


def px(*values: float) -> tuple[Length, ...]:
    return tuple(Length(value=value, is_share=False) for value in values)


def percent(*values: float) -> tuple[Length, ...]:
    return tuple(Length(value=value / 100, is_share=True) for value in values)


def thing(**given: object) -> ClassSpec:
    return ClassSpec(**{"prompt": "a cow", "name": "cow", "min_appear": 1, "max_appear": 2, **given})


COW = thing(sizes=px(40, 30, 80, 60))
BIRD = thing(prompt="a bird", name="bird", min_appear=0, max_appear=3, aspect_ratios=(0.5, 2.0), band=(0.0, 0.5))


def plan_of(*classes: ClassSpec, num_imgs: tuple[int, ...] = (20,), canvas_wh=CANVAS_WH, **settings: object) -> Plan:
    backgrounds = tuple(BackgroundSpec(prompt=f"field {row}", num_imgs=num) for row, num in enumerate(num_imgs))
    canvas = {"width": canvas_wh[0], "height": canvas_wh[1]}
    return Plan(spec=Spec(backgrounds=backgrounds, classes=classes), config=Config(canvas=canvas, **settings))


def things_in(scene: ScenePlan) -> list[tuple[int, str]]:
    return [(one.object_index, one.category) for one in (*scene.placements, *scene.unplaced)]


# Purity.


def test_the_same_wish_gives_the_same_plan_and_another_seed_another():
    one, again, other = (list(plan_of(COW, BIRD, num_imgs=(15, 5), seed=seed)) for seed in (1, 1, 2**63 - 1))
    assert one == again
    for here, there in zip(one, other, strict=True):
        assert here.seed != there.seed
        assert [(p.box, p.seed) for p in here.placements] != [(p.box, p.seed) for p in there.placements]


def test_a_scene_does_not_depend_on_what_was_asked_before():
    forwards = list(plan_of(COW, BIRD))
    plan = plan_of(COW, BIRD)
    assert [plan.scene(index) for index in reversed(range(20))] == forwards[::-1]
    assert plan_of(COW, BIRD).scene(13) == forwards[13]
    assert list(itertools.islice(plan_of(COW, BIRD), 3)) == forwards[:3]


def test_a_scene_does_not_depend_on_how_many_follow():
    # With one background; several are shuffled over the run as a whole, and its length is part of the shuffle.
    assert list(plan_of(COW, BIRD, num_imgs=(50,)))[:20] == list(plan_of(COW, BIRD, num_imgs=(20,)))


def test_objects_do_not_depend_on_the_backgrounds():
    few, many = plan_of(COW, BIRD, num_imgs=(20,)), plan_of(COW, BIRD, num_imgs=(7, 6, 7))
    assert [scene.placements for scene in few] == [scene.placements for scene in many]


@pytest.mark.parametrize("index", [-1, 20, 10**9])
def test_there_are_no_other_scenes(index):
    plan = plan_of(COW)
    with pytest.raises(IndexError):
        plan.scene(index)


# What a plan promises, for any wish.


@st.composite
def wishes(draw) -> Plan:
    canvas = draw(st.tuples(st.integers(64, 900), st.integers(64, 900)))
    classes = []
    for number in range(draw(st.integers(1, 3))):
        counts = sorted(draw(st.tuples(st.integers(0, 4), st.integers(0, 4))))
        given = {"name": f"thing {number}", "min_appear": counts[0], "max_appear": counts[1]}
        style = draw(st.sampled_from(["pixels", "shares", "ratios"]))
        if style == "ratios":
            given["aspect_ratios"] = tuple(sorted(draw(st.tuples(*[st.floats(0.05, 20)] * 2))))
        else:
            most = canvas if style == "pixels" else (100, 100)
            least = 4 if style == "pixels" else 7  # 7% of 64 px are 4 px
            (w0, w1), (h0, h1) = (sorted(draw(st.tuples(*[st.integers(least, side)] * 2))) for side in most)
            given["sizes"] = (px if style == "pixels" else percent)(w0, h0, w1, h1)
        if draw(st.booleans()):
            given["band"] = tuple(sorted(draw(st.tuples(*[st.floats(0, 1)] * 2))))
        classes.append(thing(**given))
    return plan_of(
        *classes,
        num_imgs=(draw(st.integers(1, 4)), draw(st.integers(0, 3)), draw(st.integers(0, 3))),
        canvas_wh=canvas,
        seed=draw(st.integers(0, 2**63 - 1)),
        placement={
            "margin": draw(st.floats(0, 0.25)),
            "max_overlap": draw(st.sampled_from([0.0, 0.05, 0.5, 1.0])),
            "max_tries": draw(st.integers(1, 30)),
        },
        output={"val_share": draw(st.floats(0, 0.9))},
    )


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(wishes())
def test_what_every_plan_promises(plan):
    width, height = plan.config.canvas_wh
    margin = round(plan.config.placement.margin * min(width, height))
    scenes = list(plan)
    for row in plan.spec.backgrounds:
        assert sum(scene.prompt == row.prompt for scene in scenes) == row.num_imgs
    for index, scene in enumerate(scenes):
        assert scene.index == index
        assert scene.split in ("train", "val")
        assert len(things_in(scene)) <= plan.max_objects
        assert sorted(number for number, _ in things_in(scene)) == list(range(len(things_in(scene))))
        counts = Counter(category for _, category in things_in(scene))
        for row in plan.spec.classes:
            assert row.min_appear <= counts[row.name] <= row.max_appear
        rows = {row.name: row for row in plan.spec.classes}
        for placement in scene.placements:
            box, row = placement.box, rows[placement.category]
            assert min(box.x_min, box.y_min) >= 0
            assert box.x_max <= width
            assert box.y_max <= height
            if box.width <= width - 2 * margin:
                assert margin <= box.x_min <= box.x_max <= width - margin
            if box.height <= height - 2 * margin:
                assert margin <= box.y_min <= box.y_max <= height - margin
            low, high = row.band[0] * height, row.band[1] * height
            slack = 0.5 if high - low < 1 else 1e-6  # a centre on a line between pixels, a band between two lines
            assert low - slack <= (box.y_min + box.y_max) / 2 <= high + slack
            check_size(row, (box.width, box.height), plan.config.canvas_wh)
        for one, other in itertools.combinations(scene.placements, 2):
            assert overlap_share(one.box, other.box) <= plan.config.placement.max_overlap
        areas = [placement.box.area for placement in scene.placements]
        assert areas == sorted(areas, reverse=True)  # the order of painting: small objects lie over large ones
        for missing in scene.unplaced:
            assert missing.reason
            check_size(rows[missing.category], missing.size_wh, plan.config.canvas_wh)
    seeds = [seed for scene in scenes for seed in (scene.seed, *(placement.seed for placement in scene.placements))]
    assert len(set(seeds)) == len(seeds)


def check_size(row: ClassSpec, size_wh: tuple[int, int], canvas_wh: tuple[int, int]) -> None:
    width, height = size_wh
    if row.sizes is not None:
        width_min, height_min, width_max, height_max = row.size_ranges_px(canvas_wh)
        assert width_min <= width <= width_max
        assert height_min <= height <= height_max
        return
    low, high = (share * min(canvas_wh) for share in LONG_SIDE_SHARES)
    assert math.floor(low) <= max(width, height) <= high
    assert min(width, height) >= MIN_SIDE_PX
    if min(width, height) > MIN_SIDE_PX:  # else the least side that can be painted came before the ratio
        # Whole pixels were cut down from a box of a ratio within the range: each side is less than 1 px short.
        assert (width + 1) / height > row.aspect_ratios[0]
        assert width / (height + 1) < row.aspect_ratios[1]


# Counts and sizes, over many draws.


def test_every_number_of_objects_comes_up():
    plan = plan_of(thing(min_appear=2, max_appear=4, sizes=px(8, 8, 9, 9)), num_imgs=(300,))
    counts = Counter(len(things_in(scene)) for scene in plan)
    assert set(counts) == {2, 3, 4}
    assert min(counts.values()) > 70  # 100 each is expected, 3.7 sigma below is 70


@pytest.mark.parametrize(
    ("row", "spread"),
    [
        pytest.param(thing(sizes=px(40, 30, 80, 60)), (40, 30, 80, 60), id="pixels"),
        pytest.param(thing(sizes=percent(10, 10, 20, 20)), (40, 30, 80, 60), id="shares"),
        pytest.param(thing(sizes=px(50, 30, 50, 60)), (50, 30, 50, 60), id="one width"),
        pytest.param(thing(sizes=px(400, 300, 400, 300)), (400, 300, 400, 300), id="the whole canvas"),
        pytest.param(thing(aspect_ratios=(1.0, 1.0)), (75, 75, 149, 149), id="squares"),  # 1/4 to 1/2 of 300 px
        pytest.param(thing(aspect_ratios=(2.0, 2.0)), (75, 37, 149, 74), id="lying"),
        pytest.param(thing(aspect_ratios=(0.5, 0.5)), (37, 75, 74, 149), id="upright"),
    ],
)
def test_sizes_fill_their_range(row, spread):
    rng = np.random.default_rng(0)
    sizes = [draw_size(row, CANVAS_WH, rng) for _ in range(2000)]
    widths, heights = (sorted(side) for side in zip(*sizes, strict=True))
    assert (widths[0], heights[0], widths[-1], heights[-1]) == pytest.approx(spread, abs=1)
    for size in sizes:
        assert all(type(side) is int for side in size)
        check_size(row, size, CANVAS_WH)


def test_a_large_animal_is_large_in_both_directions():
    rng = np.random.default_rng(0)
    widths, heights = np.array([draw_size(COW, CANVAS_WH, rng) for _ in range(500)]).T
    assert np.corrcoef(widths, heights)[0, 1] > 0.8
    assert len({width / height for width, height in zip(widths, heights, strict=True)}) > 100


def test_ratios_fill_their_range():
    rng = np.random.default_rng(0)
    row = thing(aspect_ratios=(0.5, 2.0))
    ratios = [width / height for width, height in (draw_size(row, (4000, 3000), rng) for _ in range(1000))]
    assert np.quantile(ratios, [0, 1]) == pytest.approx([0.5, 2.0], abs=0.02)
    # Drawn evenly on the scale of logarithms: as many upright as lying boxes.
    assert np.mean(np.array(ratios) < 1) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("ratio", "share", "canvas_wh", "expected"),
    [
        (2.0, 0.5, (400, 300), (150, 75)),
        (0.5, 0.5, (400, 300), (75, 150)),
        (2.0, 0.5, (300, 400), (150, 75)),
        (1.0, 0.25, (400, 300), (75, 75)),
        (1.5, 0.25, (400, 300), (75, 50)),
        (3.0, 0.5, (400, 301), (150, 50)),  # 150.5 x 50.17
        (20.0, 0.25, (64, 64), (16, 4)),  # 0.8 px cannot be painted
        (0.05, 0.25, (64, 64), (4, 16)),
    ],
)
def test_aspect_size_px(ratio, share, canvas_wh, expected):
    assert aspect_size_px(ratio, share, canvas_wh) == expected


# Places.


def test_boxes_go_everywhere_they_may():
    plan = plan_of(
        thing(min_appear=1, max_appear=1, sizes=px(100, 100, 100, 100)), num_imgs=(1000,), placement={"margin": 0.02}
    )
    boxes = [placement.box for scene in plan for placement in scene.placements]
    assert len(boxes) == 1000
    # The margin is 2% of 300 px; the last place is 400 - 6 - 100 and 300 - 6 - 100.
    xs, ys = [box.x_min for box in boxes], [box.y_min for box in boxes]
    assert (min(xs), max(xs), min(ys), max(ys)) == pytest.approx((6, 294, 6, 194), abs=3)
    assert min(xs) >= 6
    assert max(xs) <= 294
    assert min(ys) >= 6
    assert max(ys) <= 194


@pytest.mark.parametrize(
    ("band", "low", "high"),
    [
        ((0.0, 1.0), 15, 285),
        ((0.5, 1.0), 150, 285),
        ((0.0, 0.3), 15, 90),
        ((0.6, 0.7), 180, 210),
        ((0.5, 0.5), 150, 150),
    ],
)
def test_a_band_holds_the_centres(band, low, high):
    row = thing(min_appear=1, max_appear=1, sizes=px(20, 30, 20, 30), band=band)
    plan = plan_of(row, num_imgs=(500,), placement={"margin": 0.0})
    centres = [placement.box.y_min + 15 for scene in plan for placement in scene.placements]
    assert len(centres) == 500
    assert low <= min(centres) <= low + 3
    assert high - 3 <= max(centres) <= high


def test_a_box_of_odd_height_fits_a_band_that_is_a_line():
    # Its centre lies half a pixel off any line between pixels; that must not be a reason to give it up.
    row = thing(min_appear=1, max_appear=1, sizes=px(21, 31, 21, 31), band=(0.5, 0.5))
    assert not any(scene.unplaced for scene in plan_of(row))


def test_a_box_may_fill_the_canvas():
    plan = plan_of(thing(min_appear=1, max_appear=1, sizes=percent(100, 100, 100, 100)))
    assert {placement.box.xyxy for scene in plan for placement in scene.placements} == {(0, 0, 400, 300)}


def test_what_finds_no_place_is_recorded():
    plan = plan_of(
        thing(min_appear=50, max_appear=50, sizes=px(300, 200, 300, 200)),
        num_imgs=(3,),
        placement={"max_overlap": 0.0, "max_tries": 7},
    )
    for scene in plan:
        assert len(scene.placements) == 1
        assert len(scene.unplaced) == 49
        assert {missing.reason for missing in scene.unplaced} == {"no free place in 7 tries"}
        assert {missing.size_wh for missing in scene.unplaced} == {(300, 200)}
        assert {missing.category for missing in scene.unplaced} == {"cow"}


def test_a_band_without_room_is_named_as_the_reason():
    # A box of 200 px whose centre is to lie within the upper 30 px would stick out of the canvas.
    plan = plan_of(thing(min_appear=1, max_appear=1, sizes=px(50, 200, 50, 200), band=(0.0, 0.1)))
    assert {missing.reason for scene in plan for missing in scene.unplaced} == {
        "the band leaves no place for a box of this height inside the canvas"
    }
    assert not any(scene.placements for scene in plan)


@pytest.mark.parametrize(("max_overlap", "placed"), [(0.0, 1), (1.0, 4)])
def test_the_configured_overlap(max_overlap, placed):
    plan = plan_of(
        thing(min_appear=4, max_appear=4, sizes=percent(95, 95, 95, 95)), placement={"max_overlap": max_overlap}
    )
    assert {len(scene.placements) for scene in plan} == {placed}


# Splits, seeds and texts.


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("share", "run", "expected"), [(0.2, 5, 1), (0.25, 8, 2), (0.5, 2, 1), (0.9, 10, 9), (0.0, 7, 0)]
)
def test_every_run_of_scenes_holds_its_share_of_validation_pictures(share, run, expected, seed):
    is_val = [scene.split == "val" for scene in plan_of(COW, num_imgs=(200,), seed=seed, output={"val_share": share})]
    assert {sum(is_val[start : start + run]) for start in range(200 - run + 1)} == {expected}


def test_the_first_pictures_show_every_background():
    # Shuffled: were the rows taken in their order, a preview of 30 would show one of the three.
    prompts = [scene.prompt for scene in plan_of(COW, num_imgs=(100, 100, 100))]
    assert set(prompts[:30]) == {"field 0", "field 1", "field 2"}
    assert Counter(prompts) == {"field 0": 100, "field 1": 100, "field 2": 100}


def test_the_default_scenario_finds_a_place_for_everything():
    config = Config()
    spec = load_spec(ROOT / "background.csv", ROOT / "classes.csv", canvas_wh=config.canvas_wh)
    scenes = list(Plan(spec=spec, config=config))
    assert len(scenes) == spec.num_scenes
    assert not any(scene.unplaced for scene in scenes)


def test_negative_prompts_of_the_row_come_before_those_of_the_config():
    spec = Spec(
        backgrounds=(
            BackgroundSpec(prompt="plain", num_imgs=5),
            BackgroundSpec(prompt="special", num_imgs=5, negative_prompt="rain"),
        ),
        classes=(thing(name="plain"), thing(name="special", negative_prompt="calf")),
    )
    defaults = {"background_negative_prompt": "fog", "object_negative_prompt": "blur"}
    scenes = list(Plan(spec=spec, config=Config(painting=defaults)))
    assert {(scene.prompt, scene.negative_prompt) for scene in scenes} == {("plain", "fog"), ("special", "rain")}
    placements = [placement for scene in scenes for placement in scene.placements]
    assert {(one.category, one.negative_prompt) for one in placements} == {("plain", "blur"), ("special", "calf")}


@pytest.mark.parametrize(
    ("blend", "expected"), [("feather", {"feather"}), ("poisson", {"poisson"}), ("mixed", set(BLENDERS_IN_MIX))]
)
def test_blenders(blend, expected):
    plan = plan_of(COW, num_imgs=(100,), painting={"blend": blend})
    used = Counter(placement.blender for scene in plan for placement in scene.placements)
    assert set(used) == expected
    assert min(used.values()) > 0.2 * sum(used.values())  # mixed is an even mix


# The file.


def test_write_plan(tmp_path):
    plan = plan_of(COW, BIRD, thing(name="wall", min_appear=1, max_appear=1, sizes=px(9, 300, 9, 300), band=(0, 0)))
    assert write_plan(plan, tmp_path / "plan.jsonl") == 20  # a wall in each scene has no place in its band
    lines = (tmp_path / "plan.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 20
    for line, scene in zip(lines, plan, strict=True):
        data = json.loads(line)
        assert (data["index"], data["split"], data["seed"]) == (scene.index, scene.split, scene.seed)
        assert [one["box"] for one in data["placements"]] == [list(one.box.xyxy) for one in scene.placements]
        assert [one["seed"] for one in data["placements"]] == [one.seed for one in scene.placements]
        assert [one["category"] for one in data["unplaced"]] == ["wall"]
    assert [path.name for path in tmp_path.iterdir()] == ["plan.jsonl"]


def test_write_plan_keeps_the_words_of_the_user(tmp_path):
    row = thing(prompt="une vache\nà l'ombre", name="vache")
    write_plan(plan_of(row, num_imgs=(3,)), tmp_path / "plan.jsonl")
    text = (tmp_path / "plan.jsonl").read_text(encoding="utf-8")
    assert text.count("\n") == 3  # a newline in a prompt is not one in the file
    assert "à l'ombre" in text


# plan.jsonl goes as far as painting has come, in whole lines, whatever happened in between.


@pytest.fixture()
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "AHEAD", 8)
    monkeypatch.setattr(plans, "STEP", 4)


def whole(folder: Path, plan: Plan) -> list[str]:
    write_plan(plan, folder / "whole")
    return (folder / "whole").read_text().splitlines()


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize(
    ("scenes", "until", "held"),
    [
        (6, 0, 6),  # a usual run: all, before the first is painted
        (30, 0, 8),
        (30, 7, 8),
        (30, 8, 12),
        (30, 12, 16),
        (30, 29, 30),
    ],
)
def test_how_far_it_goes_depends_on_the_last_scene(tmp_path: Path, scenes: int, until: int, held: int) -> None:
    plan = plan_of(COW, num_imgs=(scenes,))
    assert extend_plan(plan, tmp_path / "plan.jsonl", until=until) == held
    assert (tmp_path / "plan.jsonl").read_text().splitlines() == whole(tmp_path, plan)[:held]
    assert count_planned(tmp_path / "plan.jsonl") == held


@pytest.mark.usefixtures("small_steps")
def test_in_steps_or_at_once_it_is_the_same_file(tmp_path: Path) -> None:
    plan = plan_of(COW, num_imgs=(40,))
    for until in (0, 3, 11, 12, 12, 25, 11, 39):
        extend_plan(plan, tmp_path / "steps", until=until)
    extend_plan(plan, tmp_path / "once", until=39)
    write_plan(plan, tmp_path / "whole")
    assert (tmp_path / "steps").read_bytes() == (tmp_path / "once").read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("cut", [1, 40, 400, 2000])
def test_a_line_that_a_kill_cut_short_is_written_again(tmp_path: Path, cut: int) -> None:
    plan, path = plan_of(COW, num_imgs=(30,)), tmp_path / "plan.jsonl"
    extend_plan(plan, path, until=25)
    before = path.read_bytes()
    path.write_bytes(before[:-cut])
    assert extend_plan(plan, path, until=25) == 28
    assert path.read_bytes() == before


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"{", b"{}\n", b"[1]\n", b"\x00" * 50, b'{"index": 3}\n\x00\x00\n', b'{"index":"x"}\n'],
)
def test_a_damaged_file_is_begun_again(tmp_path: Path, content: bytes) -> None:
    plan, path = plan_of(COW, num_imgs=(30,)), tmp_path / "plan.jsonl"
    path.write_bytes(content)
    assert extend_plan(plan, path, until=0) == 8
    assert [json.loads(line)["index"] for line in path.read_text().splitlines()] == list(range(8))


# Decoys: like objects in everything but the prompt, clear of them, and without effect on them.

FARM = Spec(
    backgrounds=(BackgroundSpec(prompt="a field", num_imgs=200), BackgroundSpec(prompt="a wood", num_imgs=100)),
    classes=(
        ClassSpec(prompt="a cow", name="cow", min_appear=1, max_appear=2, sizes=percent(10, 10, 20, 20)),
        ClassSpec(prompt="a hen", name="hen", min_appear=0, max_appear=2, sizes=percent(4, 4, 6, 6)),
    ),
)


def plan_with(decoys: float, **settings: object) -> Plan:
    return Plan(spec=FARM, config=Config(placement={"decoys": decoys}, **settings))


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
