"""Columns of CSV files: which names the picture, those that the user names, and why a file is not read."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.foundation.errors import BoxpaintError
from tests.detection.importers.sources import run, write, write_pictures

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
def test_of_several_columns_the_one_that_names_pictures(tmp_path: Path, text: str) -> None:
    write_pictures(tmp_path / "s", "a.jpg", "b.jpg")
    write(tmp_path / "s" / "all.csv", text)
    imported = run(tmp_path / "s", shares={"all": 1.0})
    assert imported.boxes == {"a.jpg": ROWS[0], "b.jpg": ROWS[1]}
    assert not imported.cases


OWN = "Foto;Art;links;oben;rechts;unten;name\na.jpg;cat;1,0;2;30;20;x\nb.jpg;dog;3;4;20;20;y\n"
COLUMNS = {"image": "Foto", "class": "art", "x_min": "links", "y_min": "oben", "x_max": "rechts", "y_max": "unten"}


def test_columns_that_the_user_names(tmp_path: Path) -> None:
    write_pictures(tmp_path / "s", "a.jpg", "b.jpg")
    write(tmp_path / "s" / "all.csv", OWN)
    imported = run(tmp_path / "s", columns=COLUMNS, shares={"all": 1.0})
    assert imported.boxes == {"a.jpg": ROWS[0], "b.jpg": ROWS[1]}
    # A name counts more than a meaning: there the class is what the header calls so.
    write(tmp_path / "t" / "all.csv", "image,label,kind,x,y,w,h\na.jpg,7,cat,1,2,29,18\n")
    write_pictures(tmp_path / "t", "a.jpg")
    assert run(tmp_path / "t", columns={"class": "kind"}, shares={"all": 1.0}).boxes == {"a.jpg": ROWS[0]}


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
def test_why_a_table_is_not_read(tmp_path: Path, columns: dict[str, str], words: str) -> None:
    write_pictures(tmp_path / "s", "a.jpg", "b.jpg")
    write(tmp_path / "s" / "all.csv", OWN)
    with pytest.raises(BoxpaintError) as caught:
        run(tmp_path / "s", columns=columns)
    assert words in str(caught.value)


def test_columns_are_for_csv(tmp_path: Path) -> None:
    write(tmp_path / "s" / "all.csv", OWN)
    with pytest.raises(BoxpaintError, match="--column: is for CSV files, not for --format coco"):
        run(tmp_path / "s", columns={"image": "Foto"}, format="coco")


def test_a_table_in_utf_16_without_a_mark_is_said(tmp_path: Path) -> None:
    write(tmp_path / "s" / "all.csv", "filename,class,xmin,ymin,xmax,ymax\na.jpg,cat,1,2,3,4\n".encode("utf-16-le"))
    with pytest.raises(BoxpaintError, match=r"all.csv:1: found '.*0'; no text, or UTF-16 without a byte order mark"):
        run(tmp_path / "s")
