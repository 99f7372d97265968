"""Pascal VOC: one XML file a picture, as the devkit, LabelImg, CVAT and Roboflow write it.

http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html (sections 3 and 4): Annotations/, JPEGImages/,
ImageSets/Main/<split>.txt; boxes are xmin, ymin, xmax, ymax with the first pixel called 1, both ends included. LabelImg
and what followed it write the same tags with plain edges, the first pixel being 0.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import PurePosixPath
from xml.etree import ElementTree

from detection.datasets.picture_names import portable_path
from detection.datasets.split_names import split_of_folders, split_of_word
from detection.importers.files import SourceFiles, without_annotation
from detection.importers.lists import apply_claims, claims_of_list, find_lists
from detection.importers.matching import Match, loose_stem
from detection.importers.types import Case, RawObject, RawPicture, RawSet
from generator.foundation.text import NotTextError, decode_text

LOOKS_FOR = "XML files with <annotation>"
_MARK = b"<annotation"
_ENCODING = re.compile(rb"""(?:\xef\xbb\xbf)?\s*<\?xml[^>]*\sencoding\s*=\s*["']([\w.:-]+)["']""", re.ASCII)
# Lists of other tasks, in the devkit.
_OTHER_TASKS = ("layout", "segmentation", "action")


def matches(files: SourceFiles) -> str | None:
    """Say what speaks for VOC; None when nothing does."""
    xml_files = files.with_suffix(".xml")
    return f"{len(xml_files)} XML files" if any(_MARK in files.read_bytes(path).lower() for path in xml_files) else None


def read(files: SourceFiles) -> RawSet:
    """Read every annotation, then the lists. Nothing of what a file holds is believed yet."""
    pictures: list[RawPicture] = []
    cases: list[Case] = []
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
            count = data.lower().count(b"<object>")
            lost.update(own.rivals if own.path is None else [own.path])
            what = "an annotation that is no XML; its picture is left out"
            cases.append(
                Case(file=str(path), what=what, found=str(error), done="dropped", lost_pictures=1, lost_objects=count)
            )
            continue
        for element in root.iter():
            element.tag = element.tag.lower()
        databases.add(root.findtext("source/database") or "")
        difficult += sum(item.findtext("difficult", "").strip() == "1" for item in root.findall("object"))
        picture, found = _read_picture(files, path, root, own)
        pictures.append(picture)
        cases += found
    given_up = [RawPicture(name="", path=None, file="", rivals=tuple(lost))]
    empty, left_out = without_annotation(files, [*pictures, *given_up])
    lists = find_lists(files, (picture.name for picture in pictures))
    lists = [path for path in lists if not any(part.lower() in _OTHER_TASKS for part in path.parts)]
    claims = [claim for path in lists for claim in claims_of_list(files, path, split_of_word(path.stem) or "")]
    # trainval.txt repeats train.txt and val.txt.
    halves = {claim.name for claim in claims if claim.file.stem.lower() in ("train", "val")}
    claims = [claim for claim in claims if claim.file.stem.lower() != "trainval" or claim.name not in halves]
    pictures, doubled = apply_claims(files, [*pictures, *empty], claims, lost)
    if difficult:
        cases.append(Case(file=".", what="marked as difficult: taken as any other", found=str(difficult), done="kept"))
    return RawSet(
        categories=tuple(sorted({item.category for picture in pictures for item in picture.objects} - {""})),
        pictures=tuple(pictures),
        cases=(*cases, *left_out, *doubled),
        one_based=_counts_from_one(databases, pictures),
    )


def _read_picture(
    files: SourceFiles, path: PurePosixPath, root: ElementTree.Element, own: Match
) -> tuple[RawPicture, list[Case]]:
    """Find the picture of an annotation: the one with its own name, before the one that it speaks of.

    People rename files and leave what is written in them. Of two pictures of its own name, what is written decides.
    """
    named = (root.findtext("filename") or "").strip()
    match = files.find_own(path, named) if named else own
    if match.path is None or loose_stem(match.path.name) != loose_stem(path.stem):
        match = own if own != Match() else replace(match, looseness=match.looseness + 1)
    elif match.path == own.path:
        match = min(own, match, key=lambda each: each.looseness)
    cases = match.cases(named, path)
    spoken = portable_path(named).name.lower()
    if spoken and match is own and match.path is not None and match.path.name.lower() != spoken:
        what = "an annotation that speaks of another file name"
        cases.append(Case(file=str(path), what=what, found=f"{named}: taken for {match.path}", done="mended"))
    picture = RawPicture(
        name=str(path.parent / portable_path(named or path.stem)),
        path=match.path,
        file=str(path),
        size_wh=_size(root),
        split=split_of_folders(path) or (split_of_folders(match.path) if match.path else None),
        objects=tuple(_read_object(item, number) for number, item in enumerate(root.findall("object"), start=1)),
        looseness=match.looseness,
        rivals=match.rivals,
    )
    return picture, cases


def _read_object(item: ElementTree.Element, number: int) -> RawObject:
    box = item.find("bndbox")
    sides = [_number(box, name) for name in ("xmin", "ymin", "xmax", "ymax")]
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
    points = [_number(element, f"{axis}{number}") for number in range(1, count + 1) for axis in "xy"]
    return [points] if count >= 3 and all(math.isfinite(value) for value in points) else None


def _number(parent: ElementTree.Element | None, name: str) -> float:
    try:
        return float((parent.findtext(name) or "") if parent is not None else "")
    except ValueError:
        return math.nan


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    size = root.find("size")
    width, height = _number(size, "width"), _number(size, "height")
    return (int(width), int(height)) if math.isfinite(width) and math.isfinite(height) else None


def _counts_from_one(databases: set[str], pictures: list[RawPicture]) -> bool:
    """Say whether it is the devkit's own kind: it names VOC as its database, and no edge is 0."""
    sides = (min(item.box) for picture in pictures for item in picture.objects)
    return any("voc" in name.lower() for name in databases) and not any(side == 0 for side in sides)
