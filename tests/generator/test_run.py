"""The main job: resumable, refusing, and whole whatever happens; on the pocket bundle and on a tiny SD 2.1."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from filelock import FileLock

from generator import run
from generator.config import Config
from generator.dataset.folder import Dataset
from generator.dataset.record import SceneRecord, read_record
from generator.dataset.validation import validate_dataset
from generator.foundation import storage
from generator.foundation.errors import (
    DomainError,
    ModelNotFoundError,
    PromptsError,
    RunMismatchError,
    StorageError,
)
from generator.plan import Plan
from generator.prompts.book import ENRICHED_FILE, BookRow, Enriched, PromptBook, Text, read_book, write_book
from generator.run import Listener, generate
from generator.spec import Spec, load_spec
from tests.conftest import write_csv_files
from tests.generator.photos import lay_down_set

pytestmark = pytest.mark.slow

Files = Callable[[Path], dict[str, bytes]]


@pytest.fixture()
def config(quick_config: dict[str, object]) -> Config:
    return Config.load(**quick_config)


@pytest.fixture()
def spec(csv_folder: Path, config: Config) -> Spec:
    return load_spec(csv_folder / "background.csv", csv_folder / "classes.csv", canvas_wh=config.canvas_wh)


@pytest.fixture(scope="module")
def whole(quick_config: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Four scenes, painted at one go: to look at, and for others to be equal to."""
    config = Config.load(**quick_config)
    folder = write_csv_files(tmp_path_factory.mktemp("whole"))
    spec = load_spec(folder / "background.csv", folder / "classes.csv", canvas_wh=config.canvas_wh)
    return generate(spec, config, folder / "out", limit=4)


def test_two_csv_files_become_a_sound_coco_data_set(whole: Dataset) -> None:
    assert (whole.num_scenes, whole.complete) == (4, True)
    assert validate_dataset(whole.folder).faults == ()
    files = [whole.annotations.with_name(f"instances_{split}.json") for split in ("train", "val")]
    splits = [json.loads(file.read_bytes()) for file in files]
    assert [[category["id"] for category in split["categories"]] for split in splits] == [[1, 2]] * 2
    assert sum(len(split["annotations"]) for split in splits) == whole.num_objects
    assert whole.report.stat().st_size > 10_000
    assert (whole.folder / "README.md").exists()


@pytest.fixture()
def out(whole: Dataset, tmp_path: Path) -> Path:
    """A copy of the four scenes, to go on with."""
    return Path(shutil.copytree(whole.folder, tmp_path / "out"))


def test_the_same_call_twice_paints_nothing_again(
    spec: Spec, config: Config, out: Path, run_folder_files: Files
) -> None:
    before = run_folder_files(out)
    stamp = (out / "images" / "000000.png").stat().st_mtime_ns
    generate(spec, config, out, limit=4)
    assert (out / "images" / "000000.png").stat().st_mtime_ns == stamp
    assert run_folder_files(out) == before


def test_the_stable_diffusion_path_from_two_models_to_a_sound_set(
    csv_folder: Path, tiny_config: dict[str, object], tmp_path: Path, run_folder_files: Files
) -> None:
    """4-channel v-prediction in fp16 files paints the scenes, 9-channel epsilon in plain files the objects."""
    config = Config.load(**tiny_config)
    spec = load_spec(csv_folder / "background.csv", csv_folder / "classes.csv", canvas_wh=config.canvas_wh)
    dataset = generate(spec, config, tmp_path / "one", limit=3)
    assert validate_dataset(dataset.folder).faults == ()
    records = records_of(dataset.folder)
    assert [len(record.objects) >= 2 for record in records] == [True] * 3
    assert all(item.attempts for record in records for item in record.objects)
    generate(spec, config, tmp_path / "other", limit=3)
    assert run_folder_files(tmp_path / "one") == run_folder_files(tmp_path / "other")


def test_short_runs_that_go_on_equal_a_long_one(
    spec: Spec, config: Config, tmp_path: Path, whole: Dataset, run_folder_files: Files
) -> None:
    for limit in (1, 3, 4):  # with chunks of two, 1 and 3 end inside a chunk
        generate(spec, config, tmp_path / "parts", limit=limit)
    assert run_folder_files(tmp_path / "parts") == run_folder_files(whole.folder)


def test_scenes_lost_from_the_middle_are_painted_again_byte_for_byte(
    spec: Spec, config: Config, out: Path, whole: Dataset, run_folder_files: Files
) -> None:
    (out / "records" / "000001.json").unlink()
    (out / "images" / "000002.png").unlink()
    (out / "images" / "000003.png").write_bytes(b"")
    (out / "images" / ".000002.png.abc.part").write_bytes(b"half")
    generate(spec, config, out, limit=4)
    assert run_folder_files(out) == run_folder_files(whole.folder)


def test_another_spec_or_seed_is_refused_with_the_difference(spec: Spec, config: Config, out: Path) -> None:
    other = config.model_copy(update={"seed": 5})
    with pytest.raises(RunMismatchError, match=r"config\.seed: 0 before, 5 now"):
        generate(spec, other, out, limit=1)
    assert generate(spec, other, out, limit=1, overwrite=True).num_scenes == 1
    assert json.loads((out / "run.json").read_bytes())["config"]["seed"] == 5


def test_a_stop_ends_after_the_chunk_and_leaves_a_valid_set(spec: Spec, config: Config, tmp_path: Path) -> None:
    dataset = generate(spec, config, tmp_path / "out", limit=4, should_stop=lambda: True)
    assert (dataset.num_scenes, dataset.complete) == (2, False)
    assert validate_dataset(dataset.folder).faults == ()
    assert generate(spec, config, tmp_path / "out", limit=4).complete


def test_two_runs_in_one_folder_are_refused(spec: Spec, config: Config, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"), pytest.raises(StorageError, match="another boxpaint run"):
        generate(spec, config, tmp_path / "out", limit=1)


def test_a_full_disk_is_one_message_and_what_was_finished_stays_valid(
    spec: Spec, config: Config, out: Path, monkeypatch: pytest.MonkeyPatch, whole: Dataset, run_folder_files: Files
) -> None:
    for scene in (2, 3):
        (out / "records" / f"{scene:06d}.json").unlink()
    real = storage.tempfile.mkstemp

    def mkstemp(*args: object, **kwargs: object):
        if Path(str(kwargs["dir"])).name == "images" and "000003" in str(kwargs["prefix"]):
            raise OSError(errno.ENOSPC, "No space left on device", str(kwargs["dir"]))
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(storage.tempfile, "mkstemp", mkstemp)
        with pytest.raises(StorageError, match="the disk is full"):
            generate(spec, config, out, limit=4)
    report = validate_dataset(out)
    assert (report.num_images, report.faults) == (3, ())
    generate(spec, config, out, limit=4)
    assert run_folder_files(out) == run_folder_files(whole.folder)


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_file_in_the_way_is_one_message(spec: Spec, config: Config, tmp_path: Path, out: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="choose another folder"):
        generate(spec, config, tmp_path / out, limit=1)
    assert (tmp_path / "file").read_text() == "mine"


def test_kill_9_at_any_moment_then_resume_equals_an_uninterrupted_run(
    csv_folder: Path, quick_config: dict[str, object], config: Config, spec: Spec, run_folder_files: Files
) -> None:
    generate(spec, config, csv_folder / "whole", limit=6)
    (csv_folder / "config.yaml").write_text(json.dumps(quick_config))
    command = [sys.executable, "-m", "boxpaint", "generate", "--limit", "6", "--out", "killed"]
    written = csv_folder / "killed" / "records"
    for scenes in (1, 3):  # in the middle of the first and of the second chunk
        process = subprocess.Popen(command, cwd=csv_folder, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while len(list(written.glob("*.json"))) < scenes and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert 1 <= len(list(written.glob("*.json"))) < 6
    subprocess.run(command, cwd=csv_folder, check=True, stdout=subprocess.DEVNULL)
    assert run_folder_files(csv_folder / "killed") == run_folder_files(csv_folder / "whole")


def test_models_that_a_cluster_paints_with_are_not_looked_for_here(
    spec: Spec, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = config.models.inpaint.model_copy(update={"folder": "/on/the/cluster"})
    models = config.models.model_copy(update={"inpaint": elsewhere})
    config = config.model_copy(update={"models": models})
    with pytest.raises(ModelNotFoundError, match="there is no folder '/on/the/cluster'"):
        generate(spec, config, tmp_path / "out", limit=1)
    assert not (tmp_path / "out").exists()

    asked = Mock()
    monkeypatch.setattr(run, "_generate", asked)
    generate(spec, config.model_copy(update={"engine": "ray"}), tmp_path / "out", limit=1)
    asked.assert_called_once()


def test_a_spec_outside_the_bundles_words_is_refused_before_anything_is_made(
    csv_folder: Path, config: Config, tmp_path: Path
) -> None:
    (csv_folder / "classes.csv").write_text("prompt,min_appear,max_appear\na zebra,0,1\n")
    spec = load_spec(csv_folder / "background.csv", csv_folder / "classes.csv", canvas_wh=config.canvas_wh)
    with pytest.raises(DomainError) as caught:
        generate(spec, config, tmp_path / "out", limit=1)
    assert caught.value.rows == (f"{csv_folder / 'classes.csv'}:2: 'zebra'",)
    for words in ("paints stained blood smears only", "bundle: sd21", "--force"):
        assert words in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert generate(spec, config, tmp_path / "out", limit=1, force=True).num_scenes == 1


def test_a_run_without_one_label_says_which_checks_rejected(csv_folder: Path, quick_config: dict[str, object]) -> None:
    # Nobody paints nine times as large as asked.
    strict = {**quick_config["labels"], "size_range": [9.0, 10.0], "max_attempts": 2, "verify": False}
    config = Config.load(**{**quick_config, "labels": strict})
    spec = load_spec(csv_folder / "background.csv", csv_folder / "classes.csv", canvas_wh=config.canvas_wh)
    dataset = generate(spec, config, csv_folder / "out", limit=1)
    asked = len(Plan(spec=spec, config=config).scene(0).placements)
    assert (dataset.complete, dataset.num_scenes, dataset.num_objects) == (True, 1, 0)
    assert f"1 pictures without one label: {asked} objects were dropped after {2 * asked} attempts" in dataset.problem
    assert "rejected by " in dataset.problem
    for item in records_of(dataset.folder)[0].objects:
        assert (item.painted_box, [attempt.number for attempt in item.attempts]) == (None, [0, 1])
        assert item.dropped
    assert "rejected" in dataset.report.read_text()
    # Nothing is lost, and the next call says the same.
    assert dataset.annotations.is_file()
    assert generate(spec, config, csv_folder / "out", limit=1).problem == dataset.problem


def test_a_run_that_asks_for_no_object_is_a_success_without_labels(spec: Spec, config: Config, tmp_path: Path) -> None:
    nothing = replace(spec, classes=tuple(replace(row, min_appear=0, max_appear=0) for row in spec.classes))
    dataset = generate(nothing, config, tmp_path / "out", limit=1)
    assert (dataset.num_objects, dataset.problem) == (0, "")


def test_models_from_the_hubs_cache(csv_folder: Path, tiny_sd21: Path, tiny_config: dict[str, object]) -> None:
    """Offline, by repository id, with the commit in run.json: the layout that huggingface_hub caches in."""
    cache, commit = csv_folder / "hub", "0123456789abcdef0123456789abcdef01234567"
    for name in ("background", "inpaint"):
        repository = cache / f"models--tiny--{name}"
        for folder in ("refs", "snapshots"):
            (repository / folder).mkdir(parents=True)
        (repository / "refs" / "main").write_text(commit)
        (repository / "snapshots" / commit).symlink_to(tiny_sd21 / name)
    models = {name: {"id": f"tiny/{name}", "revision": "main"} for name in ("background", "inpaint")}
    (csv_folder / "config.yaml").write_text(
        json.dumps({**tiny_config, "models": models, "offline": True, "dtype": "float32"})
    )
    result = subprocess.run(
        [sys.executable, "-m", "boxpaint", "generate", "--limit", "1"],
        cwd=csv_folder,
        env={**os.environ, "HF_HUB_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    # Whether it paints an object that passes is not asked: its weights are random.
    assert (csv_folder / "dataset" / "images" / "000000.png").is_file(), result.stdout + result.stderr
    painter = json.loads((csv_folder / "dataset" / "run.json").read_bytes())["painter"]
    assert painter["inpaint"] == f"commit:{commit}, float32"


# --- the prompt book ---------------------------------------------------------------------------------------------


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
        for table, name, prompt in dict.fromkeys(row.key for row in spec.rows)
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
    replace_in(tmp_path / "parts" / "prompts" / ENRICHED_FILE, "a photo of a small purple platelet", "a dark platelet")
    with pytest.raises(RunMismatchError, match="was painted from another prompt book"):
        generate(spec, config, tmp_path / "parts", limit=2)


def test_a_run_that_makes_its_own_book_paints_from_it(
    spec: Spec,
    quick_config: dict[str, object],
    tmp_path: Path,
    tiny_language_models: Path,
    run_folder_files: Files,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    books: list[PromptBook] = []

    class Hearer(Listener):
        def on_prompts(self, book: PromptBook) -> None:
            books.append(book)

    (tmp_path / "attributes.csv").write_text("attribute,text\ntone,dark\n")
    models = {"embedder": {"folder": str(tiny_language_models / "clip")}}
    prompts = {"enrich": "none", "min_similarity": -1.0, "max_similarity": 1.0}
    config = Config.load(**{**quick_config, "models": models, "prompts": prompts})
    spec = load_spec(tmp_path / "background.csv", tmp_path / "classes.csv", canvas_wh=config.canvas_wh)
    for name in ("one", "two"):
        generate(spec, config, tmp_path / name, limit=1, listener=Hearer())
    assert run_folder_files(tmp_path / "one") == run_folder_files(tmp_path / "two")
    assert books[0] == books[1] == read_book(tmp_path / "one" / "prompts", spec)
    prompt = "a small purple platelet"
    assert books[0].texts()[("classes", "platelet", prompt)] == (prompt, f"{prompt}, dark")
    assert list(json.loads((tmp_path / "one" / "run.json").read_bytes())["prompts"]["models"]) == ["embedder"]


def test_a_bad_book_stops_before_anything_is_made(spec: Spec, config: Config, prompts: Path, tmp_path: Path) -> None:
    (prompts / ENRICHED_FILE).unlink()
    with pytest.raises(PromptsError, match=r"enriched\.json"):
        generate(spec, config, tmp_path / "out", prompts=prompts, limit=1)
    assert not (tmp_path / "out").exists()


def test_objects_are_painted_into_photos_whose_labels_stay(
    csv_folder: Path, config: Config, run_folder_files: Files
) -> None:
    labels = [("lion", (80, 60, 20, 20)), ("platelet", (10, 10, 24, 24))]
    lay_down_set(csv_folder / "set", {"train": {"a.png": labels, "b.png": []}, "test": {"c.png": []}})
    table = csv_folder / "background.csv"
    table.write_text("photos,num_imgs,crop,flip\ncoco:set#train,4,80%,both\n")

    def load() -> Spec:
        return load_spec(table, csv_folder / "classes.csv", canvas_wh=config.canvas_wh, scene=config.card.scene)

    listener = Mock(Listener())
    whole = generate(load(), config, csv_folder / "out", listener=listener)
    assert validate_dataset(whole.folder).faults == ()
    assert "1 of lion" in listener.on_warning.call_args_list[0].args[0]
    records = records_of(whole.folder)
    names = {(record.photo.name, record.split) for record in records if record.photo is not None}
    assert {name for name, _ in names} == {"a.png", "b.png"} and len(names) == 2
    assert sum(len(record.real_objects) for record in records) == whole.num_real_objects > 0
    # In parts it comes out the same; with other labels the run does not go on.
    for limit in (1, 4):
        generate(load(), config, csv_folder / "parts", limit=limit)
    assert run_folder_files(csv_folder / "parts") == run_folder_files(whole.folder)
    annotations = csv_folder / "set/annotations/instances_train.json"
    annotations.write_text(annotations.read_text().replace("[10, 10, 24, 24]", "[10, 10, 24, 23]"))
    with pytest.raises(RunMismatchError, match=r"photos\[1\]\.digest"):
        generate(load(), config, whole.folder)
