"""Which photos a cell of the column photos means, what is labelled in them, and which ones are refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from generator.foundation.errors import DatasetError, SpecError
from generator.spec import Spec, load_spec
from generator.spec.photos import DEFAULT_SCENE, examine_photos, find_photos
from tests.generator.photos import lay_down_set, save_photo

CANVAS_WH = (96, 64)
CLASSES = "prompt,min_appear,max_appear,name\na zebra,1,1,zebra\n"
SPLITS = {
    "train": {"a.png": [("Zebra", (10, 20, 30, 15)), ("lion", (60, 10, 20, 20))], "b.png": []},
    "val": {"c.png": []},
    "test2017": {"d.png": []},
}


def load(folder: Path, background: str, **options: Any) -> Spec:
    (folder / "background.csv").write_text(background)
    (folder / "classes.csv").write_text(CLASSES)
    return load_spec(folder / "background.csv", folder / "classes.csv", canvas_wh=CANVAS_WH, **options)


def edited(path: Path, change: Mapping[str, Any]) -> None:
    content = json.loads(path.read_text())
    content["images"][0].update(change)
    path.write_text(json.dumps(content))


def test_a_row_of_photos_with_its_labels(tmp_path: Path) -> None:
    lay_down_set(tmp_path / "set", SPLITS)
    spec = load(tmp_path, "photos,num_imgs,crop,flip\ncoco:set#train,30,70%,both\n", scene="a savanna")
    (row,) = spec.backgrounds
    assert (row.prompt, row.num_imgs, row.min_crop, row.flip) == ("a savanna", 30, 0.7, "both")
    assert row.photos is not None
    first, second = row.photos.photos
    assert (first.name, first.size_wh, second.objects) == ("a.png", (120, 90), ())
    # Named as classes.csv names it; what it does not name stays as it is.
    assert [(item.category, item.box_xyxy) for item in first.objects] == [
        ("zebra", (10, 20, 40, 35)),
        ("lion", (60, 10, 80, 30)),
    ]
    assert [(split, path.name) for split, path in row.photos.apart] == [("test2017", "d.png"), ("val", "c.png")]


def test_a_folder_of_photos_and_what_they_show_by_default(tmp_path: Path) -> None:
    for name in ("x/b.png", "a.png"):
        save_photo(tmp_path / "photos" / name, len(name))
    spec = load(tmp_path, 'prompt,num_imgs,photos\n"a field",1,\n,2,photos\n')
    painted, shown = spec.backgrounds
    assert painted.photos is None and shown.photos is not None
    assert (shown.prompt, shown.min_crop, shown.flip) == (DEFAULT_SCENE, 1.0, "none")
    assert [photo.name for photo in shown.photos.photos] == ["a.png", "x/b.png"]


def test_sizes_are_those_of_the_upright_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "photos" / "a.jpg", exif=exif)
    (photo,) = find_photos("photos", tmp_path).photos
    assert photo.size_wh == (30, 40)
    assert photo.read().shape == (40, 30, 3)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("nowhere", "there is no such folder; a folder of pictures, or coco:PATH#split"),
        ("empty", "holds no pictures"),
        ("set/images", "these are pictures of a data set; name one of its splits: coco:"),
        ("valid", "kept for validating"),
        ("coco:", "the form is coco:PATH#split"),
        ("coco:nowhere#train", "there is no COCO file"),
        ("coco:set", "which split? name one: coco:"),
        ("coco:set#dev", "there is no split 'dev'; splits: test2017, train, val"),
        ("coco:set#val", "the photos of 'val' are kept for validating, and scenes are trained on; take others: coco:"),
        ("coco:set#test2017", "kept for testing"),
        ("coco:set/annotations/instances_val.json", "kept for validating"),
        ("coco:set/annotations/instances_train.json#train", "one COCO file has no splits"),
    ],
)
def test_faults_of_a_cell(cell: str, words: str, tmp_path: Path) -> None:
    lay_down_set(tmp_path / "set", SPLITS)
    (tmp_path / "empty").mkdir()
    save_photo(tmp_path / "valid" / "a.png", 1)
    with pytest.raises(SpecError) as caught:
        load(tmp_path, f"photos,num_imgs\n{cell},3\n")
    (fault,) = caught.value.faults
    assert (Path(fault.file).name, fault.line, fault.column, fault.found) == ("background.csv", 2, "photos", cell)
    assert words in fault.expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 121}, "has 120 x 90 px, but its labels in instances_train.json are for 121 x 90 px"),
        ({"file_name": "gone.png"}, "this picture is neither in images/ nor beside the annotations"),
    ],
)
def test_faults_of_a_data_set(change: Mapping[str, Any], words: str, tmp_path: Path) -> None:
    lay_down_set(tmp_path / "set", SPLITS)
    edited(tmp_path / "set/annotations/instances_train.json", change)
    with pytest.raises(ValueError, match=r".") as caught:
        find_photos("coco:set#train", tmp_path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        ("photos,2,5%,", "crop", "from 0.1 to 1"),
        ("photos,2,,sideways", "flip", "one of none, horizontal, vertical, both"),
        (",2,,", "prompt", "a prompt in words is needed"),
    ],
)
def test_cells_beside_photos(row: str, column: str, words: str, tmp_path: Path) -> None:
    save_photo(tmp_path / "photos" / "a.png", 1)
    with pytest.raises(SpecError) as caught:
        load(tmp_path, f"prompt,photos,num_imgs,crop,flip\n,{row}\n")
    assert [(fault.column, words in fault.expected) for fault in caught.value.faults] == [(column, True)]
    with pytest.raises(SpecError, match="goes with photos"):
        load(tmp_path, "prompt,num_imgs,crop\na field,2,50%\n")


def test_photos_and_labels_are_part_of_the_specs_digest_and_their_places_are_not(tmp_path: Path) -> None:
    table = "photos,num_imgs\ncoco:set#train,3\n"
    specs = []
    for name in ("one", "other"):
        lay_down_set(tmp_path / name / "set", SPLITS)
        specs.append(load(tmp_path / name, table))
    assert specs[0] == specs[1] and specs[0].digest == specs[1].digest
    annotations = tmp_path / "other/set/annotations/instances_train.json"
    annotations.write_text(annotations.read_text().replace("[10, 20, 30, 15]", "[10, 20, 30, 16]"))
    relabelled = load(tmp_path / "other", table)
    save_photo(tmp_path / "one/set/images/b.png", 77)
    assert len({specs[0].digest, relabelled.digest, load(tmp_path / "one", table).digest}) == 3
    # A spec without photos says nothing of them: runs that were begun before can go on.
    (background,) = load(tmp_path, "prompt,num_imgs\na field,3\n").to_json()["backgrounds"]  # type: ignore[misc]
    assert set(background) == {"prompt", "num_imgs", "negative_prompt", "references"}


def test_what_a_user_should_know_of_photos_is_said_once(tmp_path: Path) -> None:
    lay_down_set(tmp_path / "set", SPLITS)
    twin = Image.open(tmp_path / "set/images/b.png")
    twin.resize((240, 180)).resize(twin.size).save(tmp_path / "set/images/c.png")  # of val
    spec = load(tmp_path, "photos,num_imgs,crop\ncoco:set#train,3,50%\n")
    foreign, enlarged, twins = examine_photos(spec, CANVAS_WH)
    assert foreign.startswith(f"{tmp_path}/background.csv:2: ") and "1 of lion" in foreign
    assert "2 of 2 photos are enlarged up to 1.6 times" in enlarged  # 96 / 120 / 0.5
    assert "b.png and c.png (val)" in twins


def test_a_damaged_photo_is_found_before_painting(tmp_path: Path) -> None:
    path = tmp_path / "photos" / "a.png"
    save_photo(path, 1)
    path.write_bytes(path.read_bytes()[:-400])
    spec = load(tmp_path, "photos,num_imgs\nphotos,3\n")
    with pytest.raises(SpecError, match=r"background\.csv:2: column 'photos': .*a\.png"):
        examine_photos(spec, CANVAS_WH)


def test_a_photo_that_changed_since_is_not_painted_into(tmp_path: Path) -> None:
    (photo,) = find_photos("photos", save_photo(tmp_path / "photos" / "a.png", 1).parents[1]).photos
    assert np.array_equal(photo.read(), np.asarray(Image.open(photo.path)))
    save_photo(photo.path, 2)
    with pytest.raises(DatasetError, match="was changed"):
        photo.read()
