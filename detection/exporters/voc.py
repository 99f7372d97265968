"""Pascal VOC in the folders of the devkit, as torchvision.datasets.VOCDetection wants them.

VOCdevkit/VOC2012/Annotations/<name>.xml, JPEGImages/<name>.jpg, ImageSets/Main/<split>.txt:
http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html (sections 3 and 4). Boxes are whole pixels, the
first of which is called 1, both ends included: what covers x from 4 to 9.2 is xmin 5, xmax 9.

labelmap.txt beside them names the classes to CVAT and Datumaro, which else know the twenty of the challenge only:
https://docs.cvat.ai/docs/dataset_management/formats/format-voc/
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from detection.exporters.pixels import JPEG_QUALITY, encode, open_picture
from detection.exporters.types import Annotation, Picture, PictureSet
from detection.exporters.work import Work
from generator.foundation.storage import translate_os_errors

OPENING = """
from torchvision.datasets import VOCDetection
data = VOCDetection(".", year="2012", image_set="{split}")
"""
ROOT = "VOCdevkit/VOC2012"
# Our importer, and others, know by the word VOC that pixels are counted from 1.
_DATABASE = "boxpaint, as VOC2012"
_JPEG_START = b"\xff\xd8\xff"
# Characters that XML 1.0 does not allow, in no way of writing them.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(data: PictureSet, work: Work) -> None:
    """Lay the pictures, write annotations and lists. Raises DatasetError for a damaged picture, StorageError."""
    encoded = 0
    for picture in work.walk(data.pictures):
        place = f"{ROOT}/JPEGImages/{picture.stem}.jpg"
        if _is_jpeg(picture.path):
            work.lay(picture, place)
        else:
            image = open_picture(picture)
            work.write(place, encode(image, "JPEG", origin=image))
            encoded += 1
        work.write(f"{ROOT}/Annotations/{picture.stem}.xml", _annotation(picture))
    splits = data.splits()
    for split, pictures in splits.items():
        _write_list(work, split, pictures)
    if {"train", "val"} <= splits.keys() and "trainval" not in splits:
        _write_list(work, "trainval", [*splits["train"], *splits["val"]])
    work.write(f"{ROOT}/labelmap.txt", _label_map([category.name for category in data.categories]))
    if encoded:
        work.notes.append(f"{encoded} pictures are written as JPEG {JPEG_QUALITY}: VOC's readers open .jpg only")


def pixels_of(box_xyxy: tuple[float, float, float, float], size_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """Name the first and last pixels of a box, counted from 1: xmin, ymin, xmax, ymax.

    >>> pixels_of((0, 4.6, 9.2, 30), (40, 30))
    (1, 6, 9, 30)
    """
    x_min, y_min, x_max, y_max = box_xyxy
    (left, right), (top, bottom) = _span(x_min, x_max, size_wh[0]), _span(y_min, y_max, size_wh[1])
    return left, top, right, bottom


def _span(low: float, high: float, side: int) -> tuple[int, int]:
    """Name the first and last pixel between two edges; where rounding leaves none, the one in their middle."""
    first, last = round(low) + 1, round(high)
    if last < first:
        first = last = min(math.floor((low + high) / 2), side - 1) + 1
    return first, last


def _label_map(names: Sequence[str]) -> bytes:
    """Names without colours, parts and actions; one with a colon, which ends a name there, cannot be told."""
    lines = [f"{' '.join(name.split())}:::" for name in names if ":" not in name]
    return "\n".join(["# label:color_rgb:parts:actions", *lines, ""]).encode()


def _annotation(picture: Picture) -> bytes:
    root = ElementTree.Element("annotation")
    _add(root, folder="VOC2012", filename=f"{picture.stem}.jpg")
    _add(ElementTree.SubElement(root, "source"), database=_DATABASE)
    _add(ElementTree.SubElement(root, "size"), width=picture.width, height=picture.height, depth=3)
    _add(root, segmented=0)
    for item in picture.objects:
        _add_object(ElementTree.SubElement(root, "object"), item, (picture.width, picture.height))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _add_object(element: ElementTree.Element, item: Annotation, size_wh: tuple[int, int]) -> None:
    _add(element, name=item.category.name, pose="Unspecified", truncated=0, difficult=0)
    x_min, y_min, x_max, y_max = pixels_of(item.box_xyxy, size_wh)
    _add(ElementTree.SubElement(element, "bndbox"), xmin=x_min, ymin=y_min, xmax=x_max, ymax=y_max)


def _add(parent: ElementTree.Element, **texts: str | int) -> None:
    for name, text in texts.items():
        ElementTree.SubElement(parent, name).text = _FORBIDDEN.sub(" ", str(text))


def _write_list(work: Work, split: str, pictures: list[Picture]) -> None:
    work.write(f"{ROOT}/ImageSets/Main/{split}.txt", "".join(f"{picture.stem}\n" for picture in pictures).encode())


def _is_jpeg(path: Path) -> bool:
    with translate_os_errors(path), path.open("rb") as stream:
        return stream.read(len(_JPEG_START)) == _JPEG_START
