import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from detection.detectors.types import Detections
from detection.evaluation.predict import predict_pictures
from detection.segmenter.pictures import find_pictures
from generator.foundation.errors import DatasetError, RunMismatchError


class Corners:
    """Finds a red box in the top left corner of every picture, surely, and a blue one that is hardly there."""

    categories = ("red", "blue")

    def predict(self, pictures: list[np.ndarray], *, with_masks: bool = True) -> list[Detections]:
        assert not with_masks  # of large pictures they fill the memory, and only boxes are asked for
        return [
            Detections(
                boxes_xyxy=np.array([[1, 2, 11.25, 12], [5, 5, 9, 9]], np.float32),
                labels=np.array([1, 2]),
                scores=np.array([0.9, 0.1], np.float32),
            )
            for _ in pictures
        ]


@pytest.fixture()
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.png", "a.jpg", "deep/b.png"):
        Image.new("RGB", (40, 30), "#808080").save(folder / name)
    (folder / "torn.png").write_bytes(b"\x89PNG torn")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_boxes_are_drawn_and_written_as_coco_results(source: Path, tmp_path: Path) -> None:
    out, told = tmp_path / "out", []
    about = {"run": "runs/a"}
    predicted = predict_pictures(
        Corners(), find_pictures(source), out, about=about, min_score=0.5, on_picture=told.append
    )
    assert (predicted.pictures, predicted.objects) == (3, {"red": 3, "blue": 0})
    assert [*predicted.unreadable] == ["torn.png"]
    assert told[-1] == 4
    drawn = sorted(path.relative_to(out / "drawn").as_posix() for path in (out / "drawn").rglob("*.png"))
    assert drawn == ["a.jpg.png", "a.png.png", "deep/b.png.png"]
    with Image.open(out / "drawn" / "a.png.png") as picture:
        assert picture.getpixel((100, 32)) != (128, 128, 128)  # 16 times as large
    results = json.loads((out / "detections.json").read_text())
    assert results[0] == {
        "image_id": 1,
        "file_name": "a.jpg",
        "category_id": 1,
        "bbox": [1.0, 2.0, 10.25, 10.0],
        "score": 0.9,
    }
    truth = COCO(str(out / "pictures.json"))
    assert len(truth.loadRes(results).anns) == 3
    assert [item["file_name"] for item in truth.dataset["images"]] == ["a.jpg", "a.png", "deep/b.png"]
    content = json.loads((out / "predict.json").read_text())
    assert (content["run"], content["pictures"], [*content["unreadable"]]) == ("runs/a", 3, ["torn.png"])


def test_results_are_replaced_only_when_asked(source: Path, tmp_path: Path) -> None:
    pictures, out = find_pictures(source), tmp_path / "out"
    predict_pictures(Corners(), pictures, out, about={}, min_score=0.5)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(RunMismatchError, match="holds results already"):
        predict_pictures(Corners(), pictures[:1], out, about={}, min_score=0.5)
    predict_pictures(Corners(), pictures[:1], out, about={}, min_score=0.0, overwrite=True)
    assert len(json.loads((out / "detections.json").read_text())) == 2
    assert [path.name for path in (out / "drawn").iterdir()] == ["a.png"]
    assert (out / "notes.txt").exists()
    with pytest.raises(RunMismatchError, match="holds something else"):
        predict_pictures(Corners(), pictures, source, about={}, min_score=0.5, overwrite=True)
    assert len(find_pictures(source)) == 4


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_users_own_folder_of_that_name_is_not_touched(source: Path, tmp_path: Path, overwrite: bool) -> None:
    out = tmp_path / "out"
    (out / "drawn").mkdir(parents=True)
    (out / "drawn" / "by_hand.svg").write_text("mine")
    with pytest.raises(RunMismatchError, match="holds something else"):
        predict_pictures(Corners(), find_pictures(source), out, about={}, min_score=0.5, overwrite=overwrite)
    assert (out / "drawn" / "by_hand.svg").read_text() == "mine"


def test_a_stopped_prediction_is_begun_again(source: Path, tmp_path: Path) -> None:
    def stop(done: int) -> None:
        raise KeyboardInterrupt

    pictures, out = find_pictures(source), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        predict_pictures(Corners(), pictures, out, about={}, min_score=0.5, on_picture=stop)
    assert sorted(path.name for path in out.iterdir()) == [".lock", "drawn", "predict.json"]
    assert predict_pictures(Corners(), pictures, out, about={}, min_score=0.5).pictures == 3


def test_nothing_that_can_be_read(source: Path, tmp_path: Path) -> None:
    torn = [each for each in find_pictures(source) if each.name == "torn.png"]
    with pytest.raises(DatasetError, match="none of the 1 pictures can be read"):
        predict_pictures(Corners(), torn, tmp_path / "out", about={}, min_score=0.5)
    assert not (tmp_path / "out").exists()


def test_names_that_are_not_unicode(tmp_path: Path) -> None:
    source, name = tmp_path / "pictures", os.fsdecode(b"caf\xe9.png")
    source.mkdir()
    try:
        Image.new("RGB", (40, 30)).save(source / name)
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    predict_pictures(Corners(), find_pictures(source), tmp_path / "out", about={"run": name}, min_score=0.5)
    assert [path.name for path in (tmp_path / "out" / "drawn").iterdir()] == ["caf%E9.png"]
    (found,) = json.loads((tmp_path / "out" / "detections.json").read_bytes())
    assert found["file_name"] == name
    assert (source / found["file_name"]).is_file()


def test_a_name_as_long_as_a_file_system_takes(tmp_path: Path) -> None:
    source, name = tmp_path / "pictures", "\u732b" * 83 + "aa.png"
    assert len(name.encode()) == 255
    source.mkdir()
    Image.new("RGB", (40, 30)).save(source / name)
    predict_pictures(Corners(), find_pictures(source), tmp_path / "out", about={}, min_score=0.5)
    assert [path.name for path in (tmp_path / "out" / "drawn").iterdir()] == [name]
