"""A run draws its prompts from a book, records them, and goes on with the same book."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from generator.config import Config
from generator.dataset.record import SceneRecord, read_record
from generator.foundation.errors import ModelError, PromptsError, RunMismatchError
from generator.plan import Plan
from generator.prompts.book import ENRICHED_FILE, BookRow, Enriched, PromptBook, Text, read_book, row_keys, write_book
from generator.run import Listener, generate
from generator.spec import Spec, load_spec

pytestmark = pytest.mark.slow

Files = Callable[[Path], dict[str, bytes]]


@pytest.fixture()
def config(quick_config: dict[str, object]) -> Config:
    return Config.load(**quick_config)


@pytest.fixture()
def spec(csv_folder: Path, config: Config) -> Spec:
    return load_spec(csv_folder / "background.csv", csv_folder / "classes.csv", canvas_wh=config.canvas_wh)


@pytest.fixture()
def book(spec: Spec) -> PromptBook:
    """Three texts for each row: its prompt, and the same in other words."""
    rows = tuple(
        BookRow(
            table=table,
            name=name,
            prompt=prompt,
            texts=tuple(Text(text=text) for text in (prompt, f"a photo of {prompt}", f"an image of {prompt}")),
        )
        for table, name, prompt in row_keys(spec)
    )
    return PromptBook(enriched=Enriched(schema_version=1, models={}, seed=0, parameters={}, rows=rows))


@pytest.fixture()
def prompts(book: PromptBook, csv_folder: Path) -> Path:
    """The folder of the book."""
    write_book(book, csv_folder / "mine")
    return csv_folder / "mine"


def records_of(folder: Path) -> list[SceneRecord]:
    return [read_record(path) for path in sorted((folder / "records").glob("*.json"))]


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_drawn_prompt_of_each_object_is_recorded(
    spec: Spec, config: Config, book: PromptBook, prompts: Path, tmp_path: Path
) -> None:
    dataset = generate(spec, config, tmp_path / "out", prompts=prompts, limit=2)
    plan = Plan(spec=spec, config=config, book=book)
    records = records_of(dataset.folder)
    for record in records:
        scene = plan.scene(record.index)
        assert record.background.prompt == scene.prompt
        drawn = {one.object_index: one.prompt for one in scene.placements}
        assert {item.object_index: item.prompt for item in record.objects} == drawn
    assert any(item.prompt.startswith(("a photo", "an image")) for record in records for item in record.objects)
    stored = json.loads((dataset.folder / "run.json").read_bytes())["prompts"]
    assert stored == {"digest": book.digest, "models": {}}
    assert read_book(dataset.folder / "prompts", spec) == book
    lines = (dataset.folder / "plan.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["prompt"] == plan.scene(0).prompt
    used = records[0].objects[0].prompt
    assert used in (dataset.folder / "README.md").read_text()
    assert used in dataset.report.read_text()


def test_a_run_goes_on_with_its_book_given_or_not(
    spec: Spec, config: Config, prompts: Path, tmp_path: Path, run_folder_files: Files
) -> None:
    generate(spec, config, tmp_path / "whole", prompts=prompts, limit=2)
    generate(spec, config, tmp_path / "parts", prompts=prompts / ENRICHED_FILE, limit=1)
    generate(spec, config, tmp_path / "parts", limit=2)
    generate(spec, config, tmp_path / "parts", prompts=prompts, limit=2)
    assert run_folder_files(tmp_path / "parts") == run_folder_files(tmp_path / "whole")


@pytest.mark.parametrize("how", ["another book is given", "its book was edited"])
def test_another_book_is_refused_and_changes_nothing(
    spec: Spec, config: Config, prompts: Path, tmp_path: Path, run_folder_files: Files, how: str
) -> None:
    out = tmp_path / "out"
    generate(spec, config, out, prompts=prompts, limit=1)
    edited = prompts if how == "another book is given" else out / "prompts"
    replace_in(edited / ENRICHED_FILE, "a photo of a small purple platelet", "a dark platelet")
    before = run_folder_files(out)
    with pytest.raises(RunMismatchError, match="was painted from another prompt book"):
        generate(spec, config, out, prompts=prompts if edited == prompts else None, limit=2)
    assert run_folder_files(out) == before
    # Its own book is always at hand to start again with.
    again = generate(spec, config, out, prompts=out / "prompts", limit=1, overwrite=True)
    assert again.num_scenes == 1


def test_an_edit_before_the_first_scene_is_taken(
    spec: Spec, config: Config, prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from generator.painting import chunk

    def fail(*_args: object, **_options: object) -> None:
        raise ModelError("not today")

    with monkeypatch.context() as patch:
        patch.setattr(chunk, "paint_chunk", fail)
        with pytest.raises(ModelError, match="not today"):
            generate(spec, config, tmp_path / "out", prompts=prompts, limit=1)
    text = "every small purple platelet"
    for old in ("a photo of a small purple platelet", "an image of a small purple platelet", "a small purple platelet"):
        replace_in(tmp_path / "out" / "prompts" / ENRICHED_FILE, f'"text": "{old}"', f'"text": "{text}"')
    (record,) = records_of(generate(spec, config, tmp_path / "out", limit=1).folder)
    assert {item.prompt for item in record.objects if item.category == "platelet"} == {text}
    assert text in (tmp_path / "out" / "plan.jsonl").read_text().splitlines()[0]


def test_a_run_that_makes_its_own_book_paints_from_it(
    spec: Spec,
    quick_config: dict[str, object],
    tmp_path: Path,
    tiny_language_models: Path,
    run_folder_files: Files,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    class Hearer(Listener):
        def __init__(self) -> None:
            self.books: list[PromptBook] = []

        def on_prompts(self, book: PromptBook) -> None:
            self.books.append(book)

    tone = {"attribute": "tone", "text": "dark"}
    (tmp_path / "attributes.csv").write_text(",".join(tone) + "\n" + ",".join(tone.values()) + "\n")
    models = {"embedder": {"folder": str(tiny_language_models / "clip")}}
    prompts = {"enrich": "none", "min_similarity": -1.0, "max_similarity": 1.0}
    config = Config.load(**{**quick_config, "models": models, "prompts": prompts})
    spec = load_spec(tmp_path / "background.csv", tmp_path / "classes.csv", canvas_wh=config.canvas_wh)
    hearer = Hearer()
    for name in ("one", "two"):
        generate(spec, config, tmp_path / name, limit=1, listener=hearer)
    assert run_folder_files(tmp_path / "one") == run_folder_files(tmp_path / "two")
    assert hearer.books[0] == hearer.books[1] == read_book(tmp_path / "one" / "prompts", spec)
    assert hearer.books[0].texts()[("classes", "platelet", "a small purple platelet")] == (
        "a small purple platelet",
        "a small purple platelet, dark",
    )
    painter = json.loads((tmp_path / "one" / "run.json").read_bytes())["prompts"]
    assert list(painter["models"]) == ["embedder"]


@pytest.mark.parametrize("damage", ["{", None])
def test_a_bad_book_stops_before_anything_is_made(
    spec: Spec, config: Config, prompts: Path, tmp_path: Path, damage: str | None
) -> None:
    if damage is None:
        (prompts / ENRICHED_FILE).unlink()
    else:
        (prompts / ENRICHED_FILE).write_text(damage)
    with pytest.raises(PromptsError, match=r"enriched\.json"):
        generate(spec, config, tmp_path / "out", prompts=prompts, limit=1)
    assert not (tmp_path / "out").exists()
