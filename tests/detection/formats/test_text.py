"""Text of annotation files as people save it: other encodings, blank lines, words that YAML takes for others."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from generator.foundation.errors import DatasetError
from tests.detection.formats.sources import ALL, coco_json, lay_out, run, voc_xml, write, write_pictures

BOX = (1, 2, 30, 20)
LINE = "{} 0.5 0.5 0.5 0.5\n"


def yolo(source: Path, numbers: int = 3) -> Path:
    """Pictures 0.jpg, 1.jpg ... with one object each, of the class of that number."""
    for number in range(numbers):
        write_pictures(source, f"{number}.jpg", seed=number)
        write(source / f"{number}.txt", LINE.format(number))
    return source


def xml_in(encoding: str, name: str, written: str | None = None) -> bytes:
    return f'<?xml version="1.0" encoding="{encoding}"?>\n{voc_xml("a.jpg", [(name, BOX)])}'.encode(written or encoding)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (xml_in("GB2312", "猫"), "猫"),
        (xml_in("gb2312", "镕", "gbk"), "镕"),
        (xml_in("Shift_JIS", "猫"), "猫"),
        (xml_in("euc-kr", "고양이"), "고양이"),
        (xml_in("windows-1252", "chèvre"), "chèvre"),
        (xml_in("utf-16", "猫"), "猫"),
        (xml_in("utf-8", "猫", "utf-8-sig"), "猫"),
        (voc_xml("a.jpg", [("猫", BOX)]).encode("utf-16"), "猫"),
        (voc_xml("a.jpg", [("猫", BOX)]).encode(), "猫"),
    ],
)
def test_xml_in_its_declared_encoding(source: Path, data: bytes, name: str) -> None:
    imported = run(lay_out(source, "a.jpg", {"a.xml": data}), shares=ALL)
    assert imported.boxes == {"a.jpg": [(name, [1, 2, 30, 20])]}
    assert not imported.cases


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (xml_in("x-user", "cat", "ascii"), "unknown encoding: x-user"),
        (xml_in("hex", "cat", "ascii"), "not a text encoding"),
        (xml_in("utf-8", "細胞", "gbk"), "this byte is not UTF-8"),
        (xml_in("utf-8", "a\0b"), "no text"),
    ],
)
def test_xml_that_cannot_be_decoded_is_listed(source: Path, data: bytes, words: str) -> None:
    imported = run(
        lay_out(source, "a.jpg b.jpg", {"a.xml": data, "b.xml": voc_xml("b.jpg", [("cat", BOX)])}), shares=ALL
    )
    assert imported.boxes == {"b.jpg": [("cat", [1, 2, 30, 20])]}
    ((case),) = imported.report.cases
    assert (case.file, case.done, case.lost_pictures, case.lost_objects) == ("a.xml", "dropped", 1, 1)
    assert words in case.found


@pytest.mark.parametrize("encoding", ["gbk", "cp950", "shift_jis"])
def test_class_names_in_another_encoding_are_refused_and_not_made_one(source: Path, encoding: str) -> None:
    names = "cat\n細胞\n血球\n"
    write(yolo(source) / "classes.txt", names.encode(encoding))
    with pytest.raises(DatasetError, match=r"classes.txt:2: found .*this byte is not UTF-8; save the file as UTF-8"):
        run(source)
    table = "filename,class,xmin,ymin,xmax,ymax\n" + "".join(
        f"{number}.jpg,{name},1,2,30,20\n" for number, name in enumerate(names.split())
    )
    for path in (source).glob("*.txt"):
        path.unlink()
    write(source / "train.csv", table.encode(encoding))
    with pytest.raises(DatasetError, match=r"train.csv:3: found .*this byte is not UTF-8"):
        run(source)
    write(source / "train.csv", table.encode("utf-16"))
    assert set(run(source, shares=ALL).report.categories) == {"cat", "細胞", "血球"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_whatever_a_byte_order_mark_says(tmp_path: Path, encoding: str) -> None:
    source = yolo(tmp_path / "s", 2)
    write(source / "classes.txt", "猫\n犬\n".encode(encoding))
    write(source / "0.txt", LINE.format(0).encode(encoding))
    write(source / "train.txt", "0.jpg\n1.jpg\n".encode(encoding))
    imported = run(source)
    assert {name: [item[0] for item in items] for name, items in imported.boxes.items()} == {
        "0.jpg": ["猫"],
        "1.jpg": ["犬"],
    }
    assert [*imported.splits] == ["train"]
    write_pictures(tmp_path / "coco", "a.jpg")
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 29, 18]}
    text = coco_json([{"id": 1, "file_name": "a.jpg"}], [annotation], ["猫"]).encode().decode("unicode_escape")
    write(tmp_path / "coco" / "all.json", text.encode(encoding))
    assert run(tmp_path / "coco", shares=ALL).boxes == {"a.jpg": [("猫", [1, 2, 30, 20])]}


def test_a_blank_line_in_a_class_list_counts_and_those_at_its_end_do_not(source: Path) -> None:
    write(yolo(source) / "classes.txt", "cat\r\n \r\ndog\r\n\r\n\r\n")
    imported = run(source, shares=ALL)
    assert imported.report.categories == ("cat", "dog")
    assert [(case.file, case.what, case.lost_objects) for case in imported.report.cases] == [
        ("1.txt", "an unknown class", 1)
    ]
    assert imported.boxes["2.jpg"][0][0] == "dog"


WORDS = ["yes", "no", "on", "1", "1.0", "0x1F", "2024-01-01", "null", "1_000", "12:30:45"]


@pytest.mark.parametrize("form", ["list", "flow", "mapping"])
def test_class_names_of_yaml_stay_as_they_are_written(source: Path, form: str) -> None:
    names = {
        "list": "names:\n" + "".join(f"- {word}\n" for word in WORDS),
        "flow": f"names: [{', '.join(WORDS)}]\n",
        "mapping": "names:\n" + "".join(f"  {number}: {word}\n" for number, word in enumerate(WORDS)),
    }
    write(yolo(source, len(WORDS)) / "data.yaml", f"train: .\nval:\ntest: null\nnc: 10\n{names[form]}")
    imported = run(source)
    assert list(imported.report.categories) == WORDS
    assert {name: items[0][0] for name, items in imported.boxes.items()} == {
        f"{number}.jpg": word for number, word in enumerate(WORDS)
    }
    assert not imported.cases


def test_names_of_hugging_faces_card_stay_as_they_are_written(source: Path) -> None:
    write_pictures(source, "a.jpg")
    row = {"file_name": "a.jpg", "objects": {"bbox": [[1, 2, 29, 18], [3, 2, 29, 18]], "category": [0, 1]}}
    write(source / "metadata.jsonl", json.dumps(row) + "\n")
    names = "      names:\n        '0': yes\n        '1': 1.0\n"
    card = f"---\ndataset_info:\n  features:\n  - name: category\n    class_label:\n{names}---\n# caf\xe9\n"
    write(source / "README.md", card.encode("latin-1"))
    assert run(source, shares=ALL).report.categories == ("yes", "1.0")


def test_names_that_are_not_unicode(source: Path) -> None:
    names = [os.fsdecode(name) for name in (b"images/caf\xe9", b"images/\xba\xec/c", b"images/plain")]
    try:
        for number, name in enumerate(names):
            write_pictures(source, f"{name}.jpg", seed=number)
            write(source / f"{name.replace('images', 'labels')}.txt", LINE.format(0))
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    write(source / "classes.txt", "cat\n")
    write(source / "train.txt", b"images/caf\xe9.jpg\nimages/plain.jpg\nimages/gone\xe9.jpg\n")
    write(source / "val.txt", b"images/\xba\xec/c.jpg\n")
    imported = run(source)
    assert imported.splits == {"train": ["caf%E9.jpg", "plain.jpg"], "val": ["c.jpg"]}
    assert all(len(items) == 1 for items in imported.boxes.values())
    assert imported.what == [
        "a picture that is missing",
        "a name that is not Unicode: its bytes are written in letters",
    ]
