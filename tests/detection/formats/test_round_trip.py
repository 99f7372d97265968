"""Out and in again: an import of an export has every picture, split, class and box that the format can hold."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detection.formats.exporting import export_set
from detection.formats.registry import FORMATS
from detection.formats.voc import pixels_of
from generator.foundation.storage import write_json
from generator.labels.segmentation import decode_segmentation
from tests.detection.formats.sets import NAMES, PARTS, RUNS, SQUARE, label
from tests.detection.formats.sources import draw, encode, run, write

SIZE = (64, 48)
SPLITS = ("train", "val", "test")
# How far an edge may move, in pixels: what a format rounds to, and we to thousandths on the way in.
TOLERANCES = {"coco": 0.002, "hf": 0.002, "webdataset": 0.002, "yolo": 0.01, "yolo-seg": 0.01, "voc": 0.5001}
assert {name for name, both in FORMATS.items() if both.reader and both.writer} == {*TOLERANCES} - {"yolo-seg"}
HOLD_EMPTY_CLASSES = ("coco", "yolo", "yolo-seg")

letters = st.characters(exclude_categories=("C", "Z"), include_characters=" ")
texts = st.text(letters, min_size=1, max_size=12).map(str.strip).filter(bool)
stems = texts.map(lambda text: text.translate(dict.fromkeys(map(ord, "/\\\\"), "-"))).filter(
    lambda text: text[0] != "."
)
names = st.lists(texts, min_size=1, max_size=3, unique_by=str.casefold)


@dataclass(frozen=True)
class Held:
    stem: str
    split: str
    boxes: list[tuple[int, list[float]]]


@st.composite
def pictures(draw_: Any, count: int) -> list[Held]:
    found = draw_(st.lists(stems, min_size=1, max_size=4, unique_by=lambda stem: stem.casefold().replace(".", "_")))
    held = []
    for stem in found:
        # Different by whole pixels, so that rounded ones are different, too.
        corners = st.tuples(st.integers(0, 40), st.integers(0, 30), st.integers(2, 20), st.integers(2, 15))
        boxes = draw_(st.lists(corners, max_size=3, unique=True))
        part = draw_(st.floats(0, 0.4))
        labels = [(draw_(st.integers(0, count - 1)), [x + part, y + part, w, h]) for x, y, w, h in boxes]
        held.append(Held(stem, draw_(st.sampled_from(SPLITS)), labels))
    return held


sets = names.flatmap(lambda found: st.tuples(st.just(found), pictures(len(found))))


def write_held(folder: Path, categories: list[str], held: list[Held], *, with_masks: bool) -> None:
    (folder / "annotations").mkdir(parents=True)
    number = 0
    for split in dict.fromkeys(picture.split for picture in held):
        images, labels = [], []
        for position, picture in enumerate(held, start=1):
            if picture.split != split:
                continue
            write(folder / "images" / f"{picture.stem}.png", encode(draw(position, SIZE), "PNG"))
            size = {"width": SIZE[0], "height": SIZE[1]}
            images.append({"id": position, "file_name": f"{picture.stem}.png", **size})
            for category, (x, y, width, height) in picture.boxes:
                number += 1
                polygon = [x, y, x + width, y, x + width, y + height, x, y + height]
                mask = [polygon] if with_masks else []
                labels.append(label(number, position, category + 1, [x, y, width, height], segmentation=mask))
        listed = [{"id": place, "name": name} for place, name in enumerate(categories, start=1)]
        content = {"images": images, "annotations": labels, "categories": listed}
        write_json(folder / "annotations" / f"instances_{split}.json", content)


@pytest.mark.parametrize("form", TOLERANCES)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(made=sets)
def test_nothing_is_lost(form: str, made: tuple[list[str], list[Held]]) -> None:
    categories, held = made
    has_objects = any(picture.boxes for picture in held)
    if form == "yolo-seg" and not has_objects:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_held(folder / "set", categories, held, with_masks=form == "yolo-seg" or len(held) % 2 == 0)
        export_set(folder / "set", folder / "out", form)
        imported = run(folder / "out")
    report = imported.report
    assert report.format == form.removesuffix("-seg")
    assert report.pictures.source == report.pictures.written == len(held)
    assert report.objects.source == report.objects.written == sum(len(picture.boxes) for picture in held)
    key_of = (lambda stem: stem.replace(".", "_")) if form == "webdataset" else str
    assert {Path(file).stem: split for split, files in imported.splits.items() for file in files} == {
        key_of(picture.stem): picture.split for picture in held
    }
    if form in HOLD_EMPTY_CLASSES:
        assert report.categories == tuple(categories)
    boxes = {Path(file).stem: found for file, found in imported.boxes.items()}
    for picture in held:
        found = boxes[key_of(picture.stem)]
        assert [category for category, _ in found] == [categories[number] for number, _ in picture.boxes]
        for (_, back), (_, (x, y, width, height)) in zip(found, picture.boxes, strict=True):
            assert np.abs(np.array(back) - [x, y, x + width, y + height]).max() <= TOLERANCES[form]


@pytest.mark.parametrize("form", ["coco", "hf", "webdataset", "yolo-seg"])
def test_masks_come_back(form: str, pets: Path, tmp_path: Path) -> None:
    export_set(pets, tmp_path / "out", form)
    imported = run(tmp_path / "out")
    items = [item for content in imported.contents.values() for item in content["annotations"]]
    for item, mask in zip((*items[:2], items[-1]), (PARTS, RUNS, SQUARE), strict=True):
        drawn, expected = (decode_segmentation(each, (30, 40)) for each in (item["segmentation"], mask))
        assert np.count_nonzero(drawn != expected) <= (8 if form == "yolo-seg" else 0)
    assert set(imported.report.categories) == set(NAMES)
    assert imported.report.pictures.written == 4
    lost = [case.what for case in imported.report.cases if case.lost_objects]
    assert lost == ([] if form == "yolo-seg" else ["a crowd, not one object"])


@given(box=st.tuples(st.floats(0, 39), st.floats(0, 29), st.floats(0.1, 40), st.floats(0.1, 30)))
def test_pixels_of_voc_are_the_nearest_edges(box: tuple[float, float, float, float]) -> None:
    x, y, width, height = box
    right, bottom = min(x + width, 40.0), min(y + height, 30.0)
    x_min, y_min, x_max, y_max = pixels_of((x, y, right, bottom), (40, 30))
    assert 1 <= x_min <= x_max <= 40
    assert 1 <= y_min <= y_max <= 30
    assert max(abs(x_min - 1 - x), abs(y_min - 1 - y)) <= 1
    assert max(abs(x_max - right), abs(y_max - bottom)) <= 1
