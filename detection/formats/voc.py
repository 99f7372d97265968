"""Pascal VOC: one XML file a picture, as the devkit, LabelImg, CVAT and Roboflow write it.

http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html (sections 3 and 4): Annotations/, JPEGImages/,
ImageSets/Main/<split>.txt; boxes are xmin, ymin, xmax, ymax with the first pixel called 1, both ends included: what
covers x from 4 to 9.2 is xmin 5, xmax 9. LabelImg and what followed it write the same tags with plain edges, the first
pixel being 0.

Written in the folders of the devkit, VOCdevkit/VOC2012, as torchvision.datasets.VOCDetection wants them. labelmap.txt
beside them names the classes to CVAT and Datumaro, which else know the twenty of the challenge only:
https://docs.cvat.ai/docs/dataset_management/formats/format-voc/
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from detection.datasets.names import portable_path, split_of_folders
from detection.datasets.picture_set import Annotation, Picture, PictureSet
from detection.datasets.read import open_rgb
from detection.formats.matching import Match, loose_stem
from detection.formats.pictures import JPEG_QUALITY, encode
from detection.formats.raw import Cases, RawObject, RawPicture, RawSet, categories_of, number_of, size_of
from detection.formats.source import Reader, SourceFiles, without_annotation
from detection.formats.splits import apply_claims, claims_of_lists
from detection.formats.target import Target, Writer
from generator.foundation.storage import translate_os_errors
from generator.foundation.text import NotTextError, decode_text

ROOT = "VOCdevkit/VOC2012"
# Our importer, and others, know by the word VOC that pixels are counted from 1.
_DATABASE = "boxpaint, as VOC2012"
_JPEG_START = b"\xff\xd8\xff"
# Characters that XML 1.0 does not allow, in no way of writing them.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARK = b"<annotation"
_ENCODING = re.compile(rb"""(?:\xef\xbb\xbf)?\s*<\?xml[^>]*\sencoding\s*=\s*["']([\w.:-]+)["']""", re.ASCII)
_OTHER_TASKS = ("layout", "segmentation", "action")


def matches(files: SourceFiles) -> str | None:
    """Say what speaks for VOC; None when nothing does."""
    xml_files = files.with_suffix(".xml")
    return f"{len(xml_files)} XML files" if any(_MARK in files.read_bytes(path).lower() for path in xml_files) else None


def read(files: SourceFiles) -> RawSet:
    """Read every annotation, then the lists. Nothing of what a file holds is believed yet."""
    pictures: list[RawPicture] = []
    cases = Cases()
    lost: set[PurePosixPath] = set()
    databases: set[str] = set()
    difficult = 0
    for path in files.with_suffix(".xml"):
        data = files.read_bytes(path)
        own = files.find_own(path)
        if _MARK not in data.lower() and own == Match():
            continue  # XML of something else
        try:
            # Expat itself knows neither GB2312 nor any other encoding of several bytes.
            declared = _ENCODING.match(data)
            text = decode_text(data, declared=declared[1].decode("ascii") if declared else "utf-8")
            root = ElementTree.fromstring(text)
        except (ElementTree.ParseError, NotTextError) as error:
            lost.update(own.rivals if own.path is None else [own.path])
            what, count = "an annotation that is no XML; its picture is left out", data.lower().count(b"<object>")
            cases.dropped(path, what, error, pictures=1, objects=count)
            continue
        for element in root.iter():
            element.tag = element.tag.lower()
        databases.add(root.findtext("source/database") or "")
        difficult += sum(item.findtext("difficult", "").strip() == "1" for item in root.findall("object"))
        pictures.append(_read_picture(files, path, root, own, cases))
    if difficult:
        cases.kept(".", "marked as difficult: taken as any other", difficult)
    given_up = RawPicture(name="", file="", rivals=tuple(lost))
    empty = without_annotation(files, [*pictures, given_up], cases)
    # Lists of other tasks lie in the devkit, too; trainval.txt repeats train.txt and val.txt.
    claims = claims_of_lists(files, (picture.name for picture in pictures))
    claims = [claim for claim in claims if not any(part.lower() in _OTHER_TASKS for part in claim.file.parts)]
    halves = {claim.name for claim in claims if claim.file.stem.lower() in ("train", "val")}
    claims = [claim for claim in claims if claim.file.stem.lower() != "trainval" or claim.name not in halves]
    pictures = apply_claims(files, [*pictures, *empty], claims, cases, lost)
    return RawSet(
        categories=categories_of(pictures),
        pictures=pictures,
        cases=cases,
        one_based=_counts_from_one(databases, pictures),
    )


def _read_picture(
    files: SourceFiles, path: PurePosixPath, root: ElementTree.Element, own: Match, cases: Cases
) -> RawPicture:
    """Find the picture of an annotation: the one with its own name, before the one that it speaks of.

    People rename files and leave what is written in them. Of two pictures of its own name, what is written decides.
    """
    named = (root.findtext("filename") or "").strip()
    match = files.find_own(path, named) if named else own
    if match.path is None or loose_stem(match.path.name) != loose_stem(path.stem):
        match = own if own != Match() else replace(match, looseness=match.looseness + 1)
    elif match.path == own.path:
        match = min(own, match, key=lambda each: each.looseness)
    picture = RawPicture(
        name=str(path.parent / portable_path(named or path.stem)),
        file=str(path),
        size_wh=size_of(root.findtext("size/width"), root.findtext("size/height")),
        split=split_of_folders(path) or split_of_folders(match.path),
        objects=[_read_object(item, number) for number, item in enumerate(root.findall("object"), start=1)],
    )
    picture = match.of(picture, cases, named)
    spoken = portable_path(named).name.lower()
    if spoken and match is own and match.path is not None and match.path.name.lower() != spoken:
        cases.mended(path, "an annotation that speaks of another file name", f"{named}: taken for {match.path}")
    return picture


def _read_object(item: ElementTree.Element, number: int) -> RawObject:
    box = item.find("bndbox")
    sides = [number_of(box.findtext(name) if box is not None else "") for name in ("xmin", "ymin", "xmax", "ymax")]
    name = (item.findtext("name") or "").strip()
    return RawObject(
        category=name,
        box=(sides[0], sides[1], sides[2], sides[3]),
        place=f"object {number} {name}".strip(),
        segmentation=_polygon(item.find("polygon")),
    )


def _polygon(element: ElementTree.Element | None) -> list[list[float]] | None:
    """Read Roboflow's <polygon><x1>..</x1><y1>..</y1><x2>...; None unless it is whole."""
    if element is None:
        return None
    count = sum(child.tag.startswith("x") for child in element)
    points = [number_of(element.findtext(f"{axis}{number}")) for number in range(1, count + 1) for axis in "xy"]
    return [points] if count >= 3 and all(math.isfinite(value) for value in points) else None


def _counts_from_one(databases: set[str], pictures: list[RawPicture]) -> bool:
    """Say whether it is the devkit's own kind: it names VOC as its database, and no edge is 0."""
    sides = (min(item.box) for picture in pictures for item in picture.objects)
    return any("voc" in name.lower() for name in databases) and not any(side == 0 for side in sides)


def write(data: PictureSet, target: Target) -> None:
    """Link the pictures, write annotations and lists. Raises DatasetError for a damaged picture, StorageError."""
    encoded = 0
    for picture in target.track(data.pictures):
        place = f"{ROOT}/JPEGImages/{picture.stem}.jpg"
        if _is_jpeg(picture.path):
            target.link(picture, place)
        else:
            image = open_rgb(picture.path, labelled_wh=picture.size_wh)
            target.write(place, encode(image, "JPEG", origin=image))
            encoded += 1
        target.write(f"{ROOT}/Annotations/{picture.stem}.xml", _annotation(picture))
    splits = data.splits()
    for split, pictures in splits.items():
        _write_list(target, split, pictures)
    if {"train", "val"} <= splits.keys() and "trainval" not in splits:
        _write_list(target, "trainval", [*splits["train"], *splits["val"]])
    target.write(f"{ROOT}/labelmap.txt", _label_map([category.name for category in data.categories]))
    if encoded:
        target.notes.append(f"{encoded} pictures are written as JPEG {JPEG_QUALITY}: VOC's readers open .jpg only")


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
        _add_object(ElementTree.SubElement(root, "object"), item, picture.size_wh)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _add_object(element: ElementTree.Element, item: Annotation, size_wh: tuple[int, int]) -> None:
    _add(element, name=item.category.name, pose="Unspecified", truncated=0, difficult=0)
    x_min, y_min, x_max, y_max = pixels_of(item.box_xyxy, size_wh)
    _add(ElementTree.SubElement(element, "bndbox"), xmin=x_min, ymin=y_min, xmax=x_max, ymax=y_max)


def _add(parent: ElementTree.Element, **texts: str | int) -> None:
    for name, text in texts.items():
        ElementTree.SubElement(parent, name).text = _FORBIDDEN.sub(" ", str(text))


def _write_list(target: Target, split: str, pictures: list[Picture]) -> None:
    target.write(f"{ROOT}/ImageSets/Main/{split}.txt", "".join(f"{picture.stem}\n" for picture in pictures).encode())


def _is_jpeg(path: Path) -> bool:
    with translate_os_errors(path), path.open("rb") as stream:
        return stream.read(len(_JPEG_START)) == _JPEG_START


READER = Reader(matches=matches, read=read, looks_for="XML files with <annotation>")
WRITER = Writer(
    write=write,
    opening="""
from torchvision.datasets import VOCDetection
data = VOCDetection(".", year="2012", image_set="{split}")
""",
)
