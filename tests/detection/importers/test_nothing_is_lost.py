"""Whatever a source holds, every picture and object of it is written, or listed as lost; what is written is sound."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.detection.importers.sources import SIZE, coco_json, draw, encode, run, voc_xml, write

CATEGORIES = ("cat", "dog", "rat")
_PNG = encode(draw(1), "PNG")
FILES: dict[str, bytes | None] = {
    "sound": encode(draw(2)),
    "a PNG called JPEG": _PNG,
    "palette": encode(draw(3, mode="P"), "PNG"),
    "turned": encode(draw(4), orientation=6),
    "torn": encode(draw(5))[:-200],
    "no picture": b"words",
    "missing": None,
}
# Mostly inside, sometimes reversed, beyond the edge, empty or no number at all.
sides = st.one_of(
    st.integers(-10, 50).map(float),
    st.floats(0, 30, width=16),
    st.sampled_from([float("nan"), float("inf"), 0.0, 7.0, 1e9]),
)
boxes = st.tuples(sides, sides, sides, sides)


@dataclass(frozen=True)
class Picture:
    kind: str
    is_annotated: bool
    objects: list[tuple[str, tuple[float, float, float, float]]]


objects = st.lists(st.tuples(st.sampled_from([*CATEGORIES, ""]), boxes), max_size=4)
pictures = st.builds(Picture, kind=st.sampled_from(sorted(FILES)), is_annotated=st.booleans(), objects=objects)
# The first one is whole, so that there is something to import.
sets = st.lists(pictures, max_size=5).map(
    lambda found: [Picture("sound", True, [("cat", (1.0, 2.0, 20.0, 20.0))]), *found]
)


def write_voc(source: Path, held: Sequence[Picture]) -> None:
    for number, picture in enumerate(held):
        if picture.is_annotated:
            write(source / f"{number}.xml", voc_xml(f"{number}.jpg", picture.objects))


def write_yolo(source: Path, held: Sequence[Picture]) -> None:
    write(source / "classes.txt", "\n".join(CATEGORIES))
    for number, picture in enumerate(held):
        if picture.is_annotated:
            lines = []
            for name, (x_min, y_min, x_max, y_max) in picture.objects:
                values = (x_min / SIZE[0], y_min / SIZE[1], (x_max - x_min) / SIZE[0], (y_max - y_min) / SIZE[1])
                lines.append(f"{CATEGORIES.index(name) if name else 9} " + " ".join(map(str, values)))
            write(source / "labels" / f"{number}.txt", "\n".join(lines))


def write_coco(source: Path, held: Sequence[Picture]) -> None:
    images: list[dict[str, Any]] = []
    items: list[dict[str, Any]] = []
    for number, picture in enumerate(held):
        if picture.is_annotated:
            images.append({"id": number, "file_name": f"{number}.jpg"})
        for name, (x_min, y_min, x_max, y_max) in picture.objects if picture.is_annotated else ():
            items.append(
                {
                    "id": len(items),
                    "image_id": number,
                    "category_id": CATEGORIES.index(name) + 1 if name else 9,
                    "bbox": [x_min, y_min, x_max - x_min, y_max - y_min],
                    "segmentation": [[x_min, y_min, x_max, y_min, x_max, y_max]],
                    "iscrowd": len(items) % 3 // 2,
                }
            )
    write(source / "coco.json", coco_json(images, items, CATEGORIES))


def write_csv(source: Path, held: Sequence[Picture]) -> None:
    rows = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for number, picture in enumerate(held):
        if picture.is_annotated:
            rows += [f"{number}.jpg,,,{name},{','.join(map(str, box))}" for name, box in picture.objects]
            rows += [] if picture.objects else [f"{number}.jpg,,,,,,,"]
    write(source / "boxes.csv", "\n".join(rows))


WRITERS: dict[str, Callable[[Path, Sequence[Picture]], None]] = {
    "voc": write_voc,
    "yolo": write_yolo,
    "coco": write_coco,
    "csv": write_csv,
}


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(held=sets)
def test_what_came_in_is_what_is_in_and_what_is_listed(name: str, held: list[Picture]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "s"
        for number, picture in enumerate(held):
            data = FILES[picture.kind]
            if data is not None:
                write(source / f"{number}.jpg", data)
        WRITERS[name](source, held)
        imported = run(source, shares={"all": 1.0})
        report = imported.report
        assert report.format == name
        there = [picture for picture in held if picture.is_annotated or FILES[picture.kind] is not None]
        assert report.pictures.source == len(there)
        assert report.objects.source == sum(len(picture.objects) for picture in held if picture.is_annotated)
        # Counted on disk, not taken from the report.
        cases = json.loads((imported.out / "import.json").read_bytes())["cases"]
        content = imported.contents["all"]
        assert len(content["images"]) + sum(case["lost_pictures"] for case in cases) == report.pictures.source
        assert len(content["annotations"]) + sum(case["lost_objects"] for case in cases) == report.objects.source
        assert all(case["done"] == "dropped" for case in cases if case["lost_pictures"] or case["lost_objects"])
        assert {path.name for path in (imported.out / "images").iterdir()} == {
            image["file_name"] for image in content["images"]
        }
