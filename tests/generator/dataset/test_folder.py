from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from generator import plan as plans
from generator.config import Config
from generator.dataset.folder import RunFolder
from generator.dataset.record import decode_mask
from generator.foundation.errors import RunMismatchError, StorageError
from generator.plan import Plan, ScenePlan
from generator.prompts.book import CAPTIONS_FILE, ENRICHED_FILE, BookRow, Captions, Enriched, PromptBook, Text
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


def begun(folder: Path, plan: Plan | None = None, *, scenes: int = 0, book: PromptBook | None = None) -> RunFolder:
    """A run folder with its first scenes painted."""
    run = RunFolder.open(folder, plan or plan_of())
    if book is not None:
        run = run.with_book(book)
    run.begin(PAINTER)
    for index in range(scenes):
        run.write_scene(paint(run.plan.scene(index)), batch_size=2)
    return run


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder with its bytes (None for folders)."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


# --- writing and reading -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_format", ["png", "jpg"])
def test_a_scene_is_a_picture_and_a_record_that_agree(tmp_path: Path, image_format: str) -> None:
    plan = plan_of(prompt="a cell & <more>", output={"image_format": image_format})
    run = begun(tmp_path / "run", plan)
    scene = paint(plan.scene(2))
    run.write_scene(scene, batch_size=2)
    assert run.finished == {2}
    (record,) = run.records()
    picture = tmp_path / "run" / "images" / record.file_name
    assert record.file_name == f"000002.{image_format}"
    data = picture.read_bytes()
    assert record.sha256 == hashlib.sha256(data).hexdigest()
    assert b"trainedAlgorithmicMedia" in data
    assert b"a smear; a cell &amp; &lt;more&gt;" in data, "prompts of what is in it"
    with Image.open(picture) as image:
        assert np.abs(np.asarray(image).astype(int) - scene.image).mean() <= (0 if image_format == "png" else 6)
    for item, source in zip(record.objects, scene.objects, strict=True):
        assert item.requested_box == source.placement.box.xyxy
        assert source.label is not None
        assert item.mask is not None
        assert decode_mask(item.mask)[source.label.painted_box.slices].sum() == source.label.mask.sum()


def test_equal_scenes_give_equal_folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        begun(tmp_path / name, scenes=2)
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
    run = begun(tmp_path, scenes=1)
    before = (tmp_path / "run.json").read_bytes()
    assert run.begin(PAINTER) == []
    (difference,) = run.begin({**PAINTER, "device": "cuda"})
    assert difference == 'painter.device: "cpu" before, "cuda" now'
    assert (tmp_path / "run.json").read_bytes() == before


# --- resume ------------------------------------------------------------------------------------------------------


def test_only_picture_and_record_together_are_a_finished_scene(tmp_path: Path) -> None:
    run = begun(tmp_path, scenes=4)
    assert RunFolder.open(tmp_path, plan_of()).finished == {0, 1, 2, 3}
    run.record_path(0).unlink()
    run.image_path(1).unlink()
    run.record_path(2).write_bytes(b"")  # what a power cut leaves on some file systems
    # "._000000.json" is what macOS puts on disks of other systems.
    for stray in ("notes.json", "._000000.json", "000000 (copy).json", "0000003.json", "3.json"):
        (tmp_path / "records" / stray).write_text("{}")
    before = contents(tmp_path)
    assert RunFolder.open(tmp_path, plan_of()).finished == {3}
    assert contents(tmp_path) == before


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
    begun(tmp_path, scenes=1)
    parts = [tmp_path / ".run.json.x1.part", tmp_path / "images" / ".000001.png.x2.part"]
    for part in parts:
        part.write_bytes(b"half")
    run = RunFolder.open(tmp_path, plan_of())
    run.begin(PAINTER)
    assert run.finished == {0}
    assert not any(part.exists() for part in parts)


def test_a_run_killed_while_it_began_can_be_started_again(tmp_path: Path) -> None:
    (tmp_path / ".run.json.x1.part").write_bytes(b"{")
    (tmp_path / ".lock").touch()
    begun(tmp_path)
    assert not (tmp_path / ".run.json.x1.part").exists()
    (tmp_path / "plan.jsonl").unlink()
    # Before the first scene, run.json follows the painter.
    assert RunFolder.open(tmp_path, plan_of()).begin({**PAINTER, "device": "cuda"}) == []
    assert json.loads((tmp_path / "run.json").read_bytes())["painter"]["device"] == "cuda"
    assert len((tmp_path / "plan.jsonl").read_text().splitlines()) == 4


def test_a_run_without_a_finished_scene_gives_way_to_any_other(tmp_path: Path) -> None:
    begun(tmp_path)
    other = RunFolder.open(tmp_path, plan_of(seed=8))
    assert other.begin(PAINTER) == []
    assert json.loads((tmp_path / "run.json").read_bytes())["config"]["seed"] == 8


# --- another run, another's folder -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (plan_of(seed=8), "config.seed: 7 before, 8 now"),
        (plan_of(prompt="a red cell"), 'spec.classes[1].prompt: "a white cell" before, "a red cell" now'),
        (plan_of(num_imgs=5), "spec.backgrounds[1].num_imgs: 4 before, 5 now"),
        (plan_of(painting={"blend": "feather"}), 'config.painting.blend: "mixed" before, "feather" now'),
    ],
    ids=["seed", "prompt", "number", "blend"],
)
def test_another_run_is_refused_with_the_difference(tmp_path: Path, other: Plan, difference: str) -> None:
    begun(tmp_path, scenes=1)
    before = contents(tmp_path)
    with pytest.raises(RunMismatchError) as raised:
        RunFolder.open(tmp_path, other)
    assert raised.value.differences == (difference,)
    assert difference in str(raised.value)
    assert "--overwrite" in str(raised.value)
    assert contents(tmp_path) == before


def test_overwrite_clears_our_files_and_no_others(tmp_path: Path) -> None:
    begun(tmp_path, scenes=2, book=BOOK)
    (tmp_path / "report.html").write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "model.pt").write_text("mine too")
    before = contents(tmp_path)
    run = RunFolder.open(tmp_path, plan_of(seed=8), overwrite=True).with_book(OTHER)
    run.keep_book()
    assert contents(tmp_path) == before, "nothing before the new run begins: its model may be missing"
    run.begin(PAINTER)
    assert run.finished == frozenset()
    assert contents(tmp_path)[f"prompts/{ENRICHED_FILE}"] == OTHER.files()[ENRICHED_FILE]
    assert planned(tmp_path) == {"a white cell", "a dark cell"}
    assert json.loads((tmp_path / "run.json").read_bytes())["config"]["seed"] == 8
    assert not any((tmp_path / name).exists() for name in ("report.html", "images/000000.png"))
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "trained" / "model.pt").read_text() == "mine too"
    assert RunFolder.open(tmp_path, plan_of(seed=8)).finished == frozenset()


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "files",
    [
        {"images/holiday.png": "", "annotations/instances_train.json": ""},  # somebody's COCO data set
        {"images/000000.png": "", "records/000000.json": ""},
        {"images/holiday.png": "", "run.json": '{"wandb": 1}'},
        {".git/config": "", "README.md": ""},
    ],
    ids=["COCO", "looks like ours", "another run.json", "repository"],
)
def test_a_folder_of_something_else_is_refused_and_left_alone(
    tmp_path: Path, files: dict[str, str], overwrite: bool
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    before = contents(tmp_path)
    with pytest.raises(RunMismatchError, match=r"is not a painted data set: it holds .*--out"):
        RunFolder.open(tmp_path, plan_of(), overwrite=overwrite)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("role", ["inpaint", "background", "clip", "detector"])
def test_other_models_are_refused_once_something_is_painted(tmp_path: Path, role: str) -> None:
    run = RunFolder.open(tmp_path, plan_of())
    run.begin({**PAINTER, role: "sha256:1"})
    run.write_scene(paint(plan_of().scene(0)), batch_size=2)
    with pytest.raises(RunMismatchError, match=f"other models.*\n.*{role}"):
        RunFolder.open(tmp_path, plan_of()).begin({**PAINTER, role: "sha256:2"})


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\x00", b"null"])
def test_a_damaged_run_json_is_named_and_can_be_overwritten(tmp_path: Path, content: bytes) -> None:
    begun(tmp_path, scenes=1)
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(StorageError, match=r"run\.json.*damaged.*--overwrite"):
        RunFolder.open(tmp_path, plan_of())
    assert RunFolder.open(tmp_path, plan_of(), overwrite=True).finished == frozenset()


# --- disks -------------------------------------------------------------------------------------------------------
# chmod does not stop root, so a file stands where a folder should, and a disk is full by decree.


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    begun(tmp_path)
    (tmp_path / "images").rmdir()
    (tmp_path / "images").write_text("a file")
    with pytest.raises(StorageError, match=str(tmp_path / "images")):
        RunFolder.open(tmp_path, plan_of()).begin(PAINTER)


@pytest.mark.parametrize("done", [[], ["images/000001.png"]], ids=["at the picture", "at the record"])
@pytest.mark.parametrize(("module", "name"), [(tempfile, "mkstemp"), (os, "replace"), (os, "fdopen")])
def test_a_full_disk_leaves_the_finished_scenes_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, done: list[str]
) -> None:
    plan = plan_of()
    run = begun(tmp_path, plan, scenes=1)
    before = contents(tmp_path)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    calls = iter([getattr(module, name)] * len(done))

    def fill_up(*given: Any, **options: Any) -> Any:
        if call := next(calls, None):
            return call(*given, **options)
        raise full

    with monkeypatch.context() as patch:
        patch.setattr(module, name, fill_up)
        with pytest.raises(StorageError, match="the disk is full; free some space"):
            run.write_scene(paint(plan.scene(1)), batch_size=2)
    assert run.finished == RunFolder.open(tmp_path, plan).finished == {0}
    after = contents(tmp_path)
    assert sorted(after.keys() - before.keys()) == done
    assert {path: after[path] for path in before} == before
    run.write_scene(paint(plan.scene(1)), batch_size=2)
    assert RunFolder.open(tmp_path, plan).finished == {0, 1}


# --- timings -----------------------------------------------------------------------------------------------------


def test_a_line_that_a_kill_cut_short_costs_no_other_line(tmp_path: Path) -> None:
    run = begun(tmp_path)
    assert list(run.read_timings()) == []
    run.log_timing(0, 8, {"objects": 1.23456, "writing": 0.1})
    path = tmp_path / "logs" / "timings.jsonl"
    path.write_text(path.read_text() + '{"chunk": 1, "scenes": 8, "sec')
    assert [line["chunk"] for line in run.read_timings()] == [0]
    run.log_timing(2, 8, {})  # the resumed run writes behind it
    assert list(run.read_timings()) == [
        {"chunk": 0, "scenes": 8, "seconds": {"objects": 1.235, "writing": 0.1}},
        {"chunk": 2, "scenes": 8, "seconds": {}},
    ]


# --- the prompt book ---------------------------------------------------------------------------------------------


def book_of(*cells: str, rejected: str = "") -> PromptBook:
    rows = (
        BookRow(table="background", prompt="a smear", texts=(Text(text="a smear"),)),
        BookRow(
            table="classes",
            name="cell",
            prompt="a white cell",
            texts=(*(Text(text=text) for text in cells), Text(text="a red cell", rejected=rejected or "by me")),
        ),
    )
    enriched = Enriched(schema_version=1, models={"enricher": "sha256:1"}, seed=7, parameters={}, rows=rows)
    return PromptBook(enriched=enriched)


BOOK = book_of("a white cell", "a pale cell")
OTHER = book_of("a white cell", "a dark cell")
CAPTIONS = Captions(schema_version=1, model="sha256:2", parameters={}, rows=())


def planned(folder: Path) -> set[str]:
    lines = (folder / "plan.jsonl").read_text().splitlines()
    return {one["prompt"] for line in lines for one in json.loads(line)["placements"]}


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "prompts" / ENRICHED_FILE
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_run_keeps_its_book(tmp_path: Path) -> None:
    book = replace(BOOK, captions=CAPTIONS)
    run = begun(tmp_path, book=book)
    assert {path.name: path.read_bytes() for path in (tmp_path / "prompts").iterdir()} == book.files()
    before = json.loads((tmp_path / "run.json").read_bytes())["prompts"]
    assert before == {"digest": book.digest, "models": {"enricher": "sha256:1"}}
    assert run.stored_book() == RunFolder.open(tmp_path, plan_of()).stored_book() == book
    assert planned(tmp_path) == {"a white cell", "a pale cell"}


def test_where_there_is_no_book_to_go_on_with(tmp_path: Path) -> None:
    assert RunFolder.open(tmp_path / "new", plan_of()).stored_book() is None
    plain = begun(tmp_path / "plain")
    assert plain.stored_book() is None
    assert json.loads((tmp_path / "plain" / "run.json").read_bytes())["prompts"] == {}
    assert list((tmp_path / "plain" / "prompts").iterdir()) == []
    begun(tmp_path / "other", book=BOOK)
    assert RunFolder.open(tmp_path / "other", plan_of(seed=8)).stored_book() is None
    assert RunFolder.open(tmp_path / "other", plan_of(), overwrite=True).stored_book() is None


@pytest.mark.parametrize("edited", [False, True])
def test_another_book_is_refused_once_something_is_painted(tmp_path: Path, edited: bool) -> None:
    begun(tmp_path, scenes=1, book=BOOK)
    if edited:
        edit(tmp_path, "a pale cell", "a dark cell")
    before = contents(tmp_path)
    run = RunFolder.open(tmp_path, plan_of())
    with pytest.raises(RunMismatchError, match="was painted from another prompt book") as caught:
        run.with_book(run.stored_book() if edited else OTHER)
    for word in (BOOK.digest, OTHER.digest, "prompts/", "--out", "--overwrite"):
        assert word in str(caught.value)
    assert contents(tmp_path) == before


def test_an_edit_that_changes_no_text_in_use_is_none(tmp_path: Path) -> None:
    begun(tmp_path, scenes=1, book=BOOK)
    edit(tmp_path, '"by me"', '"by me, twice"')
    before = contents(tmp_path)
    run = RunFolder.open(tmp_path, plan_of())
    run.with_book(run.stored_book()).begin(PAINTER)
    assert contents(tmp_path) == before
    # And a book from elsewhere with the same texts does not replace the one that is there.
    RunFolder.open(tmp_path, plan_of()).with_book(book_of("a white cell", "a pale cell", rejected="z")).begin(PAINTER)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("edited", [False, True])
def test_before_the_first_scene_another_book_is_taken(tmp_path: Path, edited: bool) -> None:
    begun(tmp_path, book=replace(BOOK, captions=CAPTIONS))
    if edited:
        edit(tmp_path, "a pale cell", "a dark cell")
    run = RunFolder.open(tmp_path, plan_of())
    run.with_book(run.stored_book() if edited else OTHER).begin(PAINTER)
    assert json.loads((tmp_path / "run.json").read_bytes())["prompts"]["digest"] == OTHER.digest
    assert contents(tmp_path)[f"prompts/{ENRICHED_FILE}"] == OTHER.files()[ENRICHED_FILE]
    assert (tmp_path / "prompts" / CAPTIONS_FILE).exists() is edited
    # The plan that was laid down before follows.
    assert planned(tmp_path) == {"a white cell", "a dark cell"}


def test_a_lost_book_is_laid_down_again_when_it_says_the_same(tmp_path: Path) -> None:
    begun(tmp_path, scenes=1, book=BOOK)
    before = contents(tmp_path)
    (tmp_path / "prompts" / ENRICHED_FILE).unlink()
    run = RunFolder.open(tmp_path, plan_of())
    assert run.stored_book() is None
    with pytest.raises(RunMismatchError):
        run.with_book(OTHER)
    run.with_book(BOOK).begin(PAINTER)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("prompts", [None, [], "x", {"digest": 7}])
def test_a_run_json_without_a_digest_is_another_book(tmp_path: Path, prompts: object) -> None:
    begun(tmp_path, scenes=1, book=BOOK)
    data = json.loads((tmp_path / "run.json").read_bytes())
    (tmp_path / "run.json").write_text(json.dumps({**data, "prompts": prompts}))
    with pytest.raises(RunMismatchError, match="another prompt book"):
        RunFolder.open(tmp_path, plan_of()).with_book(BOOK)


def test_a_book_is_kept_before_anything_is_painted(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path, plan_of()).with_book(BOOK)
    run.keep_book()
    again = RunFolder.open(tmp_path, plan_of())  # a run folder of ours, although no model was ever loaded
    assert again.stored_book() == BOOK
    again.with_book(BOOK).begin(PAINTER)
    assert json.loads((tmp_path / "run.json").read_text())["painter"] == PAINTER


def test_an_edited_book_is_not_lost_to_overwrite(tmp_path: Path) -> None:
    begun(tmp_path, scenes=1, book=BOOK)
    edited = book_of("a white cell", "a cell that I know")
    path = tmp_path / "prompts" / ENRICHED_FILE
    path.write_bytes(edited.files()[ENRICHED_FILE])
    before = contents(tmp_path)
    with pytest.raises(RunMismatchError, match=r"was edited .* paint from it with --prompts, or move it away"):
        RunFolder.open(tmp_path, plan_of(), overwrite=True).with_book(BOOK)
    assert contents(tmp_path) == before
    RunFolder.open(tmp_path, plan_of(), overwrite=True).with_book(edited).begin(PAINTER)  # --prompts gives it
    assert path.read_bytes() == edited.files()[ENRICHED_FILE]
    assert not list((tmp_path / "records").iterdir())
