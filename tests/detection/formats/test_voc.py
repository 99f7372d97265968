"""Pascal VOC as the devkit, LabelImg, CVAT and Roboflow lay it out, faults included.

Pascal VOC: whole pixels counted from 1, in the devkit's folders, read by torchvision and supervision."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from detection.formats.exporting import ExportReport, export_set
from detection.formats.voc import ROOT, pixels_of
from generator.dataset.provenance import says_synthetic, xmp_packet
from tests.detection.formats.sets import NAMES, write_set
from tests.detection.formats.sources import ALL, Box, draw, encode, lay_out, run, voc_xml, write, write_pictures

CAT = ("cat", (4, 5, 14, 25))


def test_one_folder_as_labelimg_leaves_it(source: Path) -> None:
    files = {
        "a.xml": voc_xml("a.jpg", [CAT, ("dog", (20, 2, 39.5, 12))]),
        "b.xml": voc_xml("b.png", [("dog", (0, 0, 40, 30))]),
        "predefined_classes.txt": "dog\nperson\ncat\n",
    }
    imported = run(lay_out(source, "a.jpg b.png c.jpg", files), shares=ALL)
    assert imported.report.format == "voc"
    assert imported.boxes == {
        "a.jpg": [("cat", [4, 5, 14, 25]), ("dog", [20, 2, 39.5, 12])],
        "b.png": [("dog", [0, 0, 40, 30])],
        "c.jpg": [],
    }
    assert imported.cases == [("c.jpg", "no annotation: a picture without objects", "kept")]
    assert (imported.out / "images" / "b.png").read_bytes() == (source / "b.png").read_bytes()


DEVKIT_XML = """<annotation>
	<folder>VOC2012</folder>
	<filename>2007_000027.jpg</filename>
	<source><database>The VOC2007 Database</database><annotation>PASCAL VOC2007</annotation></source>
	<size><width>40</width><height>30</height><depth>3</depth></size>
	<segmented>0</segmented>
	<object>
		<name>person</name><pose>Unspecified</pose><truncated>0</truncated><difficult>1</difficult>
		<bndbox><xmin>1</xmin><ymin>11</ymin><xmax>40</xmax><ymax>30</ymax></bndbox>
		<part><name>head</name><bndbox><xmin>9</xmin><ymin>12</ymin><xmax>12</xmax><ymax>15</ymax></bndbox></part>
	</object>
</annotation>
"""


def test_the_devkit_with_its_lists_masks_and_pixels_from_one(tmp_path: Path) -> None:
    voc = tmp_path / "VOCdevkit" / "VOC2012"
    names = ["2007_000027", "2007_000032", "2007_000033", "2007_000039"]
    write_pictures(voc / "JPEGImages", *(f"{name}.jpg" for name in names))
    write_pictures(voc / "SegmentationClass", "2007_000027.png", seed=9)
    write(voc / "Annotations" / "2007_000027.xml", DEVKIT_XML)
    for name in names[1:]:
        xml = voc_xml(f"{name}.jpg", [("dog", (2, 3, 3, 3))], database="The VOC2007 Database")
        write(voc / "Annotations" / f"{name}.xml", xml)
    lists = voc / "ImageSets" / "Main"
    write(lists / "train.txt", "2007_000027\n2007_000032\n")
    write(lists / "val.txt", "2007_000033\n")
    write(lists / "trainval.txt", "2007_000027\n2007_000032\n2007_000033\n")
    write(lists / "dog_train.txt", "2007_000027 -1\n2007_000032  1\n")
    write(voc / "ImageSets" / "Segmentation" / "val.txt", "2007_000027\n")
    imported = run(tmp_path / "VOCdevkit")
    assert imported.splits == {
        "train": ["2007_000027.jpg", "2007_000032.jpg"],
        "val": ["2007_000033.jpg"],
        "unlisted": ["2007_000039.jpg"],
    }
    # 1-based and both ends included: pixel 2 to 3, row 3, are two pixels of one row.
    assert imported.boxes["2007_000027.jpg"] == [("person", [0, 10, 40, 30])]
    assert imported.boxes["2007_000032.jpg"] == [("dog", [1, 2, 3, 3])]
    assert imported.cases == [
        (".", "marked as difficult: taken as any other", "kept"),
        ("VOC2012/SegmentationClass", "pictures that belong to no annotation", "dropped"),
        (".", "pixels counted from 1: one taken off the left and upper edges", "mended"),
        (".", "pictures that are in no split of the source: they are in 'unlisted'", "kept"),
    ]
    assert (imported.report.pictures.source, imported.report.pictures.written) == (5, 4)


@pytest.mark.parametrize(
    ("database", "first_pixel", "box", "expected"),
    [
        ("Unknown", None, (1, 1, 10, 10), [1, 1, 10, 10]),
        ("The VOC2012 Database", None, (1, 1, 10, 10), [0, 0, 10, 10]),
        ("The VOC2012 Database", None, (0, 1, 10, 10), [0, 1, 10, 10]),  # an edge at 0: nobody counted from 1
        ("The VOC2012 Database", 0, (1, 1, 10, 10), [1, 1, 10, 10]),
        ("Unknown", 1, (1, 1, 10, 10), [0, 0, 10, 10]),
    ],
)
def test_the_first_pixel(
    source: Path, database: str, first_pixel: int | None, box: tuple[int, int, int, int], expected: list[int]
) -> None:
    lay_out(source, "a.jpg", {"a.xml": voc_xml("a.jpg", [("cat", box)], database=database)})
    assert run(source, shares=ALL, first_pixel=first_pixel).boxes["a.jpg"] == [("cat", expected)]


def test_lists_beside_the_folders_as_in_bccd(source: Path) -> None:
    files = {f"annotations/{name}.xml": voc_xml(f"{name}.jpg", [CAT]) for name in "abcd"}
    lists = {"train.txt": "a\nb.jpg\n\ngone\n", "val.txt": "images/c.jpg\nb\n", "test.txt": "d\n"}
    imported = run(lay_out(source, "images/a.jpg images/b.jpg images/c.jpg images/d.jpg", {**files, **lists}))
    assert imported.splits == {"train": ["a.jpg"], "val": ["b.jpg", "c.jpg"], "test": ["d.jpg"]}
    assert [(case.file, case.place, case.what, case.found) for case in imported.report.cases] == [
        ("images/b.jpg", "", "a picture in two splits", "train, val: taken as val"),
        ("train.txt", "line 4", "a picture that is missing", "gone"),
    ]
    assert (imported.report.pictures.source, imported.report.pictures.written) == (5, 4)


def test_folders_of_splits_and_equal_names_in_them(source: Path) -> None:
    for number, folder in enumerate(("train", "valid")):
        write_pictures(source / folder, "1.jpg", f"{folder}.jpg", seed=10 * number)
        write(source / folder / "1.xml", voc_xml("1.jpg", [("cat", (number, 0, 10, 10))]))
        write(source / folder / f"{folder}.xml", voc_xml(f"{folder}.jpg", []))
    imported = run(source)
    assert imported.splits == {"train": ["train_1.jpg", "train.jpg"], "val": ["valid_1.jpg", "valid.jpg"]}
    assert imported.boxes["train_1.jpg"] == [("cat", [0, 0, 10, 10])]
    assert imported.boxes["valid_1.jpg"] == [("cat", [1, 0, 10, 10])]
    assert imported.what == ["a name that two pictures have: the folder is put before it"] * 2


FAULTS = {
    # objects of a.xml -> boxes that come in, and the cases
    "reversed": ([("cat", (14, 25, 4, 5))], [[4, 5, 14, 25]], ["a box from right to left or from bottom to top"]),
    "beyond": ([("cat", (-3, 5, 45, 25))], [[0, 5, 40, 25]], ["a box beyond the edge of its picture"]),
    "rounded": ([("cat", (-0.2, 5, 40.4, 25))], [[0, 5, 40, 25]], []),
    "outside": ([("cat", (41, 5, 50, 25))], [], ["a box outside of its picture"]),
    "no area": ([("cat", (7, 5, 7, 25))], [], ["a box without an area"]),
    "not a number": ([("cat", ("nan", 5, 7, 25))], [], ["a box that is not four numbers"]),
    "not even a word": ([("cat", ("", 5, 7, 25))], [], ["a box that is not four numbers"]),
    "endless": ([("cat", (1, 5, "inf", 25))], [], ["a box that is not four numbers"]),
    "no class": ([("  ", (1, 5, 10, 25))], [], ["an object without a class"]),
    "twice": ([CAT, CAT], [[4, 5, 14, 25]], ["the same box of the same class twice"]),
}


@pytest.mark.parametrize(("objects", "boxes", "what"), FAULTS.values(), ids=FAULTS)
def test_boxes_are_mended_or_dropped_and_listed(
    source: Path, objects: list[tuple[str, Box]], boxes: list[list[float]], what: list[str]
) -> None:
    files = {"a.xml": voc_xml("a.jpg", objects), "b.xml": voc_xml("b.jpg", [CAT])}
    imported = run(lay_out(source, "a.jpg b.jpg", files), shares=ALL)
    assert [box for _, box in imported.boxes["a.jpg"]] == boxes
    assert imported.what == what
    assert (imported.report.objects.source, imported.report.objects.written) == (len(objects) + 1, len(boxes) + 1)


def test_files_that_are_broken_missing_or_misnamed(source: Path) -> None:
    files = {
        "a.xml": voc_xml("a.jpg", [CAT], size_wh=(800, 600)),
        "broken.xml": voc_xml("broken.jpg", [CAT, CAT]).replace("</annotation>", ""),
        "empty.xml": "",
        "renamed.xml": voc_xml("IMG_0001.jpg", [CAT]),
        "other.xml": voc_xml("other.jpg", [CAT]),
        "gone.xml": voc_xml("gone.jpg", [CAT, CAT, CAT]),
        "torn.xml": voc_xml("torn.jpg", [CAT]),
        "torn.jpg": encode(draw(9))[:-300],
        "pom.xml": "<project></project>",
    }
    imported = run(lay_out(source, "a.jpg broken.jpg empty.jpg renamed.jpg other.png", files), shares=ALL)
    assert sorted(imported.boxes) == ["a.jpg", "other.png", "renamed.jpg"]
    listed = {
        (case.file, case.what, case.done, case.lost_pictures, case.lost_objects) for case in imported.report.cases
    }
    assert listed == {
        ("a.xml", "a size in the annotation that is not the picture's", "mended", 0, 0),
        ("broken.xml", "an annotation that is no XML; its picture is left out", "dropped", 1, 2),
        ("empty.xml", "an annotation that is no XML; its picture is left out", "dropped", 1, 0),
        ("renamed.xml", "an annotation that speaks of another file name", "mended", 0, 0),
        ("other.xml", "an annotation that speaks of another file name", "mended", 0, 0),
        ("gone.xml", "a picture that is missing", "dropped", 1, 3),
        ("torn.xml", "a picture that cannot be read", "dropped", 1, 1),
    }
    assert (imported.report.pictures.source, imported.report.pictures.written) == (7, 3)
    assert (imported.report.objects.source, imported.report.objects.written) == (9, 3)


def test_two_annotations_of_one_picture_and_two_pictures_of_one_annotation(source: Path) -> None:
    files = {f"xml/{name}.xml": voc_xml(f"{name}.jpg", [CAT]) for name in "abcd"}
    more = {"more/b.xml": voc_xml("b.jpg", [("dog", (1, 1, 5, 5))]), "more/c.xml": voc_xml("c.jpg", [CAT])}
    copy = {"y/d.jpg": encode(draw(3))}
    imported = run(lay_out(source, "x/a.jpg x/b.jpg x/c.jpg x/d.jpg y/a.jpg", {**files, **more, **copy}), shares=ALL)
    # Whose labels are those of a? Those of c and d are the same whichever is taken. None of a and b has no objects.
    assert imported.boxes == {"c.jpg": [("cat", [4, 5, 14, 25])], "d.jpg": [("cat", [4, 5, 14, 25])]}
    assert sorted((case.file, case.what) for case in imported.report.cases) == [
        ("more/b.xml", "a picture that several names may mean: nobody knows whose labels these are"),
        ("xml/a.xml", "a name that several pictures have: nobody knows which one is meant"),
        ("xml/b.xml", "a picture that several names may mean: nobody knows whose labels these are"),
        ("xml/c.xml", "a picture annotated twice: the other annotation is taken"),
        ("xml/d.xml", "a picture of which there are copies: the first is taken"),
    ]


def test_tags_in_capitals(source: Path) -> None:
    text = re.sub("<[^>]+>", lambda tag: tag[0].upper(), voc_xml("a.jpg", [CAT]))
    imported = run(lay_out(source, "a.jpg", {"a.XML": text}), shares=ALL)
    assert imported.boxes == {"a.jpg": [("cat", [4, 5, 14, 25])]}
    assert not imported.cases


def test_polygons_of_roboflow(source: Path) -> None:
    points = "".join(
        f"<x{number}>{x}</x{number}><y{number}>{y}</y{number}>"
        for number, (x, y) in enumerate([(4, 5), (14, 5), (14, 25), (4, 25)], start=1)
    )
    xml = voc_xml("a.jpg", [CAT]).replace("</bndbox>", f"</bndbox><polygon>{points}</polygon>")
    (item,) = run(lay_out(source, "a.jpg", {"a.xml": xml}), shares=ALL).contents["all"]["annotations"]
    assert item["segmentation"] == [[4, 5, 14, 5, 14, 25, 4, 25]]
    assert item["area"] == 200


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


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportReport]:
    """The folder and the report of an export; of its pictures ä.png says that it is synthetic."""
    folder = tmp_path_factory.mktemp("voc")
    source = write_set(folder / "pets")
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp_packet(tool="t", description="d"))
    with Image.open(source / "images" / "ä.png") as picture:
        picture.load()
    picture.save(source / "images" / "ä.png", pnginfo=info)
    return folder / "out", export_set(source, folder / "out", "voc")


def test_lists_names_and_jpeg(exported: tuple[Path, ExportReport]) -> None:
    root = exported[0] / ROOT
    lists = {path.stem: path.read_text(encoding="utf-8").split("\n") for path in (root / "ImageSets/Main").iterdir()}
    assert lists == {
        "train": ["a b", "x.y", "empty", ""],
        "val": ["ä", ""],
        "trainval": ["a b", "x.y", "empty", "ä", ""],
    }
    assert exported[1].notes == ("3 pictures are written as JPEG 95: VOC's readers open .jpg only",)
    for path in (root / "JPEGImages").iterdir():
        with Image.open(path) as picture:
            assert (picture.format, picture.size) == ("JPEG", (40, 30))
    tree = ElementTree.parse(root / "Annotations" / "ä.xml")
    assert (tree.findtext("filename"), tree.findtext("object/name")) == ("ä.jpg", NAMES[0])
    # CVAT, and others that know the challenge's classes only.
    head, *lines = (root / "labelmap.txt").read_text(encoding="utf-8").splitlines()
    assert head == "# label:color_rgb:parts:actions"
    assert lines == [f"{name}:::" for name in NAMES]


def test_what_is_encoded_keeps_its_origin(exported: tuple[Path, ExportReport], tmp_path: Path) -> None:
    assert says_synthetic(exported[0] / ROOT / "JPEGImages" / "ä.jpg")
    assert not says_synthetic(exported[0] / ROOT / "JPEGImages" / "a b.jpg")
    export_set(exported[0].with_name("pets"), tmp_path / "crops", "crops")
    assert says_synthetic(tmp_path / "crops" / "val" / NAMES[0] / "ä-21.png")


def test_torchvision(exported: tuple[Path, ExportReport]) -> None:
    from torchvision.datasets import VOCDetection

    read = VOCDetection(str(exported[0]), year="2012", image_set="train")
    objects = [target["annotation"].get("object", []) for _, target in read]
    assert [[item["name"] for item in found] for found in objects] == [[*NAMES], [NAMES[1]], []]
    assert objects[0][0]["bndbox"] == {"xmin": "21", "ymin": "3", "xmax": "34", "ymax": "6"}


def test_supervision(exported: tuple[Path, ExportReport]) -> None:
    import supervision

    root = exported[0] / ROOT
    read = supervision.DetectionDataset.from_pascal_voc(str(root / "JPEGImages"), str(root / "Annotations"))
    found = {Path(path).stem: item for path, _, item in read}
    assert sorted(read.classes) == sorted(NAMES)
    assert found["a b"].xyxy.shape == (2, 4)
    # It takes one off every edge, also off those that include their pixel.
    assert np.abs(found["ä"].xyxy - [4, 5, 14, 15]).max() <= 1
