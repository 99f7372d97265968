"""From calibration.json to the plan: what the spec takes from it, sizes, places, and the ground they lie on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.foundation.errors import SpecError
from generator.foundation.geometry import Box, overlap_share
from generator.plan import Plan, ScenePlan, write_plan
from generator.spec import MIN_SIDE_PX, ClassSpec, Length, Spec, load_spec
from generator.spec.calibration import CALIBRATION, ClassCalibration, write_calibration
from tests.generator.calibrated import CANVAS_WH, PLATELET, config_of, plan_of

PROPERTY = settings(max_examples=200, deadline=None, derandomize=True, database=None)
BACKGROUND_CSV = "prompt,num_imgs\na smear,400\n"
CLASSES_CSV = (
    "prompt,min_appear,max_appear,width_min,height_min,width_max,height_max,name\n"
    "a white cell,1,1,15%,50%,20%,60%,white cell\n"
    "a purple platelet,1,1,3%,12%,4%,16%,platelet\n"
    "a red cell,0,1,20,20,30,30,\n"
)


def percent(*values: float) -> tuple[Length, Length, Length, Length]:
    width_min, height_min, width_max, height_max = (Length(value=value / 100, is_share=True) for value in values)
    return width_min, height_min, width_max, height_max


# The spec.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The two CSV files of a scenario, without calibration.json."""
    (tmp_path / "background.csv").write_text(BACKGROUND_CSV)
    (tmp_path / "classes.csv").write_text(CLASSES_CSV)
    return tmp_path


def load(folder: Path) -> Spec:
    return load_spec(folder / "background.csv", folder / "classes.csv", canvas_wh=CANVAS_WH)


def test_the_file_beside_classes_csv_is_picked_up_by_the_class_it_names(folder: Path) -> None:
    write_calibration(folder / CALIBRATION, {"platelet": PLATELET}, real="photos")
    rows = {row.name: row for row in load(folder).classes}
    assert [row.calibration for row in rows.values()] == [None, PLATELET, None]
    assert [row.label_scale for row in rows.values()] == [1.0, 1.25, 1.0]
    assert rows["platelet"].sizes == percent(3, 12, 4, 16), "what the CSV says stays there, for the day it is removed"


def test_every_row_of_a_class_is_calibrated(folder: Path) -> None:
    (folder / "classes.csv").write_text(CLASSES_CSV + "a blue platelet,0,1,20,20,30,30,platelet\n")
    write_calibration(folder / CALIBRATION, {"platelet": PLATELET}, real="photos")
    calibrated = [row.prompt for row in load(folder).classes if row.calibration is not None]
    assert calibrated == ["a purple platelet", "a blue platelet"]


def test_a_broken_calibration_stops_the_spec_and_is_named(folder: Path) -> None:
    (folder / CALIBRATION).write_text("{")
    with pytest.raises(SpecError, match=r"calibration\.json:1: is not JSON"):
        load(folder)
    write_calibration(folder / CALIBRATION, {"dog": PLATELET}, real="photos")
    with pytest.raises(SpecError, match="'dog'"):
        load(folder)


def test_faults_of_the_tables_come_first(folder: Path) -> None:
    # Which classes there are is not known before classes.csv is sound.
    (folder / "classes.csv").write_text(CLASSES_CSV.replace("1,1,15%", "one,1,15%"))
    (folder / CALIBRATION).write_text("{")
    with pytest.raises(SpecError) as caught:
        load(folder)
    assert {Path(fault.file).name for fault in caught.value.faults} == {"classes.csv"}


def test_the_digest_without_a_calibration_is_that_of_before_there_were_any(folder: Path) -> None:
    def row(prompt: str, name: str, least: int, sizes: list[tuple[float, bool]]) -> dict[str, Any]:
        return {
            "prompt": prompt,
            "name": name,
            "min_appear": least,
            "max_appear": 1,
            "sizes": [{"value": value, "is_share": is_share} for value, is_share in sizes],
            "aspect_ratios": [0.75, 1.33],
            "supercategory": "",
            "negative_prompt": "",
            "references": "",
            "synonyms": [],
            "band": [0.0, 1.0],
        }

    plain = {
        "backgrounds": [{"prompt": "a smear", "num_imgs": 400, "negative_prompt": "", "references": ""}],
        "classes": [
            row("a white cell", "white cell", 1, [(0.15, True), (0.5, True), (0.2, True), (0.6, True)]),
            row("a purple platelet", "platelet", 1, [(0.03, True), (0.12, True), (0.04, True), (0.16, True)]),
            row("a red cell", "red cell", 0, [(20.0, False), (20.0, False), (30.0, False), (30.0, False)]),
        ],
        "attributes": [],
    }
    # Else no run that was begun before would go on: the digest is in its run.json.
    assert load(folder).digest == hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def test_the_digest_changes_with_what_was_measured_and_only_with_that(folder: Path) -> None:
    path = folder / CALIBRATION
    digests = [load(folder).digest]
    for found in ({}, {"platelet": PLATELET}, {"platelet": PLATELET.model_copy(update={"side": 0.11})}):
        write_calibration(path, found, real="photos")
        digests.append(load(folder).digest)
    plain, empty, one, other = digests
    assert plain == empty
    assert len({plain, one, other}) == 3
    write_calibration(path, {"platelet": PLATELET}, real="the same photos, elsewhere")
    assert load(folder).digest == one
    path.unlink()
    assert load(folder).digest == plain


# The plan.


def loaded_plan(folder: Path, **given: object) -> Plan:
    write_calibration(folder / CALIBRATION, {"platelet": PLATELET}, real="photos")
    return Plan(spec=load(folder), config=config_of(CANVAS_WH, **given))


def test_calibrated_boxes_have_the_sizes_and_places_of_real_ones(folder: Path) -> None:
    placements = [each for scene in loaded_plan(folder) for each in scene.placements if each.category == "platelet"]
    assert len(placements) > 390
    boxes = np.array([each.box.xyxy for each in placements])
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert np.median(widths) == pytest.approx(32, abs=1)
    assert np.median(heights) == pytest.approx(18, abs=1)
    assert np.median(np.sqrt(widths * heights)) == pytest.approx(24, abs=0.7)
    assert np.log(np.sqrt(widths * heights)).std() == pytest.approx(0.2, abs=0.03)
    assert np.log(widths / heights).std() == pytest.approx(0.1, abs=0.03)
    assert abs(np.corrcoef(widths * heights, widths / heights)[0, 1]) < 0.2, "small ones are of all shapes, too"
    for low, high, side, deciles in ((0, 2, 400, PLATELET.centres_x), (1, 3, 100, PLATELET.centres_y)):
        centres = (boxes[:, low] + boxes[:, high]) / 2 / side
        # White cells are in the way of some; of 400 draws a decile lies within some hundredths of its place.
        assert np.quantile(centres, np.arange(1, 10) / 10) == pytest.approx(deciles[1:-1], abs=0.05)
        assert np.median(centres) == pytest.approx(deciles[5], abs=0.03)
        assert centres.min() >= deciles[0] - 0.01
        assert centres.max() <= deciles[-1] + 0.01


def test_each_placement_carries_the_label_scale_of_its_class(folder: Path) -> None:
    plan = loaded_plan(folder)
    found = {(each.category, each.label_scale) for scene in plan for each in scene.placements}
    assert found == {("white cell", 1.0), ("platelet", 1.25), ("red cell", 1.0)}
    write_plan(plan, folder / "plan.jsonl")
    scenes = [json.loads(line) for line in (folder / "plan.jsonl").read_text().splitlines()]
    assert {each["label_scale"] for scene in scenes for each in scene["placements"]} == {1.0, 1.25}


def test_decoys_have_the_sizes_and_places_of_what_they_stand_for(folder: Path) -> None:
    plan = loaded_plan(folder, placement={"decoys": 1.0})
    decoys = [each.box for scene in plan for each in scene.decoys if each.category == "platelet"]
    assert len(decoys) > 200
    assert np.median([box.width for box in decoys]) == pytest.approx(32, abs=2)
    assert all(0.29 <= (box.y_min + box.y_max) / 2 / 100 <= 0.71 for box in decoys)


def test_sizes_of_the_table_that_do_not_fit_are_no_fault_where_they_are_not_used() -> None:
    sizes = (Length(value=500, is_share=False),) * 4
    row = ClassSpec(prompt="a cell", name="cell", min_appear=1, max_appear=1, sizes=sizes, calibration=PLATELET)
    assert all(scene.placements for scene in plan_of(row, num_imgs=20))
    with pytest.raises(SpecError, match="do not fit the canvas"):
        plan_of(ClassSpec(prompt="a cell", name="cell", min_appear=1, max_appear=1, sizes=sizes))


SHARES = st.floats(0, 1)
DECILE_TUPLES = st.lists(SHARES, min_size=11, max_size=11).map(lambda places: tuple(sorted(places)))
CALIBRATIONS = st.builds(
    ClassCalibration,
    label_scale=st.floats(0.21, 4.9),
    paint_scale=st.floats(0.21, 4.9),
    paint_spread=st.floats(0, 2.9),
    side=st.floats(0.001, 1),
    side_spread=st.floats(0, 2.9),
    aspect=st.floats(0.021, 49),
    aspect_spread=st.floats(0, 2.9),
    centres_x=DECILE_TUPLES,
    centres_y=DECILE_TUPLES,
    ground=DECILE_TUPLES,
    real_boxes=st.just(1),
    painted_boxes=st.just(1),
)


@PROPERTY
@given(
    CALIBRATIONS,
    st.tuples(st.integers(64, 300), st.integers(64, 300)),
    st.tuples(SHARES, SHARES).map(lambda pair: (min(pair), max(pair))),
    st.floats(0, 0.25),
    st.integers(0, 2**63 - 1),
)
def test_calibrated_boxes_fit_the_canvas_and_their_band(
    found: ClassCalibration, canvas_wh: tuple[int, int], band: tuple[float, float], margin: float, seed: int
) -> None:
    row = ClassSpec(prompt="a cell", name="cell", min_appear=1, max_appear=2, band=band, calibration=found)
    plan = plan_of(row, num_imgs=3, canvas_wh=canvas_wh, seed=seed, placement={"margin": margin, "max_tries": 5})
    canvas = Box.from_xywh(0, 0, *canvas_wh)
    for scene in plan:
        assert scene.placements or scene.unplaced
        for placement in scene.placements:
            assert canvas.contains(placement.box)
            assert min(placement.box.width, placement.box.height) >= MIN_SIDE_PX
            assert placement.label_scale == found.label_scale
            centre = (placement.box.y_min + placement.box.y_max) / 2
            # A band thinner than a pixel may be missed by half of one.
            assert band[0] * canvas_wh[1] - 0.51 <= centre <= band[1] * canvas_wh[1] + 0.51
        for missing in scene.unplaced:
            assert missing.size_wh[0] <= canvas_wh[0]
            assert missing.size_wh[1] <= canvas_wh[1]


# On what ground.

MIDDLE_BOX = Box.from_xywh(0, 0, 1, 1)


def half_light() -> np.ndarray:
    """A picture whose right half is light."""
    picture = np.full((CANVAS_WH[1], CANVAS_WH[0], 3), 60, np.uint8)
    picture[:, CANVAS_WH[0] // 2 :] = 200
    return picture


def sides_of(scene: ScenePlan) -> list[tuple[int, int]]:
    return [(each.box.width, each.box.height) for each in scene.placements]


def on_ground(*deciles: float) -> ClassCalibration:
    even = tuple(np.linspace(0, 1, 11))
    return PLATELET.model_copy(update={"centres_x": even, "centres_y": even, "ground": deciles})


@pytest.mark.parametrize(("rank", "on_light"), [(1.0, True), (0.0, False)])
def test_objects_lie_on_such_ground_as_real_ones(rank: float, on_light: bool) -> None:
    row = ClassSpec(
        prompt="a platelet", name="platelet", min_appear=2, max_appear=2, calibration=on_ground(*[rank] * 11)
    )
    plan = plan_of(row, num_imgs=30)
    boxes = [placement.box for scene in plan for placement in plan.scene(scene.index, half_light()).placements]
    assert len(boxes) == 60
    right = np.array([box.x_min > CANVAS_WH[0] / 2 for box in boxes])
    assert (right == on_light).mean() > 0.95
    anywhere = np.array([placement.box.x_min > CANVAS_WH[0] / 2 for scene in plan for placement in scene.placements])
    assert 0.3 < anywhere.mean() < 0.7


def test_the_picture_moves_boxes_of_calibrated_classes_and_nothing_else() -> None:
    platelet = ClassSpec(prompt="a platelet", name="platelet", min_appear=2, max_appear=2, calibration=PLATELET)
    plan = plan_of(platelet, num_imgs=8)
    for before in plan:
        after = plan.scene(before.index, half_light())
        assert after == plan.scene(before.index, half_light())
        assert sides_of(after) == sides_of(before)
        assert [dataclasses.replace(each, box=MIDDLE_BOX) for each in after.placements] == [
            dataclasses.replace(each, box=MIDDLE_BOX) for each in before.placements
        ]
        first, second = (each.box for each in after.placements)
        assert overlap_share(first, second) <= plan.config.placement.max_overlap
    other = plan_of(ClassSpec(prompt="a cell", name="cell", min_appear=1, max_appear=3), num_imgs=8)
    assert [other.scene(index, half_light()) for index in range(8)] == list(other)
