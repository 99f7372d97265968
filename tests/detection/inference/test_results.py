"""What predict and segment leave on disk, read back."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from detection.datasets.types import DetectionDataset
from detection.evaluation.coco_metrics import score_detections
from detection.inference.finding import find_pictures, labelled_pictures
from detection.inference.results import Results, file_names, find_and_write
from generator.foundation.errors import DatasetError, RunMismatchError
from generator.labels.segmentation import decode_segmentation
from tests.detection.discs import disc_set
from tests.detection.drawn import ColourDetector

ABOUT = {"run": "runs/a <b>", "source": "discs"}
BOTH = pytest.mark.parametrize("with_masks", [False, True], ids=["predict", "segment"])
# What is drawn, and what is written last.
DRAWN, LAST = {False: "drawn", True: "overlays"}, {False: "detections.json", True: "instances.json"}


@pytest.fixture()
def discs(tmp_path: Path) -> DetectionDataset:
    """Three pictures: a red disc, a blue one, both."""
    return disc_set(tmp_path / "discs", 3, seed=0)


def segment(discs: DetectionDataset, out: Path, **options: Any) -> Results:
    given = {"with_masks": True, "about": ABOUT, "min_score": 0.3, "labels": discs, **options}
    return find_and_write(ColourDetector(), labelled_pictures(discs), out, **given)


def look_at(folder: Path, out: Path, *, with_masks: bool, **options: Any) -> Results:
    given = {"about": ABOUT, "min_score": 0.5, **options}
    return find_and_write(ColourDetector(), find_pictures(folder), out, with_masks=with_masks, **given)


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_boxes_are_drawn_and_written_as_coco_results(discs: DetectionDataset, tmp_path: Path) -> None:
    images, out, told = discs.samples[0].path.parent, tmp_path / "out", []
    (images / "deep").mkdir()
    for name in ("disc_train_000.jpg", "deep/b.png"):
        Image.new("RGB", (40, 30), "#808080").save(images / name)
    (images / "torn.png").write_bytes(b"\x89PNG torn")
    (images / "notes.txt").write_text("no picture")
    results = look_at(images, out, with_masks=False, on_picture=told.append)
    assert (results.pictures, results.objects) == (5, {"red": 2, "blue": 0})
    assert [*results.unreadable] == ["torn.png"]
    assert told[-1] == 6
    names = sorted(path.relative_to(out / "drawn").as_posix() for path in (out / "drawn").rglob("*.png"))
    assert names[:3] == ["deep/b.png.png", "disc_train_000.jpg.png", "disc_train_000.png.png"]
    assert pixels(out / "drawn" / "disc_train_000.png.png").shape == (480, 640, 3)  # ten times as large
    boxes = read(out / "detections.json")
    x_min, y_min, x_max, y_max = discs.samples[0].boxes_xyxy[0].tolist()
    assert boxes[0] == {
        "image_id": 3,
        "file_name": "disc_train_000.png",
        "category_id": 1,
        "bbox": [x_min, y_min, x_max - x_min, y_max - y_min],
        "score": 0.9,
    }
    truth = COCO(str(out / "pictures.json"))
    assert len(truth.loadRes(boxes).anns) == 2
    assert [item["file_name"] for item in truth.dataset["images"]][:2] == ["deep/b.png", "disc_train_000.jpg"]
    content = read(out / "predict.json")
    assert (content["run"], content["pictures"], [*content["unreadable"]]) == ("runs/a <b>", 5, ["torn.png"])


def test_masks_that_are_right_score_one(discs: DetectionDataset, tmp_path: Path) -> None:
    told: list[int] = []
    result = segment(discs, tmp_path / "out", on_picture=told.append)
    assert result.scores is not None
    assert result.scores.instances.ap == pytest.approx(1)
    assert result.scores.semantic.mean == 1
    assert (result.pictures, result.objects, result.unreadable) == (3, {"red": 2, "blue": 2}, {})
    assert told == [1, 2, 3]
    assert read(tmp_path / "out" / "mask_scores.json") == result.scores.to_json()


def test_the_files_agree_with_each_other_and_with_pycocotools(discs: DetectionDataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    segment(discs, out)
    objects = read(out / "instances.json")
    results = COCO(str(out / "pictures.json")).loadRes(str(out / "instances.json"))
    assert [item["category_id"] for item in objects] == [1, 2, 1, 2]
    for item in objects:
        image = results.loadImgs(item["image_id"])[0]
        name = Path(image["file_name"]).with_suffix(".png")
        mask = decode_segmentation(item["segmentation"], (image["height"], image["width"]))
        instances, semantic = pixels(out / "instances" / name), pixels(out / "semantic" / name)
        assert instances.dtype == np.uint16
        assert np.array_equal(instances == item["instance"], mask)  # discs never overlap
        assert np.array_equal(semantic == item["category_id"], mask)
        assert pixels(out / "overlays" / name).shape[1] == image["width"]
    # Against the labels on disk, from files alone: ids of pictures are in the order of the data set.
    truth = discs.samples[0].path.parents[1] / "annotations" / "instances_train.json"
    assert score_detections(truth, objects, iou_type="segm").ap == pytest.approx(1)


def test_only_what_is_sure_is_written_but_all_is_scored(discs: DetectionDataset, tmp_path: Path) -> None:
    result = segment(discs, tmp_path / "out", min_score=0.5)  # blue discs have a score of 0.4
    assert result.objects == {"red": 2, "blue": 0}
    assert {item["category_id"] for item in read(tmp_path / "out" / "instances.json")} == {1}
    assert np.unique(pixels(tmp_path / "out" / "semantic" / "disc_train_002.png")).tolist() == [0, 1]
    assert result.scores is not None
    assert result.scores.instances.ap == pytest.approx(1)
    assert result.scores.semantic.of_category["blue"] == 0


def test_the_page_shows_every_overlay_and_escapes_names(discs: DetectionDataset, tmp_path: Path) -> None:
    segment(discs, tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert "runs/a &lt;b&gt;" in page and "<b>" not in page
    for sample in discs.samples:
        assert f'src="overlays/{sample.path.name}"' in page
    assert "mask AP" in page and "1.000" in page
    assert pixels(tmp_path / "out" / "overlays.png").shape[1] == 4 * 424 + 4


def test_pictures_without_labels_give_no_scores(discs: DetectionDataset, tmp_path: Path) -> None:
    folder, out = discs.samples[0].path.parent, tmp_path / "out"
    (folder / "torn.png").write_bytes(b"no picture")
    result = look_at(folder, out, with_masks=True)
    assert result.scores is None
    assert result.unreadable == {"torn.png": "is no picture, or a damaged one"}
    assert not (out / "mask_scores.json").exists()
    assert "mask AP" not in (out / "index.html").read_text()


@BOTH
def test_results_are_replaced_only_when_asked(discs: DetectionDataset, tmp_path: Path, with_masks: bool) -> None:
    images, out = discs.samples[0].path.parent, tmp_path / "out"
    look_at(images, out, with_masks=with_masks)
    before = (out / LAST[with_masks]).read_bytes()
    (out / "mine.txt").write_text("kept")
    one = images / "disc_train_000.png"
    with pytest.raises(RunMismatchError, match=r"holds the result of .* already; use another --out, or --overwrite"):
        look_at(one, out, with_masks=with_masks)
    assert (out / LAST[with_masks]).read_bytes() == before
    look_at(one, out, with_masks=with_masks, overwrite=True)
    assert [path.name for path in (out / DRAWN[with_masks]).iterdir()] == ["disc_train_000.png"]
    assert (out / "mine.txt").read_text() == "kept"


@BOTH
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_others_is_left_alone(
    discs: DetectionDataset, tmp_path: Path, with_masks: bool, overwrite: bool
) -> None:
    images, name = discs.samples[0].path.parent, DRAWN[with_masks]
    (tmp_path / "out" / name).mkdir(parents=True)
    (tmp_path / "out" / name / "by_hand.svg").write_text("mine")
    for out, what in ((tmp_path / "out", name), (images, "disc_train_000.png")):
        with pytest.raises(RunMismatchError, match=f"is not the result of boxpaint .*: it holds {what}"):
            look_at(images, out, with_masks=with_masks, overwrite=overwrite)
    assert (tmp_path / "out" / name / "by_hand.svg").read_text() == "mine"
    assert len(find_pictures(images)) == 3


@BOTH
def test_what_was_stopped_is_begun_again(discs: DetectionDataset, tmp_path: Path, with_masks: bool) -> None:
    images, out = discs.samples[0].path.parent, tmp_path / "out"

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look_at(images, out, with_masks=with_masks, on_picture=stop)
    assert (out / DRAWN[with_masks]).exists() and not (out / LAST[with_masks]).exists()
    assert look_at(images, out, with_masks=with_masks).pictures == 3


@BOTH
def test_without_one_good_picture_nothing_is_written(tmp_path: Path, with_masks: bool) -> None:
    (tmp_path / "torn.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"torn\.png: none of the 1 pictures can be read; the first: is no picture"):
        look_at(tmp_path, tmp_path / "out", with_masks=with_masks)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        pytest.param(os.fsdecode(b"caf\xe9.png"), "caf%E9.png", id="not Unicode"),
        pytest.param("\u732b" * 83 + "aa.png", "\u732b" * 83 + "aa.png", id="as long as a file system takes"),
    ],
)
def test_unusual_names(tmp_path: Path, name: str, drawn: str) -> None:
    source, out = tmp_path / "pictures", tmp_path / "out"
    source.mkdir()
    try:
        Image.new("RGB", (40, 30), (210, 40, 40)).save(source / name)
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    look_at(source, out, with_masks=False, about={"run": name})
    assert [path.name for path in (out / "drawn").iterdir()] == [drawn]
    (found,) = read(out / "detections.json")
    assert found["file_name"] == name


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], []),
        (["1.jpg", "2.png"], ["1.png", "2.png"]),
        (["a/1.jpg", "b/1.jpg"], ["a/1.png", "b/1.png"]),
        (["1.jpg", "1.png", "2.png"], ["1.jpg.png", "1.png.png", "2.png.png"]),
        (["1.jpg", "1.PNG"], ["1.jpg.png", "1.PNG.png"]),
        (["Cell.jpg", "cell.jpg"], ["Cell.jpg.png", "cell.jpg.png"]),
        (["no_suffix"], ["no_suffix.png"]),
    ],
)
def test_every_picture_has_a_file_of_its_own(names: list[str], expected: list[str]) -> None:
    assert file_names(names) == expected
