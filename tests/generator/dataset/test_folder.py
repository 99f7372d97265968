from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from generator import plan as plans
from generator.config import Config
from generator.dataset.folder import Dataset, RunFolder
from generator.dataset.record import decode_mask
from generator.foundation.errors import BoxpaintError, DatasetError, RunMismatchError, StorageError
from generator.plan import Plan, ScenePlan
from generator.spec import BackgroundSpec, ClassSpec, Spec
from generator.types import Scene
from tests.generator.records import drawn_scene

PAINTER = {"device": "cpu", "torch": "2.12"}


def plan_of(*, prompt: str = "a white cell", num_imgs: int = 4, **config: Any) -> Plan:
    spec = Spec(
        backgrounds=(BackgroundSpec(prompt="a smear", num_imgs=num_imgs),),
        classes=(ClassSpec(prompt=prompt, name="cell", min_appear=1, max_appear=2),),
    )
    return Plan(spec=spec, config=Config(**{"canvas": {"width": 96, "height": 64}, "seed": 7, **config}))


def paint(scene: ScenePlan) -> Scene:
    """A scene painted by hand: an ellipse in every box."""
    return drawn_scene(scene, (96, 64))


def begun(folder: Path, plan: Plan, *, scenes: int = 0) -> RunFolder:
    """A run folder with its first scenes painted."""
    run = RunFolder.open(folder, plan)
    run.begin(PAINTER)
    for index in range(scenes):
        run.write_scene(paint(plan.scene(index)), batch_size=2)
    return run


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder with its bytes (None for folders)."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


# --- writing and reading -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_format", ["png", "jpg"])
def test_a_scene_is_a_picture_and_a_record_that_agree(tmp_path: Path, image_format: str) -> None:
    plan = plan_of(output={"image_format": image_format})
    run = begun(tmp_path / "run", plan)
    scene = paint(plan.scene(2))
    run.write_scene(scene, batch_size=2)
    assert run.finished == {2}
    (record,) = run.records()
    picture = tmp_path / "run" / "images" / record.file_name
    assert record.file_name == f"000002.{image_format}"
    assert record.sha256 == hashlib.sha256(picture.read_bytes()).hexdigest()
    with Image.open(picture) as image:
        assert np.abs(np.asarray(image).astype(int) - scene.image).mean() <= (0 if image_format == "png" else 6)
    for item, source in zip(record.objects, scene.objects, strict=True):
        assert item.requested_box == source.placement.box.xyxy
        assert source.label is not None
        assert item.mask is not None
        assert decode_mask(item.mask)[source.label.painted_box.slices].sum() == source.label.mask.sum()


def test_the_picture_names_only_prompts_of_what_is_in_it(tmp_path: Path) -> None:
    plan = plan_of(prompt="a cell & <more>")
    run = begun(tmp_path, plan, scenes=1)
    data = run.image_path(0).read_bytes()
    assert b"trainedAlgorithmicMedia" in data
    assert b"a smear; a cell &amp; &lt;more&gt;" in data


def test_equal_scenes_give_equal_folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        begun(tmp_path / name, plan_of(), scenes=2)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_records_come_in_the_order_of_scenes(tmp_path: Path) -> None:
    plan = plan_of()
    run = begun(tmp_path, plan)
    for index in (3, 0, 2):
        run.write_scene(paint(plan.scene(index)), batch_size=2)
    assert [record.index for record in run.records()] == [0, 2, 3]


def test_begin_writes_what_the_run_is(tmp_path: Path) -> None:
    plan = plan_of()
    begun(tmp_path, plan)
    content = json.loads((tmp_path / "run.json").read_bytes())
    assert (content["spec_digest"], content["config"]["seed"], content["painter"]) == (plan.spec.digest, 7, PAINTER)
    lines = (tmp_path / "plan.jsonl").read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == [0, 1, 2, 3]


def test_begin_again_keeps_run_json_and_says_what_differs(tmp_path: Path) -> None:
    run = begun(tmp_path, plan_of(), scenes=1)
    before = (tmp_path / "run.json").read_bytes()
    assert run.begin(PAINTER) == []
    (difference,) = run.begin({**PAINTER, "device": "cuda"})
    assert difference == 'painter.device: "cpu" before, "cuda" now'
    assert (tmp_path / "run.json").read_bytes() == before


def test_before_the_first_scene_run_json_follows_the_painter(tmp_path: Path) -> None:
    run = begun(tmp_path, plan_of())
    assert run.begin({**PAINTER, "device": "cuda"}) == []
    assert json.loads((tmp_path / "run.json").read_bytes())["painter"]["device"] == "cuda"


def test_dataset_knows_its_places(tmp_path: Path) -> None:
    dataset = Dataset(folder=tmp_path, num_scenes=1, num_objects=2, complete=True, problem="")
    assert (dataset.images, dataset.report) == (tmp_path / "images", tmp_path / "report.html")
    assert dataset.annotations == tmp_path / "annotations" / "instances_train.json"


# --- resume ------------------------------------------------------------------------------------------------------


def test_a_second_open_finds_what_is_finished(tmp_path: Path) -> None:
    begun(tmp_path, plan_of(), scenes=3)
    before = contents(tmp_path)
    assert RunFolder.open(tmp_path, plan_of()).finished == {0, 1, 2}
    assert contents(tmp_path) == before


def test_only_picture_and_record_together_are_a_finished_scene(tmp_path: Path) -> None:
    run = begun(tmp_path, plan_of(), scenes=3)
    run.record_path(0).unlink()
    run.image_path(1).unlink()
    assert RunFolder.open(tmp_path, plan_of()).finished == {2}


def test_a_record_without_bytes_is_no_finished_scene(tmp_path: Path) -> None:
    run = begun(tmp_path, plan_of(), scenes=3)
    run.record_path(1).write_bytes(b"")  # what a power cut leaves on some file systems
    assert RunFolder.open(tmp_path, plan_of()).finished == {0, 2}


def test_scenes_beyond_six_digits_are_found(tmp_path: Path) -> None:
    run = begun(tmp_path, plan_of(num_imgs=1_000_002))
    for index in (7, 1_000_001):
        run.image_path(index).write_bytes(b"picture")
        run.record_path(index).write_bytes(b"record")
    assert RunFolder.open(tmp_path, plan_of(num_imgs=1_000_002)).finished == {7, 1_000_001}


def test_the_plan_goes_on_as_scenes_are_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "AHEAD", 4)
    monkeypatch.setattr(plans, "STEP", 2)

    def planned() -> int:
        return len((tmp_path / "plan.jsonl").read_bytes().splitlines())

    run = begun(tmp_path, plan_of(num_imgs=12))
    assert planned() == 4
    run.note_finished([4, 5])
    assert planned() == 6
    run.note_finished([0])
    run.write_scene(paint(run.plan.scene(8)), batch_size=2)  # a kill came before it was noted
    RunFolder.open(tmp_path, plan_of(num_imgs=12)).begin(PAINTER)
    assert planned() == 10


def test_what_a_kill_left_half_written_is_removed(tmp_path: Path) -> None:
    begun(tmp_path, plan_of(), scenes=1)
    parts = [tmp_path / ".run.json.x1.part", tmp_path / "images" / ".000001.png.x2.part"]
    for part in parts:
        part.write_bytes(b"half")
    run = RunFolder.open(tmp_path, plan_of())
    run.begin(PAINTER)
    assert run.finished == {0}
    assert not any(part.exists() for part in parts)


@pytest.mark.parametrize("name", ["notes.json", "._000000.json", "000000 (copy).json", "0000003.json", "3.json"])
def test_stray_files_among_the_records_do_no_harm(tmp_path: Path, name: str) -> None:
    # "._000000.json" is what macOS puts on disks of other systems.
    begun(tmp_path, plan_of(), scenes=2)
    (tmp_path / "records" / name).write_text("{}")
    assert RunFolder.open(tmp_path, plan_of()).finished == {0, 1}


def test_a_run_without_a_finished_scene_gives_way_to_any_other(tmp_path: Path) -> None:
    begun(tmp_path, plan_of())
    other = RunFolder.open(tmp_path, plan_of(seed=8))
    assert other.begin(PAINTER) == []
    assert json.loads((tmp_path / "run.json").read_bytes())["config"]["seed"] == 8


def test_a_run_killed_while_it_began_can_be_started_again(tmp_path: Path) -> None:
    begun(tmp_path, plan_of())
    (tmp_path / "plan.jsonl").unlink()
    assert RunFolder.open(tmp_path, plan_of()).begin(PAINTER) == []
    assert len((tmp_path / "plan.jsonl").read_text().splitlines()) == 4


def test_a_broken_record_is_a_fault_of_that_file(tmp_path: Path) -> None:
    run = begun(tmp_path, plan_of(), scenes=2)
    run.record_path(1).write_text("{")
    with pytest.raises(DatasetError, match=r"000001\.json"):
        list(RunFolder.open(tmp_path, plan_of()).records())


# --- another run, another's folder -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (plan_of(seed=8), "config.seed: 7 before, 8 now"),
        (plan_of(prompt="a red cell"), 'spec.classes[1].prompt: "a white cell" before, "a red cell" now'),
        (plan_of(num_imgs=5), "spec.backgrounds[1].num_imgs: 4 before, 5 now"),
        (plan_of(canvas={"width": 128, "height": 64}), "config.canvas.width: 96 before, 128 now"),
        (plan_of(painting={"blend": "feather"}), 'config.painting.blend: "mixed" before, "feather" now'),
    ],
    ids=["seed", "prompt", "number", "canvas", "blend"],
)
def test_another_run_is_refused_with_the_difference(tmp_path: Path, other: Plan, difference: str) -> None:
    begun(tmp_path, plan_of(), scenes=1)
    before = contents(tmp_path)
    with pytest.raises(RunMismatchError) as raised:
        RunFolder.open(tmp_path, other)
    assert raised.value.differences == (difference,)
    assert difference in str(raised.value)
    assert "--overwrite" in str(raised.value)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("same", [{"device": "cpu"}, {"batch_size": 2}, {"offline": True}, {"dtype": "float32"}])
def test_where_and_how_fast_it_runs_makes_no_other_run(tmp_path: Path, same: dict[str, Any]) -> None:
    begun(tmp_path, plan_of(), scenes=1)
    assert RunFolder.open(tmp_path, plan_of(**same)).finished == {0}


def test_a_class_more_is_a_difference(tmp_path: Path) -> None:
    begun(tmp_path, plan_of(), scenes=1)
    spec = plan_of().spec
    more = Spec(backgrounds=spec.backgrounds, classes=spec.classes * 2)
    with pytest.raises(RunMismatchError, match=r"spec\.classes"):
        RunFolder.open(tmp_path, Plan(spec=more, config=plan_of().config))


def test_overwrite_clears_our_files_and_no_others(tmp_path: Path) -> None:
    begun(tmp_path, plan_of(), scenes=2)
    (tmp_path / "report.html").write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "model.pt").write_text("mine too")
    run = RunFolder.open(tmp_path, plan_of(seed=8), overwrite=True)
    run.begin(PAINTER)
    assert run.finished == frozenset()
    assert json.loads((tmp_path / "run.json").read_bytes())["config"]["seed"] == 8
    assert not any((tmp_path / name).exists() for name in ("report.html", "images/000000.png"))
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "trained" / "model.pt").read_text() == "mine too"
    assert RunFolder.open(tmp_path, plan_of(seed=8)).finished == frozenset()


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "files",
    [
        ["thesis.docx"],
        ["images/holiday.png", "annotations/instances_train.json"],  # somebody's COCO data set
        ["images/000000.png", "records/000000.json"],
        [".git/config", "src/main.py"],
        ["README.md"],
    ],
    ids=["document", "COCO", "looks like ours", "repository", "readme"],
)
def test_a_folder_of_something_else_is_refused_and_left_alone(
    tmp_path: Path, files: list[str], overwrite: bool
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(RunMismatchError, match="is not a painted data set") as raised:
        RunFolder.open(tmp_path, plan_of(), overwrite=overwrite)
    assert "--out" in str(raised.value)
    assert contents(tmp_path) == before


def test_a_folder_with_somebody_elses_run_json_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "holiday.jpg").write_bytes(b"mine")
    (tmp_path / "run.json").write_text('{"wandb": 1}')
    before = contents(tmp_path)
    for overwrite in (False, True):
        with pytest.raises(RunMismatchError, match="is not a painted data set"):
            RunFolder.open(tmp_path, plan_of(), overwrite=overwrite)
    assert contents(tmp_path) == before


def test_finished_pictures_of_another_format_are_not_wiped(tmp_path: Path) -> None:
    begun(tmp_path, plan_of(), scenes=2)
    before = contents(tmp_path)
    with pytest.raises(RunMismatchError, match="image_format"):
        RunFolder.open(tmp_path, plan_of(output={"image_format": "jpg"}))
    assert contents(tmp_path) == before


def test_overwrite_removes_nothing_before_the_new_run_begins(tmp_path: Path) -> None:
    begun(tmp_path, plan_of(), scenes=2)
    before = contents(tmp_path)
    RunFolder.open(tmp_path, plan_of(seed=8), overwrite=True)  # then the model turns out to be missing, say
    assert contents(tmp_path) == before


@pytest.mark.parametrize("role", ["inpaint", "background", "clip", "detector"])
def test_other_models_are_refused_once_something_is_painted(tmp_path: Path, role: str) -> None:
    run = RunFolder.open(tmp_path, plan_of())
    run.begin({**PAINTER, role: "sha256:1"})
    run.write_scene(paint(plan_of().scene(0)), batch_size=2)
    with pytest.raises(RunMismatchError, match=f"other models.*\n.*{role}"):
        RunFolder.open(tmp_path, plan_of()).begin({**PAINTER, role: "sha256:2"})


def test_a_run_killed_within_its_first_file_can_be_started_again(tmp_path: Path) -> None:
    (tmp_path / ".run.json.x1.part").write_bytes(b"{")
    (tmp_path / ".lock").touch()
    RunFolder.open(tmp_path, plan_of()).begin(PAINTER)
    assert not (tmp_path / ".run.json.x1.part").exists()


@pytest.mark.parametrize("present", [[], [".lock"]])
def test_an_empty_folder_will_do(tmp_path: Path, present: list[str]) -> None:
    for name in present:
        (tmp_path / name).touch()
    assert RunFolder.open(tmp_path, plan_of()).finished == frozenset()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\x00", b"null"])
def test_a_damaged_run_json_is_named_and_can_be_overwritten(tmp_path: Path, content: bytes) -> None:
    begun(tmp_path, plan_of(), scenes=1)
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(StorageError, match=r"run\.json.*damaged.*--overwrite"):
        RunFolder.open(tmp_path, plan_of())
    assert RunFolder.open(tmp_path, plan_of(), overwrite=True).finished == frozenset()


def test_a_run_json_that_lacks_parts_is_another_run(tmp_path: Path) -> None:
    begun(tmp_path, plan_of(), scenes=1)
    (tmp_path / "run.json").write_text('{"spec": null}')
    with pytest.raises(BoxpaintError):
        RunFolder.open(tmp_path, plan_of())


# --- disks -------------------------------------------------------------------------------------------------------
# chmod does not stop root, so a file stands where a folder should, and a disk is full by decree.


@pytest.mark.parametrize("place", ["run", "run/inner", "run/images"])
def test_a_file_in_place_of_a_folder(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "run"
    if place == "run/images":
        begun(folder, plan_of())
        (folder / "images").rmdir()
    (tmp_path / place if place != "run/inner" else folder).write_text("a file")
    with pytest.raises(StorageError) as raised:
        RunFolder.open(tmp_path / "run/inner" if place == "run/inner" else folder, plan_of()).begin(PAINTER)
    assert str(folder) in str(raised.value)


def full_disk(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(("module", "name"), [(tempfile, "mkstemp"), (os, "replace"), (os, "fdopen")])
def test_a_full_disk_leaves_the_finished_scenes_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    plan = plan_of()
    run = begun(tmp_path, plan, scenes=1)
    before = contents(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(module, name, full_disk)
        with pytest.raises(StorageError, match="the disk is full; free some space"):
            run.write_scene(paint(plan.scene(1)), batch_size=2)
    assert run.finished == {0}
    assert contents(tmp_path) == before
    run.write_scene(paint(plan.scene(1)), batch_size=2)
    assert RunFolder.open(tmp_path, plan).finished == {0, 1}


def test_a_disk_that_fills_up_between_picture_and_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of()
    run = begun(tmp_path, plan)
    replace = os.replace

    def fail_on_records(source: Any, target: Any, **options: Any) -> None:
        if "records" in str(target):
            full_disk()
        replace(source, target, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail_on_records)
        with pytest.raises(StorageError):
            run.write_scene(paint(plan.scene(0)), batch_size=2)
    assert run.image_path(0).exists()
    assert run.finished == RunFolder.open(tmp_path, plan).finished == frozenset()


# --- timings -----------------------------------------------------------------------------------------------------


def test_timings_come_back(tmp_path: Path) -> None:
    run = begun(tmp_path, plan_of())
    assert list(run.read_timings()) == []
    run.log_timing(0, 8, {"objects": 1.23456, "writing": 0.1})
    run.log_timing(1, 8, {})
    assert list(run.read_timings()) == [
        {"chunk": 0, "scenes": 8, "seconds": {"objects": 1.235, "writing": 0.1}},
        {"chunk": 1, "scenes": 8, "seconds": {}},
    ]


def test_a_line_that_a_kill_cut_short_costs_no_other_line(tmp_path: Path) -> None:
    run = begun(tmp_path, plan_of())
    run.log_timing(0, 8, {"objects": 1.0})
    path = tmp_path / "logs" / "timings.jsonl"
    path.write_text(path.read_text() + '{"chunk": 1, "scenes": 8, "sec')
    assert [line["chunk"] for line in run.read_timings()] == [0]
    run.log_timing(2, 8, {"objects": 3.0})  # the resumed run writes behind it
    chunks = [line["chunk"] for line in run.read_timings()]
    assert chunks == [0, 2]
