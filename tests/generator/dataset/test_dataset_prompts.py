"""The prompt book in a run folder: kept, gone on with, edited in time or too late."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generator.config import Config
from generator.dataset.folder import RunFolder
from generator.foundation.errors import PromptsError, RunMismatchError
from generator.plan import Plan
from generator.prompts.book import CAPTIONS_FILE, ENRICHED_FILE, BookRow, Captions, Enriched, PromptBook, Text
from generator.spec import BackgroundSpec, ClassSpec, Spec
from generator.types import Scene

PAINTER = {"device": "cpu", "torch": "2.12"}
SPEC = Spec(
    backgrounds=(BackgroundSpec(prompt="a smear", num_imgs=4),),
    classes=(ClassSpec(prompt="a white cell", name="cell", min_appear=1, max_appear=2),),
)


def plan_of(**config: Any) -> Plan:
    return Plan(spec=SPEC, config=Config(**{"canvas": {"width": 96, "height": 64}, "seed": 7, **config}))


def book_of(*cells: str, rejected: str = "", captions: Captions | None = None) -> PromptBook:
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
    return PromptBook(enriched=enriched, captions=captions)


BOOK = book_of("a white cell", "a pale cell")
OTHER = book_of("a white cell", "a dark cell")


def begun(folder: Path, book: PromptBook = BOOK, *, scenes: int = 0) -> RunFolder:
    """A run folder with its first scenes painted, without objects."""
    run = RunFolder.open(folder, plan_of()).with_book(book)
    run.begin(PAINTER)
    for index in range(scenes):
        image = np.random.default_rng(index).integers(0, 256, (64, 96, 3)).astype(np.uint8)
        scene = Scene(plan=run.plan.scene(index), image=image, background_attempts=(), background_taken=0, objects=())
        run.write_scene(scene, batch_size=2)
    return run


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def planned(folder: Path) -> set[str]:
    lines = (folder / "plan.jsonl").read_text().splitlines()
    return {one["prompt"] for line in lines for one in json.loads(line)["placements"]}


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "prompts" / ENRICHED_FILE
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_run_keeps_its_book(tmp_path: Path) -> None:
    captions = Captions(schema_version=1, model="sha256:2", parameters={}, rows=())
    book = book_of("a white cell", "a pale cell", captions=captions)
    run = begun(tmp_path, book)
    assert {path.name: path.read_bytes() for path in (tmp_path / "prompts").iterdir()} == book.files()
    before = json.loads((tmp_path / "run.json").read_bytes())["prompts"]
    assert before == {"digest": book.digest, "models": {"enricher": "sha256:1"}}
    assert run.stored_book() == RunFolder.open(tmp_path, plan_of()).stored_book() == book
    assert planned(tmp_path) == {"a white cell", "a pale cell"}


def test_a_new_folder_has_no_book(tmp_path: Path) -> None:
    assert RunFolder.open(tmp_path / "new", plan_of()).stored_book() is None
    RunFolder.open(tmp_path / "plain", plan_of()).begin(PAINTER)
    assert json.loads((tmp_path / "plain" / "run.json").read_bytes())["prompts"] == {}
    assert list((tmp_path / "plain" / "prompts").iterdir()) == []
    assert RunFolder.open(tmp_path / "plain", plan_of()).stored_book() is None


def test_the_book_of_another_run_is_not_gone_on_with(tmp_path: Path) -> None:
    begun(tmp_path)
    assert RunFolder.open(tmp_path, plan_of(seed=8)).stored_book() is None
    assert RunFolder.open(tmp_path, plan_of(), overwrite=True).stored_book() is None


def test_another_book_is_refused_once_something_is_painted(tmp_path: Path) -> None:
    begun(tmp_path, scenes=1)
    before = contents(tmp_path)
    run = RunFolder.open(tmp_path, plan_of())
    with pytest.raises(RunMismatchError, match="was painted from another prompt book") as caught:
        run.with_book(OTHER)
    for word in (BOOK.digest, OTHER.digest, "prompts/", "--out", "--overwrite"):
        assert word in str(caught.value)
    assert contents(tmp_path) == before


def test_an_edited_book_is_refused_once_something_is_painted(tmp_path: Path) -> None:
    begun(tmp_path, scenes=2)
    edit(tmp_path, "a pale cell", "a blue cell")
    before = contents(tmp_path)
    run = RunFolder.open(tmp_path, plan_of())
    book = run.stored_book()
    assert book is not None
    with pytest.raises(RunMismatchError, match="another prompt book"):
        run.with_book(book)
    assert contents(tmp_path) == before


def test_an_edit_that_changes_no_text_in_use_is_none(tmp_path: Path) -> None:
    begun(tmp_path, scenes=1)
    edit(tmp_path, '"by me"', '"by me, twice"')
    before = contents(tmp_path)
    run = RunFolder.open(tmp_path, plan_of())
    run.with_book(run.stored_book()).begin(PAINTER)
    assert contents(tmp_path) == before
    # And a book from elsewhere with the same texts does not replace the one that is there.
    RunFolder.open(tmp_path, plan_of()).with_book(book_of("a white cell", "a pale cell", rejected="z")).begin(PAINTER)
    assert contents(tmp_path) == before


def test_before_the_first_scene_an_edit_is_taken(tmp_path: Path) -> None:
    begun(tmp_path)
    edit(tmp_path, "a pale cell", "a blue cell")
    run = RunFolder.open(tmp_path, plan_of())
    book = run.stored_book()
    run.with_book(book).begin(PAINTER)
    assert json.loads((tmp_path / "run.json").read_bytes())["prompts"]["digest"] == book.digest != BOOK.digest
    # The plan that was laid down before follows.
    assert planned(tmp_path) == {"a white cell", "a blue cell"}


def test_before_the_first_scene_another_book_is_taken(tmp_path: Path) -> None:
    begun(tmp_path)
    RunFolder.open(tmp_path, plan_of()).with_book(OTHER).begin(PAINTER)
    assert contents(tmp_path)[f"prompts/{ENRICHED_FILE}"] == OTHER.files()[ENRICHED_FILE]
    assert planned(tmp_path) == {"a white cell", "a dark cell"}


def test_captions_of_a_book_that_was_replaced_do_not_stay(tmp_path: Path) -> None:
    begun(
        tmp_path, book_of("a white cell", captions=Captions(schema_version=1, model="sha256:2", parameters={}, rows=()))
    )
    RunFolder.open(tmp_path, plan_of()).with_book(OTHER).begin(PAINTER)
    assert not (tmp_path / "prompts" / CAPTIONS_FILE).exists()


def test_a_lost_book_is_laid_down_again_when_it_says_the_same(tmp_path: Path) -> None:
    begun(tmp_path, scenes=1)
    before = contents(tmp_path)
    (tmp_path / "prompts" / ENRICHED_FILE).unlink()
    run = RunFolder.open(tmp_path, plan_of())
    assert run.stored_book() is None
    with pytest.raises(RunMismatchError):
        run.with_book(OTHER)
    run.with_book(BOOK).begin(PAINTER)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]"])
def test_a_damaged_book_is_a_fault_of_that_file(tmp_path: Path, content: bytes) -> None:
    begun(tmp_path, scenes=1)
    (tmp_path / "prompts" / ENRICHED_FILE).write_bytes(content)
    with pytest.raises(PromptsError, match=r"prompts/enriched\.json"):
        RunFolder.open(tmp_path, plan_of()).stored_book()


@pytest.mark.parametrize("prompts", [None, [], "x", {"digest": 7}])
def test_a_run_json_without_a_digest_is_another_book(tmp_path: Path, prompts: object) -> None:
    begun(tmp_path, scenes=1)
    data = json.loads((tmp_path / "run.json").read_bytes())
    (tmp_path / "run.json").write_text(json.dumps({**data, "prompts": prompts}))
    with pytest.raises(RunMismatchError, match="another prompt book"):
        RunFolder.open(tmp_path, plan_of()).with_book(BOOK)


def test_overwrite_takes_the_book_away_with_the_rest(tmp_path: Path) -> None:
    begun(tmp_path, scenes=1)
    run = RunFolder.open(tmp_path, plan_of(), overwrite=True).with_book(OTHER)
    run.begin(PAINTER)
    assert run.finished == frozenset()
    assert contents(tmp_path)[f"prompts/{ENRICHED_FILE}"] == OTHER.files()[ENRICHED_FILE]
    assert planned(tmp_path) == {"a white cell", "a dark cell"}


def test_a_book_is_kept_before_anything_is_painted(tmp_path):
    run = RunFolder.open(tmp_path, plan_of()).with_book(BOOK)
    run.keep_book()
    again = RunFolder.open(tmp_path, plan_of())  # a run folder of ours, although no model was ever loaded
    assert again.stored_book() == BOOK
    again.with_book(BOOK).begin(PAINTER)
    assert json.loads((tmp_path / "run.json").read_text())["painter"] == PAINTER


def test_nothing_is_laid_down_where_another_run_would_be_overwritten(tmp_path):
    begun(tmp_path, scenes=1)
    before = contents(tmp_path)
    RunFolder.open(tmp_path, plan_of(), overwrite=True).with_book(OTHER).keep_book()
    assert contents(tmp_path) == before


def test_an_edited_book_is_not_lost_to_overwrite(tmp_path):
    begun(tmp_path, scenes=1)
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


def test_a_book_that_nobody_edited_may_be_overwritten(tmp_path):
    begun(tmp_path, scenes=1)
    RunFolder.open(tmp_path, plan_of(), overwrite=True).with_book(OTHER).begin(PAINTER)
    assert (tmp_path / "prompts" / ENRICHED_FILE).read_bytes() == OTHER.files()[ENRICHED_FILE]
