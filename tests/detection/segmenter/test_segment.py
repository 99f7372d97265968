"""What a segmentation leaves on disk, read back."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from detection.coco_metrics import score_detections
from detection.datasets.types import DetectionDataset
from detection.segmenter.pictures import find_pictures, labelled_pictures
from detection.segmenter.results import file_names
from detection.segmenter.segment import Segmented, segment
from generator.foundation.errors import DatasetError, RunMismatchError
from generator.labels.segmentation import decode_segmentation
from tests.detection.discs import disc_set
from tests.detection.segmenter.drawn import ColourDetector

ABOUT = {"run": "runs/a <b>", "source": "discs"}


@pytest.fixture()
def discs(tmp_path: Path) -> DetectionDataset:
    """Three pictures: a red disc, a blue one, both."""
    return disc_set(tmp_path / "discs", 3, seed=0)


def run(discs: DetectionDataset, out: Path, **options: Any) -> Segmented:
    return segment(
        ColourDetector(),
        labelled_pictures(discs),
        out,
        **{"about": ABOUT, "min_score": 0.3, "labels": discs, **options},
    )


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_masks_that_are_right_score_one(discs: DetectionDataset, tmp_path: Path) -> None:
    told: list[int] = []
    result = run(discs, tmp_path / "out", on_picture=told.append)
    assert result.scores is not None
    assert result.scores.instances.ap == pytest.approx(1)
    assert result.scores.semantic.mean == 1
    assert (result.pictures, result.counts, result.unreadable) == (3, {"red": 2, "blue": 2}, {})
    assert told == [1, 2, 3]
    written = json.loads((tmp_path / "out" / "mask_scores.json").read_text())
    assert written == result.scores.to_json()


def test_the_files_agree_with_each_other_and_with_pycocotools(discs: DetectionDataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(discs, out)
    objects = json.loads((out / "instances.json").read_text())
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
    result = run(discs, tmp_path / "out", min_score=0.5)  # blue discs have a score of 0.4
    assert result.counts == {"red": 2, "blue": 0}
    assert {item["category_id"] for item in json.loads((tmp_path / "out" / "instances.json").read_text())} == {1}
    assert np.unique(pixels(tmp_path / "out" / "semantic" / "disc_train_002.png")).tolist() == [0, 1]
    assert result.scores is not None
    assert result.scores.instances.ap == pytest.approx(1)
    assert result.scores.semantic.of_category["blue"] == 0


def test_the_page_shows_every_overlay_and_escapes_names(discs: DetectionDataset, tmp_path: Path) -> None:
    result = run(discs, tmp_path / "out")
    page = result.page.read_text()
    assert "runs/a &lt;b&gt;" in page and "<b>" not in page
    for sample in discs.samples:
        assert f'src="overlays/{sample.path.name}"' in page
    assert "mask AP" in page and "1.000" in page
    with Image.open(tmp_path / "out" / "overlays.png") as sheet:
        assert sheet.width == 4 * 424 + 4


def test_pictures_without_labels_give_no_scores(discs: DetectionDataset, tmp_path: Path) -> None:
    folder = discs.samples[0].path.parent
    (folder / "torn.png").write_bytes(b"no picture")
    result = segment(ColourDetector(), find_pictures(folder), tmp_path / "out", about=ABOUT, min_score=0.5)
    assert result.scores is None
    assert result.unreadable == {"torn.png": "is no picture, or a damaged one"}
    assert not (tmp_path / "out" / "mask_scores.json").exists()
    assert "mask AP" not in result.page.read_text()


def test_without_one_good_picture_nothing_is_finished(tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"torn\.png: none of the 1 pictures can be read; the first: is no picture"):
        segment(ColourDetector(), find_pictures(tmp_path), tmp_path / "out", about=ABOUT, min_score=0.5)
    assert not (tmp_path / "out" / "instances.json").exists()


def test_results_are_replaced_only_when_asked(discs: DetectionDataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(discs, out)
    before = (out / "instances.json").read_bytes()
    (out / "mine.txt").write_text("kept")
    with pytest.raises(RunMismatchError, match="--overwrite"):
        run(discs.choose([0]), out)
    assert (out / "instances.json").read_bytes() == before
    run(discs.choose([0]), out, overwrite=True)
    assert [path.name for path in (out / "overlays").iterdir()] == ["disc_train_000.png"]
    assert (out / "mine.txt").read_text() == "kept"


def test_what_was_stopped_is_begun_again(discs: DetectionDataset, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def stop(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(discs, out, on_picture=stop)
    assert not (out / "instances.json").exists()
    assert run(discs, out).pictures == 3


def test_a_folder_of_others_is_left_alone(discs: DetectionDataset, tmp_path: Path) -> None:
    (tmp_path / "out" / "overlays").mkdir(parents=True)
    with pytest.raises(RunMismatchError, match=r"holds something else \(overlays\); choose another"):
        run(discs, tmp_path / "out", overwrite=True)


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
