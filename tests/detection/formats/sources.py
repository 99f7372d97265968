"""Small data sets as other people lay them out: real pictures, annotation files written by hand."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detection.formats.importing import ImportOptions, ImportReport, import_set
from generator.dataset.validation import validate_dataset
from generator.foundation.errors import BoxpaintError

SIZE = (40, 30)
ALL = {"all": 1.0}
"""No splits to make: shares of an import."""
Box = tuple[Any, Any, Any, Any]


def draw(seed: int, size_wh: tuple[int, int] = SIZE, mode: str = "RGB") -> Image.Image:
    """A picture that is like no other: coarse noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize(size_wh, Image.Resampling.BICUBIC).convert(mode)


def encode(picture: Image.Image, kind: str = "JPEG", orientation: int | None = None) -> bytes:
    stream = io.BytesIO()
    exif = Image.Exif()
    if orientation is not None:
        exif[274] = orientation
    picture.save(stream, kind, exif=exif)
    return stream.getvalue()


def write(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_pictures(folder: Path, *names: str, seed: int = 0) -> None:
    """JPEG and PNG files by their suffix."""
    for number, name in enumerate(names):
        kind = "PNG" if name.lower().endswith(".png") else "JPEG"
        write(folder / name, encode(draw(seed + number), kind))


def lay_out(source: Path, pictures: str, files: Mapping[str, bytes | str]) -> Path:
    """Write pictures, named with blanks between them, and annotation files below `source`."""
    write_pictures(source, *pictures.split())
    for name, content in files.items():
        write(source / name, content)
    return source


def voc_xml(
    filename: str,
    objects: Sequence[tuple[str, Box]],
    *,
    size_wh: tuple[int, int] | None = SIZE,
    database: str = "Unknown",
    extra: str = "",
) -> str:
    size = f"<size><width>{size_wh[0]}</width><height>{size_wh[1]}</height><depth>3</depth></size>" if size_wh else ""
    items = "".join(
        f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>"
        f"<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>\n"
        for name, box in objects
    )
    source = f"<source><database>{database}</database></source>"
    return f"<annotation>\n<filename>{filename}</filename>{source}{size}\n{items}{extra}</annotation>\n"


def coco_json(
    images: Sequence[Mapping[str, Any]], annotations: Sequence[Mapping[str, Any]], names: Sequence[str] = ("cat", "dog")
) -> str:
    """Images get width and height, annotations area and iscrowd, where they do not say otherwise."""
    content = {
        "images": [{"width": SIZE[0], "height": SIZE[1], **image} for image in images],
        "annotations": [{"area": 1, "iscrowd": 0, **item} for item in annotations],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, start=1)],
    }
    return json.dumps(content)


def run(source: Path, **options: Any) -> Imported:
    """Import beside the source, and check what must hold of every import."""
    out = source.parent / f"{source.name}.imported"
    report = import_set(source, out, ImportOptions(**options))
    imported = Imported(report, out)
    assert report.pictures.written == sum(len(content["images"]) for content in imported.contents.values())
    assert report.objects.written == sum(len(content["annotations"]) for content in imported.contents.values())
    assert not validate_dataset(out).faults
    assert json.loads((out / "import.json").read_bytes()) == json.loads(json.dumps(report.to_json()))
    return imported


def refused(source: Path, *words: str, **options: Any) -> None:
    """Import, which fails with all of these words and leaves nothing behind."""
    with pytest.raises(BoxpaintError) as raised:
        run(source, **options)
    assert all(word in str(raised.value) for word in words), str(raised.value)
    assert not source.with_name(f"{source.name}.imported").exists()


class Imported:
    """An import as it lies on disk."""

    def __init__(self, report: ImportReport, out: Path):
        self.report = report
        self.out = out
        files = sorted((out / "annotations").iterdir())
        self.contents: dict[str, dict[str, Any]] = {
            file.stem.removeprefix("instances_"): json.loads(file.read_bytes()) for file in files
        }

    @property
    def cases(self) -> list[tuple[str, str, str]]:
        """(file, what, done) of every case."""
        return [(case.file, case.what, case.done) for case in self.report.cases]

    @property
    def what(self) -> list[str]:
        return [case.what for case in self.report.cases]

    @property
    def splits(self) -> dict[str, list[str]]:
        """Split -> names of its pictures."""
        return {split: [image["file_name"] for image in content["images"]] for split, content in self.contents.items()}

    @property
    def boxes(self) -> dict[str, list[tuple[str, list[float]]]]:
        """Picture -> (category, x_min y_min x_max y_max) of its objects."""
        found: dict[str, list[tuple[str, list[float]]]] = {}
        for content in self.contents.values():
            names = {item["id"]: item["name"] for item in content["categories"]}
            for image in content["images"]:
                found[image["file_name"]] = [
                    (names[item["category_id"]], _xyxy(item["bbox"]))
                    for item in content["annotations"]
                    if item["image_id"] == image["id"]
                ]
        return found

    def picture(self, name: str) -> Image.Image:
        with Image.open(self.out / "images" / name) as picture:
            picture.load()
        return picture


def _xyxy(bbox: Sequence[float]) -> list[float]:
    x, y, width, height = bbox
    return [round(value, 3) for value in (x, y, x + width, y + height)]
