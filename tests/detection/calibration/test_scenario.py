"""classes.csv and background.csv from a real data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detection.calibration.scenario import ClassRow, canvas_like, class_rows, tables
from detection.datasets.sources import read_source
from generator.spec import load_spec
from tests.detection.formats.sets import label
from tests.detection.formats.sources import coco_json, draw, encode, write

CANVAS = (400, 200)
SIZE_WH = (40, 30)


def photos(folder: Path, names: list[str], *of_pictures: list[tuple[int, list[float]]], **of_image: Any) -> Path:
    """Pictures of 40 x 30 px with (category, box) each in the split train; all of a class called `test` elsewhere."""
    images = [{"id": n, "file_name": f"{n}.png", **of_image} for n in range(1, len(of_pictures) + 1)]
    pairs = [(n, item) for n, items in enumerate(of_pictures, start=1) for item in items]
    labels = [label(n, image, category, box) for n, (image, (category, box)) in enumerate(pairs, start=1)]
    write(folder / "annotations" / "instances_train.json", coco_json(images, labels, names))
    far = [label(1, 1, number, [1, 1, 38, 28]) for number in range(1, len(names) + 1)]
    write(folder / "annotations" / "instances_test.json", coco_json(images[:1], far, names))
    for image in images:
        write(folder / "images" / image["file_name"], encode(draw(image["id"]), "PNG"))
    return folder


def measured(folder: Path, out: Path) -> dict[str, ClassRow]:
    out.mkdir(exist_ok=True)
    rows = class_rows(read_source(str(folder), "real"), out, CANVAS)
    return {row.cells["name"]: row for row in rows}


def test_counts_sizes_and_references_come_from_train_pictures_alone(tmp_path: Path) -> None:
    cell, other = (1, [10.0, 10.0, 8.0, 6.0]), (2, [20.0, 3.0, 4.0, 4.0])
    folder = photos(tmp_path / "real", ["cell", "blob", "ghost"], [cell] * 3, [cell] * 5, [cell] * 5, [cell, other])
    rows = measured(folder, tmp_path / "mine")
    # 8 x 6 px of 40 x 30 are as large a part, and of the same shape, as 65.3 x 49 px of 400 x 200.
    assert rows["cell"].cells == {
        "prompt": "a cell",
        "name": "cell",
        "min_appear": "2",
        "max_appear": "5",
        "width_min": "16.3%",
        "height_min": "24.5%",
        "width_max": "16.3%",
        "height_max": "24.5%",
        "y_min": "0.43",
        "y_max": "0.44",
        "references": "coco:../real/annotations/instances_train.json#cell",
    }
    assert (rows["cell"].boxes, rows["cell"].pictures) == (14, 4)
    assert rows["cell"].cover == pytest.approx(14 / 4 * 48 / 1200)
    # Rare: less than one in ten pictures would ask for none.
    assert (rows["blob"].cells["min_appear"], rows["blob"].cells["max_appear"]) == ("0", "1")
    assert "y_min" not in rows["blob"].cells
    # Absent from train: its class stays, and none is asked for.
    assert rows["ghost"].cells == {"prompt": "a ghost", "name": "ghost", "min_appear": "0", "max_appear": "0"}


def test_pictures_that_do_not_label_a_class_say_nothing_of_its_number(tmp_path: Path) -> None:
    cell = (1, [10.0, 10.0, 8.0, 6.0])
    folder = photos(tmp_path / "real", ["cell"], [cell] * 4, [])
    assert measured(folder, tmp_path / "mine")["cell"].cells["min_appear"] == "0"
    content = json.loads((folder / "annotations/instances_train.json").read_text())
    content["images"][1]["not_exhaustive_category_ids"] = [1]
    write(folder / "annotations/instances_train.json", json.dumps(content))
    assert measured(folder, tmp_path / "mine")["cell"].cells["min_appear"] == "4"


NAMES = ["Zelle, lebend", "C#", "белая клетка", '5" "screw" ; x', "42", "白血球", "an_apple", "a  b", "apple"]


def test_names_of_any_language_and_characters_pass_the_check(tmp_path: Path) -> None:
    boxes = [(number, [3.0, 3.0, 8.0, 6.0]) for number in range(1, len(NAMES) + 1)]
    folder = photos(tmp_path / "real # 1", NAMES, boxes)
    source, out = read_source(str(folder), "real"), tmp_path / "mine"
    out.mkdir()
    rows = class_rows(source, out, CANVAS)
    for name, text in tables(rows).items():
        write(out / name, text)
    spec = load_spec(out / "background.csv", out / "classes.csv", canvas_wh=CANVAS)
    assert [row.name for row in spec.classes] == NAMES
    assert all(row.references for row in spec.classes)
    prompts = ["a Zelle, lebend", "a C#", "белая клетка", 'a 5" "screw" ; x', "object 42", "白血球"]
    assert [row.prompt for row in spec.classes] == [*prompts, "an an apple", "an a b", "an apple"]


@pytest.mark.parametrize(
    ("size_wh", "canvas"), [((640, 480), (896, 640)), ((10, 10), (768, 768)), ((4000, 10), (1344, 448))]
)
def test_the_canvas_has_the_shape_of_the_pictures(
    size_wh: tuple[int, int], canvas: tuple[int, int], tmp_path: Path
) -> None:
    folder = photos(tmp_path, ["a"], [], width=size_wh[0], height=size_wh[1])
    assert canvas_like(read_source(str(folder), "real").data, 768 * 768) == canvas
