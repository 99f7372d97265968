"""COCO out is what came in: ids, fields, crowds, what stands beside the lists; names are flat."""

from __future__ import annotations

import json
from pathlib import Path

from detection.formats.exporting import export_set
from detection.formats.target import ExportOptions
from generator.dataset.validation import validate_dataset
from tests.detection.exporters.sets import write_set


def test_everything_stays(tmp_path: Path) -> None:
    source = write_set(tmp_path / "pets")
    export_set(source, tmp_path / "out", "coco")
    for split in ("train", "val"):
        before, after = (
            json.loads((folder / "annotations" / f"instances_{split}.json").read_bytes())
            for folder in (source, tmp_path / "out")
        )
        assert after == before
    assert not validate_dataset(tmp_path / "out").faults


def test_what_is_chosen_keeps_its_ids(tmp_path: Path) -> None:
    export_set(write_set(tmp_path / "pets"), tmp_path / "out", "coco", ExportOptions(classes=("weißer Hund",)))
    content = json.loads((tmp_path / "out" / "annotations" / "instances_train.json").read_bytes())
    assert [(item["id"], item["category_id"]) for item in content["annotations"]] == [(12, 5), (13, 5)]
    assert [item["id"] for item in content["categories"]] == [5]
