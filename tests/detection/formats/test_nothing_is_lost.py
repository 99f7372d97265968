"""Whatever a source holds, every picture and object of it is written, or listed as lost; what is written is sound.

Every object has a class of its own, so that it can be told where it went: never to another picture.
"""

from __future__ import annotations

import functools
import json
import math
import tempfile
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detection.formats.registry import READERS
from tests.detection.formats.sources import SIZE, coco_json, draw, encode, run, voc_xml, write
from tests.detection.formats.test_source import tar_of

Box = tuple[float, float, float, float]


@functools.cache
def data_of(kind: str, number: int) -> bytes:
    """A picture like no other."""
    if kind == "a PNG called JPEG":
        return encode(draw(10 * number), "PNG")
    if kind == "palette":
        return encode(draw(10 * number + 1, mode="P"), "PNG")
    if kind == "turned":
        return encode(draw(10 * number + 2), orientation=6)
    if kind == "torn":
        return encode(draw(10 * number + 3))[:-200]
    return b"words" if kind == "no picture" else encode(draw(10 * number + 4))


KINDS = ("sound", "sound", "sound", "a PNG called JPEG", "palette", "turned", "torn", "no picture")
# How the files of a picture are called, of which annotations say images/FOLDER/STEM.jpg.
PLACES: dict[str, Callable[[int, str], list[str]]] = {
    "as said": lambda folder, stem: [f"images/{folder}/{stem}.jpg"],
    "capitals": lambda folder, stem: [f"images/{folder}/{stem.upper()}.JPG"],
    "percent": lambda folder, stem: [f"images/{folder}/{quote(stem)}.jpg"],
    "decomposed": lambda folder, stem: [f"images/{folder}/{unicodedata.normalize('NFD', stem)}.jpg"],
    "another suffix": lambda folder, stem: [f"images/{folder}/{stem}.jpeg"],
    "another folder": lambda _, stem: [f"more/{stem}.jpg"],
    "two that it may be": lambda folder, stem: [f"images/{folder}/{stem}{suffix}" for suffix in (".jpeg", ".jfif")],
    "missing": lambda *_: [],
}
# Mostly inside, sometimes reversed, beyond the edge, empty or no number at all.
sides = st.one_of(
    st.integers(-10, 50).map(float),
    st.floats(0, 30, width=16),
    st.sampled_from([float("nan"), float("inf"), 0.0, 7.0, 1e9]),
)


@dataclass(frozen=True)
class Picture:
    kind: str
    place: str
    is_annotated: bool
    is_doubled: bool
    """Half of its objects are in an entry of its own."""
    has_text_ids: bool
    boxes: list[tuple[bool, Box]]
    """(with a class, box) of its objects."""


@dataclass(frozen=True)
class Entry:
    """What an annotation says: `name` is the picture's without suffix; objects are (class, box)."""

    number: int
    copy: int
    name: str
    objects: list[tuple[str, Box]]
    has_text_ids: bool


def picture_of(place: str, kind: str, rest: tuple[int, list[tuple[bool, Box]]]) -> Picture:
    flags, boxes = rest
    return Picture(kind, place, bool(flags % 4), bool(flags & 4), bool(flags & 8), boxes)


INSIDE = (1.0, 2.0, 20.0, 20.0)
# The first one is whole, so that there is something to import; after it every place and every kind comes once.
GOOD = Picture("sound", "as said", True, False, False, [(True, INSIDE)])
boxes = st.one_of(st.just(INSIDE), st.tuples(*[sides] * 4))
rests = st.tuples(st.integers(0, 15), st.lists(st.tuples(st.sampled_from([True, True, False]), boxes), max_size=4))
sets = st.tuples(
    st.permutations(sorted(PLACES)), st.permutations(KINDS), st.lists(rests, min_size=len(PLACES), max_size=len(PLACES))
).map(lambda drawn: [GOOD, *map(picture_of, *drawn)])


def name_of(number: int) -> tuple[int, str]:
    """Folder and stem: every name is in two folders."""
    return number % 2, f"é {number // 2}"


def entries_of(held: Sequence[Picture]) -> list[Entry]:
    entries = []
    for number, picture in enumerate(held):
        objects = [(f"c{number}{at}" if named else "", box) for at, (named, box) in enumerate(picture.boxes)]
        for copy, some in enumerate((objects[::2], objects[1::2]) if picture.is_doubled else (objects,)):
            if picture.is_annotated:
                entries.append(Entry(number, copy, "{}/{}".format(*name_of(number)), some, picture.has_text_ids))
    return entries


def names_of(entries: Sequence[Entry]) -> list[str]:
    return [name for entry in entries for name, _ in entry.objects if name]


def rows_of(entry: Entry, **named: str) -> list[dict[str, Any]]:
    return [
        {"bbox": [x_min, y_min, x_max - x_min, y_max - y_min], "category": name, **named}
        for name, (x_min, y_min, x_max, y_max) in entry.objects
    ]


def write_voc(source: Path, entries: Sequence[Entry]) -> None:
    for entry in entries:
        file = source / f"xml{entry.copy or ''}" / f"{entry.name}.xml"
        write(file, voc_xml(f"{file.stem}.jpg", entry.objects))


def write_yolo(source: Path, entries: Sequence[Entry]) -> None:
    names = names_of(entries)
    write(source / "classes.txt", "\n".join(names))
    for entry in entries:
        lines = []
        for name, (x_min, y_min, x_max, y_max) in entry.objects:
            values = (x_min / SIZE[0], y_min / SIZE[1], (x_max - x_min) / SIZE[0], (y_max - y_min) / SIZE[1])
            lines.append(f"{names.index(name) if name else 999} " + " ".join(map(str, values)))
        write(source / f"{entry.copy}" / "labels" / f"{entry.name}.txt", "\n".join(lines))


def write_coco(source: Path, entries: Sequence[Entry]) -> None:
    names = names_of(entries)
    images, items = [], []
    for at, entry in enumerate(entries):
        images.append({"id": at, "file_name": f"images/{entry.name}.jpg"})
        for row in rows_of(entry):
            name = row.pop("category")
            image = str(at) if entry.has_text_ids else at
            items.append(
                {**row, "id": len(items), "image_id": image, "category_id": names.index(name) + 1 if name else 0}
            )
            items[-1]["iscrowd"] = int(entry.number == 1)
    write(source / "coco.json", coco_json(images, items, names))


def write_csv(source: Path, entries: Sequence[Entry]) -> None:
    rows = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for entry in entries:
        name = f"{'./' * entry.copy}images/{entry.name}.jpg"
        rows += [f"{name},,,{category},{','.join(map(str, box))}" for category, box in entry.objects]
        rows += [] if entry.objects else [f"{name},,,,,,,"]
    write(source / "boxes.csv", "\n".join(rows))


def write_hf(source: Path, entries: Sequence[Entry]) -> None:
    rows = [{"file_name": f"images/{entry.name}.jpg", "objects": rows_of(entry)} for entry in entries]
    write(source / "metadata.jsonl", "\n".join(map(json.dumps, rows)))


def write_webdataset(source: Path, entries: Sequence[Entry]) -> None:
    """The JSON files are in tar files, and so are the pictures."""
    for copy in {entry.copy for entry in entries}:
        files = {
            f"images/{entry.name}.json": json.dumps({"objects": rows_of(entry)}).encode()
            for entry in entries
            if entry.copy == copy
        }
        if not copy:
            files |= {str(path.relative_to(source)): path.read_bytes() for path in source.rglob("*.*")}
        write(source.with_name("shards") / f"train-{copy}.tar", tar_of(files))


WRITERS: dict[str, Callable[[Path, Sequence[Entry]], None]] = {
    "voc": write_voc,
    "yolo": write_yolo,
    "coco": write_coco,
    "csv": write_csv,
    "hf": write_hf,
    "webdataset": write_webdataset,
}
assert WRITERS.keys() == READERS.keys(), "a format that is read is tested here"


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(held=sets)
def test_what_came_in_is_what_is_in_and_what_is_listed(name: str, held: list[Picture]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "s"
        owners = {}
        for number, picture in enumerate(held):
            for at, place in enumerate(PLACES[picture.place](*name_of(number))):
                data = data_of(picture.kind, number + 100 * at)
                owners[data] = number
                write(source / place, data)
        entries = entries_of(held)
        WRITERS[name](source, entries)
        imported = run(source.with_name("shards") if name == "webdataset" else source, shares={"all": 1.0})
        report = imported.report
        assert report.format == name
        said = [category for entry in entries for category, _ in entry.objects]
        assert report.objects.source == len(said)
        # Counted on disk, not taken from the report.
        cases = json.loads((imported.out / "import.json").read_bytes())["cases"]
        content = imported.contents["all"]
        written = [category for found in imported.boxes.values() for category, _ in found]
        assert sorted({*written}) == sorted(written)
        assert {*written} <= {*said} - {""}
        assert len(written) + sum(case["lost_objects"] for case in cases) == len(said)
        assert len(content["images"]) + sum(case["lost_pictures"] for case in cases) == report.pictures.source
        assert all(case["done"] == "dropped" for case in cases if case["lost_pictures"] or case["lost_objects"])
        assert {path.name for path in (imported.out / "images").iterdir()} == {*imported.boxes}
        # What is in is on its own picture; those that were copied byte for byte can be told.
        for file, found in imported.boxes.items():
            owner = owners.get((imported.out / "images" / file).read_bytes())
            assert owner is None or all(category.startswith(f"c{owner}") for category, _ in found)
        sound = {name for number, picture in enumerate(held) for name in plain_objects(number, picture)}
        crowds = {
            category for entry in entries for category, _ in entry.objects if name == "coco" and entry.number == 1
        }
        assert sound - crowds <= {*written}


def plain_objects(number: int, picture: Picture) -> list[str]:
    """Objects that nothing is wrong with: their picture is there under its name, once, and the box lies inside."""
    if picture.place != "as said" or picture.kind != "sound" or picture.is_doubled or not picture.is_annotated:
        return []
    return [
        f"c{number}{at}"
        for at, (named, (x_min, y_min, x_max, y_max)) in enumerate(picture.boxes)
        if named and 0 <= x_min < x_max - 1 <= SIZE[0] and 0 <= y_min < y_max - 1 <= SIZE[1] and math.isfinite(x_max)
    ]
