"""Pascal VOC: whole pixels counted from 1, in the devkit's folders, read by torchvision and supervision."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from detection.formats.exporting import export_set
from detection.formats.voc import ROOT, pixels_of
from generator.dataset.provenance import says_synthetic, xmp_packet
from tests.detection.exporters.sets import NAMES, write_set


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        ((0, 0, 40, 30), (1, 1, 40, 30)),
        ((4, 5, 14, 15), (5, 6, 14, 15)),
        ((0.4, 4.6, 9.2, 29.6), (1, 6, 9, 30)),
        ((39.8, 29.7, 40, 30), (40, 30, 40, 30)),  # never thinner than a pixel
        ((7.1, 7.1, 7.3, 7.3), (8, 8, 8, 8)),
    ],
)
def test_pixels_are_counted_from_one(box: tuple[float, float, float, float], pixels: tuple[int, int, int, int]) -> None:
    assert pixels_of(box, (40, 30)) == pixels


def test_lists_names_and_jpeg(tmp_path: Path) -> None:
    source = write_set(tmp_path / "pets")
    with Image.open(source / "images" / "ä.png") as picture:
        picture.save(source / "images" / "ä.png", xmp=xmp_packet(tool="t", description="d").encode())
    report = export_set(source, tmp_path / "out", "voc")
    root = tmp_path / "out" / ROOT
    lists = {
        path.stem: path.read_text(encoding="utf-8").splitlines() for path in (root / "ImageSets" / "Main").iterdir()
    }
    assert lists == {
        "train": ["a b", "x.y", "empty"],
        "val": ["ä"],
        "trainval": ["a b", "x.y", "empty", "ä"],
    }
    assert report.notes == ("3 pictures are written as JPEG 95: VOC's readers open .jpg only",)
    for path in (root / "JPEGImages").iterdir():
        with Image.open(path) as picture:
            assert (picture.format, picture.size) == ("JPEG", (40, 30))
    tree = ElementTree.parse(root / "Annotations" / "ä.xml")
    assert (tree.findtext("filename"), tree.findtext("object/name")) == ("ä.jpg", NAMES[0])


def test_classes_are_named_to_tools_that_know_the_challenge_only(tmp_path: Path) -> None:
    export_set(write_set(tmp_path / "pets"), tmp_path / "out", "voc")
    head, *lines = (tmp_path / "out" / ROOT / "labelmap.txt").read_text(encoding="utf-8").splitlines()
    assert head == "# label:color_rgb:parts:actions"
    assert lines == [f"{name}:::" for name in NAMES if ":" not in name]


def test_what_is_encoded_keeps_its_origin(tmp_path: Path) -> None:
    from PIL import PngImagePlugin

    source = write_set(tmp_path / "pets")
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp_packet(tool="t", description="d"))
    with Image.open(source / "images" / "ä.png") as picture:
        picture.load()
    picture.save(source / "images" / "ä.png", pnginfo=info)
    for form in ("voc", "crops"):
        export_set(source, tmp_path / form, form)
    assert says_synthetic(tmp_path / "voc" / ROOT / "JPEGImages" / "ä.jpg")
    assert not says_synthetic(tmp_path / "voc" / ROOT / "JPEGImages" / "a b.jpg")
    assert says_synthetic(tmp_path / "crops" / "val" / NAMES[0] / "ä-21.png")


def test_torchvision(tmp_path: Path) -> None:
    from torchvision.datasets import VOCDetection

    export_set(write_set(tmp_path / "pets"), tmp_path / "out", "voc")
    read = VOCDetection(str(tmp_path / "out"), year="2012", image_set="train")
    objects = [target["annotation"].get("object", []) for _, target in read]
    assert [[item["name"] for item in found] for found in objects] == [[*NAMES], [NAMES[1]], []]
    assert objects[0][0]["bndbox"] == {"xmin": "21", "ymin": "3", "xmax": "34", "ymax": "6"}


def test_supervision(tmp_path: Path) -> None:
    import supervision

    export_set(write_set(tmp_path / "pets"), tmp_path / "out", "voc")
    root = tmp_path / "out" / ROOT
    read = supervision.DetectionDataset.from_pascal_voc(str(root / "JPEGImages"), str(root / "Annotations"))
    found = {Path(path).stem: item for path, _, item in read}
    assert sorted(read.classes) == sorted(NAMES)
    assert found["a b"].xyxy.shape == (2, 4)
    # It takes one off every edge, also off those that include their pixel.
    assert np.abs(found["ä"].xyxy - [4, 5, 14, 15]).max() <= 1
