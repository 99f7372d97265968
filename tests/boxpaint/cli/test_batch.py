"""`boxpaint batch`: every fault before anything is painted, one table, and what fails alone fails alone."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

from boxpaint.batch import BatchConfig, run_batch
from generator.foundation.errors import ConfigError
from generator.run import Listener
from tests.boxpaint.terminal import boxpaint

pytestmark = pytest.mark.slow


def write(folder: Path, datasets: list[dict[str, object]], **keys: object) -> Path:
    path = folder / "batch.yaml"
    path.write_text(yaml.safe_dump({"datasets": datasets, **keys}))
    return path


@pytest.fixture()
def config(csv_folder: Path, quick_config: dict[str, object]) -> str:
    keys = {**quick_config, "audit": {"scenes": 0}, "threads": 1, "workers": 1}
    (csv_folder / "config.yaml").write_text(yaml.safe_dump(keys))
    return "config.yaml"


def read_summary(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_data_sets_are_made_exported_and_summed_up_and_go_on(csv_folder: Path, config: str) -> None:
    first = {"name": "first", "config": config, "limit": 2, "export": ["voc"]}
    path = write(csv_folder, [first, {"name": "second", "config": config, "limit": 1, "seed": 7}], out="sets")
    boxpaint("batch", path, cwd=csv_folder).says("summary.csv")
    rows = read_summary(csv_folder / "sets")
    assert [(row["name"], row["state"], row["pictures"], row["exports"]) for row in rows] == [
        ("first", "complete", "2", "voc"),
        ("second", "complete", "1", ""),
    ]
    assert (csv_folder / "sets" / "first-voc" / "export.json").is_file()
    record = csv_folder / "sets" / "first" / "records" / "000000.json"
    before = record.stat().st_mtime_ns
    boxpaint("batch", path, cwd=csv_folder).says()
    assert record.stat().st_mtime_ns == before


def test_what_fails_alone_fails_alone(csv_folder: Path, config: str) -> None:
    taken = csv_folder / "datasets" / "taken"
    taken.mkdir(parents=True)
    for name in ("mine.txt", "audit.json", "instances.json"):  # neither an audit of ours nor a COCO file
        (taken / name).write_text("mine")
    path = write(csv_folder, [{"name": "taken", "config": config}, {"name": "good", "config": config, "limit": 1}])
    ended = boxpaint("batch", path, cwd=csv_folder)
    assert ended.code == 2
    assert "taken: " in ended.out and "is not a painted data set" in ended.out
    assert [row["state"] for row in read_summary(csv_folder / "datasets")] == ["failed", "complete"]
    assert (taken / "mine.txt").read_text() == "mine"


def test_a_set_without_one_label_has_failed(csv_folder: Path, quick_config: dict[str, object]) -> None:
    strict = {**quick_config["labels"], "size_range": [9.0, 10.0], "max_attempts": 1, "verify": False}
    (csv_folder / "strict.yaml").write_text(yaml.safe_dump({**quick_config, "labels": strict}))
    (csv_folder / "zebra.csv").write_text("prompt,min_appear,max_appear\na zebra,1,1\n")
    bare = {"name": "bare", "config": "strict.yaml", "limit": 1, "export": ["voc"]}
    path = write(csv_folder, [bare, {"name": "zebra", "classes": "zebra.csv", "limit": 1}])
    assert boxpaint("batch", path, cwd=csv_folder).code == 2
    rows = read_summary(csv_folder / "datasets")
    assert [(row["state"], row["exports"]) for row in rows] == [("failed", ""), ("failed", "")]
    assert "without one label" in rows[0]["problem"]
    assert "zebra.csv:2: 'zebra'" in rows[1]["problem"]


def test_a_stop_leaves_the_rest_for_the_next_time(csv_folder: Path, config: str) -> None:
    path = write(csv_folder, [{"name": name, "config": config, "limit": 4} for name in ("one", "two")])
    results = run_batch(BatchConfig.load(path), lambda _: Listener(), lambda: True)
    assert [each.state for each in results] == ["stopped", "not begun"]
    assert not (csv_folder / "datasets" / "two").exists()


def test_all_faults_of_all_scenarios_come_before_anything_is_painted(csv_folder: Path, config: str) -> None:
    (csv_folder / "bad.csv").write_text("prompt,num_imgs\na field,many\n")
    (csv_folder / "worse.yaml").write_text("bundle: pocket\nsed: 1\n")
    path = write(
        csv_folder,
        [
            {"name": "one", "config": config, "limit": 1},
            {"name": "two", "config": config, "background": "bad.csv"},
            {"name": "three", "config": "worse.yaml"},
        ],
    )
    boxpaint("batch", path, cwd=csv_folder).refuses("bad.csv:2", "worse.yaml:2")
    assert not (csv_folder / "datasets").exists()


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("datasets:\n  - name: a\n    clases: x.csv\n", 3, "did you mean 'classes'?"),
        ("datasets: []\n", 1, "one data set or more"),
        ("datasets:\n  - name: ../a\n", 2, "the name of a folder is needed"),
        ("datasets:\n  - {name: a}\n  - {name: A}\n", 1, "would lie in one folder: a"),
        ("datasets:\n  - name: a\n    export: [yolo, tfrecord]\n", 3, "no format of boxpaint export; known: coco"),
    ],
)
def test_a_faulty_file_is_one_message_at_its_line(text: str, line: int, message: str, tmp_path: Path) -> None:
    path = tmp_path / "batch.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        BatchConfig.load(path)
    (fault,) = caught.value.faults
    assert fault.line == line
    assert message in fault.expected
