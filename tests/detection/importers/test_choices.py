"""Which format a source is read as, what stands beside it, and what is no success."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.foundation.errors import DatasetError
from tests.detection.importers.sources import coco_json, run, voc_xml, write, write_pictures

BOX = {"category_id": 1, "bbox": [4, 5, 10, 20]}
LINE = "0 0.25 0.5 0.5 0.333333\n"
CAT = ("cat", [0, 10, 20, 20])


def lay_out(source: Path, names: str = "abcd") -> None:
    """YOLO: pictures in images/, labels in labels/, data.yaml below set/."""
    for name in names:
        write_pictures(source / "images", f"{name}.jpg", seed=ord(name))
        write(source / "labels" / f"{name}.txt", LINE)
    write(source / "set" / "data.yaml", "train: ../images\nnames: [cat]\n")


STRAYS = {
    "one XML": {"images/a.xml": voc_xml("a.jpg", [("dog", (1, 1, 9, 9))])},
    "COCO without anything": {"coco.json": coco_json([], [])},
    "COCO of other pictures": {
        "coco.json": coco_json([{"id": 1, "file_name": "z.jpg"}], [{**BOX, "id": 1, "image_id": 1}])
    },
    "a damaged COCO file": {"coco.json": '{"images", "annotations", "categories"'},
    "a damaged table": {"metadata.jsonl": '{"objects": {"bbox": '},
}


@pytest.mark.parametrize("files", STRAYS.values(), ids=STRAYS)
def test_the_format_that_has_objects_of_most_pictures_is_taken(tmp_path: Path, files: dict[str, str]) -> None:
    lay_out(tmp_path / "s")
    for name, content in files.items():
        write(tmp_path / "s" / name, content)
    imported = run(tmp_path / "s")
    assert imported.report.format == "yolo"
    assert len(imported.report.other_formats) == 1
    assert imported.boxes == {f"{name}.jpg": [CAT] for name in "abcd"}


YAMLS = {
    "a tag of Python": "emoji: !!python/name:material.extensions.emoji.twemoji\n",
    "two documents": "a: 1\n---\nb: 2\n",
    "names of something else": "names: {left: right}\n",
    "names without splits": "names: [dog, rat]\n",
}


@pytest.mark.parametrize("text", YAMLS.values(), ids=YAMLS)
def test_yaml_of_something_else_stops_nothing(tmp_path: Path, text: str) -> None:
    lay_out(tmp_path / "s")
    write(tmp_path / "s" / "mkdocs.yml", text)
    imported = run(tmp_path / "s")
    assert imported.boxes == {f"{name}.jpg": [CAT] for name in "abcd"}
    what = ["a YAML file that cannot be read: another describes the set"]
    assert imported.what == ([] if "dog" in text or "emoji" in text else what)


def test_two_descriptions_that_differ(tmp_path: Path) -> None:
    lay_out(tmp_path / "s")
    write(tmp_path / "s" / "more" / "data.yaml", "train: ../images\nnames: [dog]\n")
    with pytest.raises(DatasetError, match=r"more/data.yaml and set/data.yaml list different classes"):
        run(tmp_path / "s")
    write(tmp_path / "s" / "more" / "data.yaml", "train: ../images\nnames: {0: cat}\n")
    assert run(tmp_path / "s").report.categories == ("cat",)


def test_links_that_lead_nowhere_are_listed(tmp_path: Path) -> None:
    lay_out(tmp_path / "s")
    for name in ("stats.json", "images/e.jpg", "labels/e.txt", "images/f.jpg"):
        (tmp_path / "s" / name).symlink_to("/nowhere/.git/annex/objects/x")
    write(tmp_path / "s" / "labels" / "f.txt", LINE)
    imported = run(tmp_path / "s")
    assert imported.boxes == {f"{name}.jpg": [CAT] for name in "abcd"}
    assert [(case.file, case.what) for case in imported.report.cases] == [
        ("images/e.jpg", "a link that leads nowhere"),
        ("images/f.jpg", "a link that leads nowhere"),
        ("labels/e.txt", "a link that leads nowhere"),
        ("stats.json", "a link that leads nowhere"),
        ("labels/f.txt", "a picture that is missing"),
    ]


def test_nothing_but_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a.jpg").symlink_to("/nowhere/a.jpg")
    with pytest.raises(DatasetError, match="nothing but 1 x a link that leads nowhere"):
        run(tmp_path / "s")


@pytest.mark.parametrize("union", ["annotations.csv", "zzz.csv"])
def test_tables_of_splits_count_before_a_table_of_all(tmp_path: Path, union: str) -> None:
    header = "filename,class,xmin,ymin,xmax,ymax\n"
    write_pictures(tmp_path / "s", "a.jpg", "b.jpg", "c.jpg")
    rows = [f"{name}.jpg,cat,4,5,14,25\n" for name in "abc"]
    write(tmp_path / "s" / union, header + "".join(rows))
    write(tmp_path / "s" / "train.csv", header + rows[0])
    write(tmp_path / "s" / "test.csv", header + rows[1])
    imported = run(tmp_path / "s")
    assert imported.splits == {"train": ["a.jpg"], "test": ["b.jpg"], "unlisted": ["c.jpg"]}
    # A table whose rows all stand in others is no failure.
    write(tmp_path / "s" / union, header + "".join(rows[:2]))
    assert run(tmp_path / "s", overwrite=True).splits["test"] == ["b.jpg"]


def test_a_file_of_which_all_annotations_are_lost_is_no_success(tmp_path: Path) -> None:
    write_pictures(tmp_path / "s", "a.jpg", "b.jpg")
    images = [{"id": number, "file_name": f"{name}.jpg"} for number, name in enumerate("ab")]
    good = [{**BOX, "id": number, "image_id": number} for number in range(2)]
    bad = [{**item, "category_id": 7} for item in good]
    write(tmp_path / "s" / "train.json", coco_json(images, good))
    write(tmp_path / "s" / "val.json", coco_json(images, bad))
    with pytest.raises(DatasetError) as raised:
        run(tmp_path / "s")
    assert str(raised.value) == (
        f"{tmp_path}/s/val.json: none of 2 annotations could be imported: 2 x an unknown class, such as val.json: "
        "annotation 0: category_id 7"
    )
    assert not (tmp_path / "s.imported").exists()
    write(tmp_path / "s" / "val.json", coco_json(images, [*bad, *good]))
    assert run(tmp_path / "s").report.objects.written == 2


def test_label_files_are_judged_together(tmp_path: Path) -> None:
    lay_out(tmp_path / "s")
    write(tmp_path / "s" / "labels" / "a.txt", "7 0.5 0.5 0.1 0.1\n")
    assert run(tmp_path / "s").boxes["a.jpg"] == []
    for name in "bcd":
        write(tmp_path / "s" / "labels" / f"{name}.txt", "0 0.5 0.5 0 0\n")
    with pytest.raises(DatasetError, match="none of 4 annotations could be imported: 3 x a box without an area; 1 x"):
        run(tmp_path / "s", overwrite=True)


def test_the_reason_names_an_example_of_the_kind(tmp_path: Path) -> None:
    write_pictures(tmp_path / "s" / "images", "x.jpg", "y.jpg")
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in (1, 2, 3)]
    write(tmp_path / "s" / "all.json", coco_json(images, []))
    with pytest.raises(DatasetError) as raised:
        run(tmp_path / "s")
    assert (
        "3 x a picture that is missing; 1 x pictures that belong to no annotation, such as all.json: image 1: 1.jpg"
        in (str(raised.value))
    )
