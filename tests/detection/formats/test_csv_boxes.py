"""CSV files of boxes, faults included: whose form they have, and which column holds what."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detection.formats.csv_boxes import read_box_table
from tests.detection.formats.sources import ALL, draw, encode, lay_out, refused, run, write, write_pictures

HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax\n"


def test_roboflow(source: Path) -> None:
    for number, split in enumerate(("train", "valid", "test")):
        write_pictures(source / split, f"{split}1.jpg", f"{split}2.jpg", seed=10 * number)
        rows = f"{split}1.jpg,40,30,helmet,11,14,13,17\n{split}1.jpg,40,30,head,17,8,23,14\n"
        write(source / split / "_annotations.csv", HEADER + rows)
    write(source / "README.roboflow.txt", "helmets\n")
    imported = run(source)
    assert imported.report.format == "csv"
    assert imported.splits == {
        "train": ["train1.jpg", "train2.jpg"],
        "val": ["valid1.jpg", "valid2.jpg"],
        "test": ["test1.jpg", "test2.jpg"],
    }
    assert imported.boxes["valid1.jpg"] == [("helmet", [11, 14, 13, 17]), ("head", [17, 8, 23, 14])]
    assert imported.what == ["no annotation: a picture without objects"] * 3
    assert imported.report.categories == ("head", "helmet")


def test_tensorflows_tutorial(source: Path) -> None:
    imported = run(
        lay_out(
            source,
            "images/raccoon-1.jpg images/raccoon-2.jpg",
            {
                "data/train_labels.csv": HEADER + "raccoon-1.jpg,40,30,raccoon,1,2,30,25\n",
                "data/test_labels.csv": HEADER + "raccoon-2.jpg,40,30,raccoon,5,5,20,20\n",
                "data/label_map.csv": "raccoon,1\n",
            },
        )
    )
    assert imported.splits == {"train": ["raccoon-1.jpg"], "test": ["raccoon-2.jpg"]}
    assert not imported.cases


RETINANET = """/data/imgs/a.jpg,10,5,30,20,cow
/data/imgs/b.jpg,2,2,9,9,cat
/data/imgs/b.jpg,3,4,12,20,bird
/data/imgs/c.jpg,,,,,
"""


def test_retinanet_without_a_header(source: Path) -> None:
    imported = run(
        lay_out(
            source,
            "imgs/a.jpg imgs/b.jpg imgs/c.jpg",
            {"annotations.csv": RETINANET, "classes.csv": "cow,0\ncat,1\nbird,2\n"},
        ),
        shares=ALL,
    )
    assert imported.boxes == {
        "a.jpg": [("cow", [10, 5, 30, 20])],
        "b.jpg": [("cat", [2, 2, 9, 9]), ("bird", [3, 4, 12, 20])],
        "c.jpg": [],
    }
    assert not imported.cases


FORMS = {
    "semicolons": "filename;class;xmin;ymin;xmax;ymax\na.jpg;cat;4,5;5;14;25\n",
    "tabs": "image\tlabel\tx1\ty1\tx2\ty2\na.jpg\tcat\t4.5\t5\t14\t25\n",
    "bars": "image|label|x1|y1|x2|y2\na.jpg|cat|4.5|5|14|25\n",
    "spaces and capitals": "File Name, Class Name, X Min, Y Min, X Max, Y Max\na.jpg, cat, 4.5, 5, 14, 25\n",
    "quotes": '"image_path","category","left","top","right","bottom"\n"imgs/a.jpg","cat","4.5","5","14","25"\n',
    "byte order mark": "\ufeff" + HEADER + "a.jpg,40,30,cat,4.5,5,14,25\n",
    "sep=": "\ufeffsep=;\r\nfilename;class;xmin;ymin;xmax;ymax\r\na.jpg;cat;4,5;5;14;25\r\n",
    "UTF-16": HEADER.encode("utf-16") + "a.jpg,40,30,cat,4.5,5,14,25\n".encode("utf-16-le"),
    "Excel's Unicode text": "filename\tclass\txmin\tymin\txmax\tymax\na.jpg\tcat\t4,5\t5\t14\t25\n".encode("utf-16"),
    "invisible spaces": "filename;class;xmin;ymin;xmax;ymax\na.jpg\u200b;\ufeffcat;4,5;\xa05\xa0;14;25\u200b\n",
    "sides": "image_id,x,y,w,h,label\na,4.5,5,9.5,20,cat\n",
    "sides called width and height": "image,x,y,width,height,class\na.jpg,4.5,5,9.5,20,cat\n",
    "makesense": "label,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height\n"
    "cat,4.5,5,9.5,20,a.jpg,40,30\n",
    "shares": "filename,class,xmin,ymin,xmax,ymax\na.jpg,cat,0.1125,0.1666667,0.35,0.8333333\n",
    "open images": "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\n"
    "a,xclick,cat,1,0.1125,0.35,0.1666667,0.8333333\n",
    "other columns": "id,filename,class,xmin,ymin,xmax,ymax,remark\n1,a.jpg,cat,4.5,5,14,25,\n\n",
    "headerless": "a.jpg,4.5,5,14,25,cat\n",
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_every_form_gives_the_same(source: Path, text: str) -> None:
    imported = run(lay_out(source, "a.jpg", {"boxes.csv": text}), shares=ALL)
    assert imported.boxes == {"a.jpg": [("cat", [4.5, 5, 14, 25])]}
    assert not imported.cases


def test_a_column_says_the_split(source: Path) -> None:
    write_pictures(source, "a.jpg", "b.jpg")
    rows = "a.jpg,cat,1,1,9,9,TRAIN\nb.jpg,cat,1,1,9,9,VALIDATION\n"
    write(source / "boxes.csv", "filename,class,xmin,ymin,xmax,ymax,split\n" + rows)
    assert run(source).splits == {"train": ["a.jpg"], "val": ["b.jpg"]}


def test_lists_say_the_split(source: Path) -> None:
    write_pictures(source / "images", "a.jpg", "b.jpg", "c.jpg")
    rows = "a.jpg,cat,1,1,9,9\nb.jpg,cat,1,1,9,9\n"
    write(source / "boxes.csv", "filename,class,xmin,ymin,xmax,ymax\n" + rows)
    write(source / "train.txt", "a.jpg\nc.jpg\n")
    write(source / "test.txt", "b.jpg\n")
    assert run(source).splits == {"train": ["a.jpg", "c.jpg"], "test": ["b.jpg"]}


def test_faults(source: Path) -> None:
    write_pictures(source, "a.jpg")
    write(source / "b.jpg", encode(draw(5), "PNG"))
    rows = [
        "a.jpg,40,30,cat,4,5,14,25",
        "a.jpg,40,30,,4,5,14,25",
        "a.jpg,40,30,cat,,5,14,25",
        "a.jpg,40,30,cat,4,5",
        ",40,30,cat,4,5,14,25",
        "b.jpg,60,30,cat,14,25,4,5",
        "gone.jpg,40,30,cat,4,5,14,25",
        "gone.jpg,40,30,cat,4,5,14,25",
    ]
    write(source / "boxes.csv", HEADER + "\n".join(rows))
    imported = run(source, shares=ALL)
    assert imported.boxes == {"a.jpg": [("cat", [4, 5, 14, 25])], "b.png": [("cat", [4, 5, 14, 25])]}
    assert {(case.place, case.what, case.lost_pictures, case.lost_objects) for case in imported.report.cases} == {
        ("line 3", "an object without a class", 0, 1),
        ("line 4", "a box that is not four numbers", 0, 1),
        ("line 5", "a box that is not four numbers", 0, 1),
        ("line 6", "a row that names no picture", 0, 1),
        ("line 7", "a size in the annotation that is not the picture's", 0, 0),
        ("line 7", "a box from right to left or from bottom to top", 0, 0),
        ("line 8", "a picture that is missing", 1, 2),
        ("", "a suffix of another format", 0, 0),
    }
    assert (imported.report.objects.source, imported.report.objects.written) == (8, 2)


@pytest.mark.parametrize(
    "text",
    ["", "a,b,c\n1,2,3\n", "cow,0\ncat,1\n", "image,caption\na.jpg,a cat\n", "filename,xmin,ymin,xmax,ymax\n", "\0\0,"],
)
def test_other_tables_are_left_alone(text: str) -> None:
    assert read_box_table(text) is None


@settings(max_examples=200, deadline=None, derandomize=True)
@given(text=st.text(alphabet='a.jpg,;"\n 1x\0é', max_size=60), has_header=st.booleans())
def test_no_text_is_too_odd(text: str, has_header: bool) -> None:
    rows = read_box_table((HEADER if has_header else "") + text)
    assert rows is None or all(row.line >= 1 for row in rows)
    assert rows is not None or not has_header or '"' in text or "\0" in text


ROWS = [("cat", [1, 2, 30, 20])], [("dog", [3, 4, 20, 20])]


@pytest.mark.parametrize(
    "text",
    [
        "image_id,image,xmin,ymin,xmax,ymax,label\n7,a.jpg,1,2,30,20,cat\n8,b.jpg,3,4,20,20,dog\n",
        "image,image_id,xmin,ymin,xmax,ymax,label\na.jpg,7,1,2,30,20,cat\nb.jpg,8,3,4,20,20,dog\n",
        "image_id,xmin,ymin,xmax,ymax,label,img,path\na,1,2,30,20,cat,7,x\nb,3,4,20,20,dog,8,y\n",
        "file,filename,x1,y1,x2,y2,class\n1,/data/imgs/a.jpg,1,2,30,20,cat\n2,/data/imgs/b.jpg,3,4,20,20,dog\n",
    ],
)
def test_of_several_columns_the_one_that_names_pictures(source: Path, text: str) -> None:
    imported = run(lay_out(source, "a.jpg b.jpg", {"all.csv": text}), shares=ALL)
    assert imported.boxes == {"a.jpg": ROWS[0], "b.jpg": ROWS[1]}
    assert not imported.cases


OWN = "Foto;Art;links;oben;rechts;unten;name\na.jpg;cat;1,0;2;30;20;x\nb.jpg;dog;3;4;20;20;y\n"
COLUMNS = {"image": "Foto", "class": "art", "x_min": "links", "y_min": "oben", "x_max": "rechts", "y_max": "unten"}


def test_columns_that_the_user_names(tmp_path: Path) -> None:
    write_pictures(tmp_path / "s", "a.jpg", "b.jpg")
    write(tmp_path / "s" / "all.csv", OWN)
    imported = run(tmp_path / "s", columns=COLUMNS, shares=ALL)
    assert imported.boxes == {"a.jpg": ROWS[0], "b.jpg": ROWS[1]}
    # A name counts more than a meaning: there the class is what the header calls so.
    write(tmp_path / "t" / "all.csv", "image,label,kind,x,y,w,h\na.jpg,7,cat,1,2,29,18\n")
    write_pictures(tmp_path / "t", "a.jpg")
    assert run(tmp_path / "t", columns={"class": "kind"}, shares=ALL).boxes == {"a.jpg": ROWS[0]}


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {"imag": "Foto"},
            "--column: found 'imag=Foto'; unknown key; did you mean 'image'? known: image, class, x_min",
        ),
        (
            {"image": "Bild"},
            "--column: found 'image=Bild'; no CSV file has such a column: all.csv has Foto, Art, links",
        ),
        (
            {"image": "Foto"},
            "all.csv:1: found 'Foto, Art, links, oben, rechts, unten, name'; no column for x_min, y_min",
        ),
        ({}, "all.csv:1: found 'Foto, Art, links, oben, rechts, unten, name'; no column for image, x_min, y_min, "),
    ],
)
def test_why_a_table_is_not_read(source: Path, columns: dict[str, str], words: str) -> None:
    write_pictures(source, "a.jpg", "b.jpg")
    write(source / "all.csv", OWN)
    refused(source, words, columns=columns)
    refused(source, "--column: is for CSV files, not for --format coco", columns=COLUMNS, format="coco")
    write(source / "all.csv", "filename,class,xmin,ymin,xmax,ymax\na.jpg,cat,1,2,3,4\n".encode("utf-16-le"))
    refused(source, "all.csv:1: found", "no text, or UTF-16 without a byte order mark")
