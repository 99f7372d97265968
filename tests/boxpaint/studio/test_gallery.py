from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageColor

from boxpaint.studio.bare_scene import paint_bare_scene
from boxpaint.studio.gallery import (
    BOX_COLOURS,
    DROPPED,
    KEPT,
    REJECTED,
    PaintedSet,
    boxes_of,
    chosen,
    close_up,
    count_words,
    draw_scene,
    open_picture,
    read_painted_set,
    verdict_rows,
)
from boxpaint.studio.workspace import Workspace
from generator.config import Config
from generator.dataset.review import Decision, decide
from generator.foundation.errors import BoxpaintError, DatasetError, RunMismatchError
from generator.painting.backgrounds import paint_backgrounds
from generator.painting.stable_diffusion import StableDiffusionPainter
from generator.plan import Plan
from generator.spec import load_spec
from tests.boxpaint.studio.conftest import DROPPED_OBJECT, SCENES
from tests.generator.painting.stand_ins import ToldVerifier, in_turn


@pytest.fixture()
def copied(workspace: Workspace, painted: Path) -> PaintedSet:
    return read_painted_set(Path(shutil.copytree(painted, workspace.folder / "dataset")))


def test_every_object_is_listed(copied: PaintedSet) -> None:
    entries = copied.entries()
    assert copied.categories == ("white blood cell", "platelet")
    assert {entry.record.index for entry in entries} == {*range(SCENES)}
    assert len(entries) == sum(len(record.objects) for record in copied.records.values())
    assert chosen(entries, ["platelet"], [], 0.0) == [entry for entry in entries if entry.item.category == "platelet"]
    assert chosen(entries, [], [REJECTED], 0.0) == []
    assert chosen(entries, [], [], 0.0) == entries
    assert [entry for entry in entries if entry.state == KEPT] == chosen(entries, [], [], 0.9)
    assert chosen(entries, [], [], 0.96) == [], "what was dropped has no score, and is no label"
    (dropped,) = chosen(entries, [], [DROPPED], 0.0)
    assert (dropped.record.index, dropped.item.object_index) == DROPPED_OBJECT
    assert count_words(entries) == f"{len(entries) - 1} labels, 1 dropped"


def test_a_decision_shows_in_the_list(copied: PaintedSet) -> None:
    decision = Decision(scene=0, object_index=1, attempt=0, decision="reject")
    decide(copied.folder, copied.categories, decision)
    entries = read_painted_set(copied.folder).entries()
    states = {(entry.record.index, entry.item.object_index): entry.state for entry in entries}
    assert states.pop((0, 1)) == REJECTED
    assert states.pop(DROPPED_OBJECT) == DROPPED
    assert {*states.values()} == {KEPT}


def test_pictures_are_drawn_without_changing_their_size(copied: PaintedSet, workspace: Workspace) -> None:
    record = copied.records[0]
    picture = open_picture(workspace, copied.folder, record)
    plain = np.array(draw_scene(picture, record, copied.categories, boxes=False))
    assert np.array_equal(plain, np.array(picture))
    drawn = np.array(draw_scene(picture, record, copied.categories, masks=True))
    assert drawn.shape == plain.shape
    assert (drawn != plain).any()


def test_an_object_close_up_has_its_boxes_and_reasons(copied: PaintedSet, workspace: Workspace) -> None:
    for record in copied.records.values():
        picture = open_picture(workspace, copied.folder, record)
        for item in record.objects:
            boxes = boxes_of(item, picture.size)
            assert boxes["requested"].xyxy == item.requested_box
            assert ("painted" in boxes) == ("label" in boxes) == (item.painted_box is not None)
            assert max(close_up(picture, item, boxes=True).size) <= 421
            rows = verdict_rows(item)
            assert {row["attempt"] for row in rows} == {attempt.number + 1 for attempt in item.attempts}
            assert any(row["taken"] for row in rows) == (item.painted_box is not None)
    assert copied.object_of(0, 99) is None
    assert copied.object_of(99, 0) is None


def test_two_boxes_in_one_place_are_both_seen(copied: PaintedSet, workspace: Workspace) -> None:
    record = copied.records[0]
    item = record.objects[0].model_copy(update={"requested_box": (0, 0, 60, 50)})
    boxes = boxes_of(item, (record.width, record.height))
    assert boxes["label"] == boxes["painted"]
    shown = close_up(open_picture(workspace, copied.folder, record), item, boxes=True)
    colours = {colour for _, colour in shown.getcolors(shown.width * shown.height)}
    assert {ImageColor.getrgb(BOX_COLOURS[name]) for name in ("requested", "label", "painted")} <= colours


def test_a_record_does_not_lead_outside(copied: PaintedSet, workspace: Workspace, tmp_path: Path) -> None:
    shutil.copyfile(copied.folder / "images" / "000000.png", tmp_path / "secret.png")
    crafted = copied.records[0].model_copy(update={"file_name": "../../../secret.png"})
    assert (copied.folder / "images" / crafted.file_name).is_file()
    with pytest.raises(BoxpaintError, match="lies outside of"):
        open_picture(workspace, copied.folder, crafted)


def test_a_damaged_folder_says_what_is_wrong(copied: PaintedSet, workspace: Workspace) -> None:
    (copied.folder / "images" / "000000.png").write_bytes(b"\x89PNG no more")
    with pytest.raises(DatasetError, match=r"000000.png"):
        open_picture(workspace, copied.folder, copied.records[0])
    run = json.loads((copied.folder / "run.json").read_text())
    (copied.folder / "run.json").write_text(json.dumps({**run, "spec": {}}))
    with pytest.raises(DatasetError, match="names no classes"):
        read_painted_set(copied.folder)


def test_a_run_of_another_bundle_loads_nothing(
    copied: PaintedSet, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace.folder)
    run = json.loads((copied.folder / "run.json").read_text())
    run["config"]["bundle"] = "/somewhere/else"
    (copied.folder / "run.json").write_text(json.dumps(run))
    with pytest.raises(RunMismatchError, match=r"was painted by the bundle '/somewhere/else'"):
        paint_bare_scene(copied.folder, 0)


def test_a_scene_is_painted_as_it_was_before(
    copied: PaintedSet, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace.folder)
    config = Config.load("config.yaml")
    spec = load_spec("background.csv", "classes.csv", canvas_wh=config.canvas_wh)
    strict = config.model_copy(update={"labels": config.labels.model_copy(update={"max_unlabelled": 0.9})})
    verifier = ToldVerifier(stray=in_turn(0.95, 0.0))  # the first attempt shows what it should not
    scene = Plan(spec=spec, config=config).scene(0)
    (background,) = paint_backgrounds([scene], StableDiffusionPainter(strict), verifier, lambda _: None)
    path = copied.folder / "records" / "000000.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "background": {**record["background"], "taken": background.taken}}))
    assert background.taken == 1
    assert np.array_equal(paint_bare_scene(copied.folder, 0), background.pixels)
