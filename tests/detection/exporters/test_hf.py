"""An ImageFolder with metadata: what the table and the front matter say."""

from __future__ import annotations

import re
from pathlib import Path

import polars
import yaml

from detection.formats.exporting import export_set
from detection.formats.target import ExportOptions
from generator.dataset.record import RleRecord, decode_mask
from generator.labels.segmentation import decode_segmentation
from tests.detection.exporters.sets import NAMES, PARTS, RUNS, write_set
from tests.detection.importers.sources import draw, encode, write


def test_rows(tmp_path: Path) -> None:
    source = write_set(tmp_path / "pets")
    write(source / "run.json", "{}")
    write(source / "records" / "ä.json", '{"background": {"prompt": "a meadow"}}')
    export_set(source, tmp_path / "out", "hf")
    tables = {split: polars.read_parquet(tmp_path / "out" / split / "metadata.parquet") for split in ("train", "val")}
    first, second, third = tables["train"].to_dicts()
    assert [row["file_name"] for row in (first, second, third)] == ["a b.png", "x.y.jpg", "empty.png"]
    assert (first["image_id"], first["width"], first["height"], first["source"]) == (3, 40, 30, "synthetic")
    objects = first["objects"]
    assert objects["id"] == [11, 12]
    assert objects["bbox"] == [[20, 2, 14, 4], [4, 5, 10, 10]]
    assert objects["category"] == [*NAMES]
    assert objects["category_id"] == [1, 5]
    assert (objects["area"], objects["score"]) == ([32, 100], [0.9, 0.2])
    assert objects["segmentation"] == [PARTS, None]
    packed = decode_mask(RleRecord(size=(30, 40), counts=objects["rle"][1]))
    assert (packed == decode_segmentation(RUNS, (30, 40))).all()
    assert (second["objects"]["iscrowd"], second["objects"]["score"]) == ([0, 1], [None, None])
    assert all(values == [] for values in third["objects"].values())
    assert tables["val"]["caption"].to_list() == ["a meadow"]
    assert tables["train"].schema == tables["val"].schema


def test_front_matter(tmp_path: Path) -> None:
    export_set(write_set(tmp_path / "pets"), tmp_path / "out", "hf")
    _, text, body = (tmp_path / "out" / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    content = yaml.safe_load(text)
    assert content["configs"][0]["data_files"] == [
        {"split": "train", "path": "train/**"},
        {"split": "val", "path": "val/**"},
    ]
    assert re.fullmatch("sha256:[0-9a-f]{16}", content["configs"][0]["description"])
    names = [item["name"] for item in content["dataset_info"]["features"]]
    assert names == ["image", "image_id", "width", "height", "source", "caption", "objects"]
    assert 'load_dataset("out")' in body


def test_the_front_matter_tells_data_sets_apart(tmp_path: Path) -> None:
    """The cache of datasets knows them by it."""
    source = write_set(tmp_path / "pets")

    def front_matter(**options: float) -> str:
        export_set(source, tmp_path / "out", "hf", ExportOptions(overwrite=True, **options))
        return (tmp_path / "out" / "README.md").read_text(encoding="utf-8").split("---\n")[1]

    first = front_matter()
    assert front_matter() == first
    assert front_matter(min_score=0.6) != first
    write(source / "images" / "ä.png", encode(draw(77), "PNG"))
    assert front_matter() != first
