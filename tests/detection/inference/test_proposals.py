"""Proposals for photos without labels, in every format of exports."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detection.formats.registry import WRITERS
from detection.inference.finding import find_pictures
from detection.inference.proposals import annotate_pictures
from generator.dataset.validation import validate_dataset
from tests.detection.drawn import boxes


class Corners:
    """Finds a red box in the top left corner of every picture."""

    categories = ("red",)

    def predict(self, pictures: list[np.ndarray], *, with_masks: bool = True) -> list:
        return [boxes(([1, 2, 11, 12], 1, 0.9))] * len(pictures)


@pytest.fixture()
def source(tmp_path: Path) -> Path:
    """Photos whose names and folders are Latin-1, as an old disk has them; one is damaged."""
    folder = tmp_path / os.fsdecode(b"b\xfccher")
    rng = np.random.default_rng(0)
    try:
        (folder / os.fsdecode(b"\xe9t\xe9")).mkdir(parents=True)
        for name in (b"caf\xe9.jpg", b"\xe9t\xe9/caf\xe9.jpg", b"plain.jpg"):
            picture = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8))
            picture.save(folder / os.fsdecode(name))
        (folder / os.fsdecode(b"torn\xe9.jpg")).write_bytes(b"no picture")
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    return folder


@pytest.mark.parametrize("form", WRITERS)
def test_names_that_are_not_unicode(source: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    report = annotate_pictures(
        Corners(), find_pictures(source), out, form=form, min_score=0.5, with_masks=True, made_of=str(source)
    )
    assert report.pictures == {"proposed": 3}
    names = {os.fsencode(path.relative_to(out)) for path in out.rglob("*")}
    assert all(name.decode() for name in names)
    notes = json.loads((out / "export.json").read_bytes())["notes"]
    assert any(os.fsdecode(b"torn\xe9.jpg is left out") in note for note in notes)
    if form == "coco":
        assert {b"images/caf%E9.jpg", b"images/%E9t%E9_caf%E9.jpg", b"images/plain.jpg"} <= names
        assert not validate_dataset(out).faults
