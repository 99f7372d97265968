"""`boxpaint train painter` as a user meets it, and the way from there to a painted data set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub.errors import OfflineModeIsEnabled
from PIL import Image

from generator.foundation.run_folder import DETECTOR_RUN, PAINTER
from generator.models import weights
from tests.boxpaint.terminal import boxpaint, nothing_written
from tests.detection.painter.small import copy_of, small_painter

pytestmark = pytest.mark.slow
TRAIN = ("train", "painter", "--real", "photos", "--config", "settings.yaml", "--device", "cpu")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_painter(tmp_path_factory)


@pytest.fixture()
def workplace(small: Path, tmp_path: Path) -> Path:
    """A folder with photos/, settings.yaml, and painter/, which is finished."""
    return copy_of(small, tmp_path)


def test_from_a_finished_painter_to_a_painted_data_set(workplace: Path) -> None:
    with nothing_written(workplace):
        boxpaint(*TRAIN, "--out", "painter", cwd=workplace).says(
            "photos: photos:train, 6 of 6, 4 red, 4 blue",
            "painter is finished already, nothing was trained; --overwrite starts again",
            "VAE PSNR of crops, dB, held-out photos, before",
            "look at painter/samples.png",
            "next: boxpaint init DIR --from photos:train --bundle painter",
        )
    boxpaint("init", "mine", "--from", "photos", "--bundle", "painter", cwd=workplace).says("wrote mine/config.yaml")
    mine = workplace / "mine"
    boxpaint("check-spec", cwd=mine).says("good: 100 pictures of 64 x 64 px; classes: red, blue")
    assert "can use ../painter? yes, without a network" in " ".join(boxpaint("doctor", cwd=mine).says().split())
    # What so few steps have taught passes for nothing: it is kept all the same.
    config = (mine / "config.yaml").read_text()
    kept = "max_attempts: 1\n  min_area: 0.001\n  max_edge_contact: 1\n  min_visible: 0\n  max_fragments: 1\n"
    kept += (
        "  size_range: [0, 10]\n  max_sharpness: 1000000\n  min_contrast: 0\n  min_margin: -1\n  max_unlabelled: 1\n"
    )
    (mine / "config.yaml").write_text(config.replace("max_attempts: 4", kept + "  #"))
    boxpaint("generate", "--limit", "2", cwd=mine).says("labels: dataset/annotations")
    info = json.loads((mine / "dataset/annotations/instances_train.json").read_text())["info"]
    assert info["bundle"] == "painter"  # its name: no path goes out


MISTAKES = {
    "unknown class": (["--categories", "red,green"], "has no category 'green'; its categories: red, blue"),
    "unknown photo": (
        ["--subset", "names.txt"],
        "names.txt:2: found 'gone.png'; the name of a photo of --real is needed",
    ),
    "no photo": (["--subset", "empty.txt"], "no photos are left to learn from: --subset names none"),
    "validated on what is learned": (["--validation", "photos:train"], "6 of its pictures are trained on, too"),
    "out in the data": (["--out", "photos/painter"], "photos/painter lies in the folder of the photos, photos"),
    "out holds something else": (["--out", "notes"], "notes is not a training of a painter: it holds a.txt"),
    "other settings": (["--out", "painter", "--steps", "9"], "settings.steps: 3 before, 9 now"),
    "bad key": (["--config", "bad.yaml"], "bad.yaml:1: column 'step': unknown key; did you mean 'steps'?"),
    "no bundle": (["--from", "nowhere"], "--from: found 'nowhere'; pocket, sd21, scratch, the folder of a painter"),
    "a detector": (["--from", "detector"], f"it is {DETECTOR_RUN.what}: {DETECTOR_RUN.use}"),
    "unfinished": (["--from", "begun"], "the training of this painter is unfinished"),
    "a side that is none": (["--side", "100"], "a multiple of 32 is needed: 96"),
    "no data": (["--real", "gone"], "gone"),
    "device": (["--device", "toaster"], "toaster"),
}


@pytest.mark.parametrize(("arguments", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_message_and_nothing_is_written(workplace: Path, arguments: list[str], words: str) -> None:
    (workplace / "names.txt").write_text("disc_train_000.png\ngone.png\n")
    (workplace / "empty.txt").write_text("\n")
    (workplace / "bad.yaml").write_text("step: 3\n")
    (workplace / "notes").mkdir()
    (workplace / "notes/a.txt").write_text("mine")
    DETECTOR_RUN.begin(workplace / "detector", {})
    PAINTER.begin(workplace / "begun", {})
    with nothing_written(workplace):
        boxpaint(*TRAIN, *arguments, cwd=workplace).refuses(words)


@pytest.mark.parametrize(
    ("boxes", "size", "words"),
    [
        ([], 64, "photos with labelled objects; these show none"),
        ([[5, 5, 9, 9]], 20, "found '20 x 20 px'; a photo to learn from has 32 px and more on each side"),
        ([[10, 10, 20, 20], [14, 14, 20, 20]], 64, "of red no object can be shown alone"),
        ([[1, 1, 62, 62]], 64, "of red no object can be shown alone"),
    ],
    ids=["nothing labelled", "too small", "never alone", "fills its photo"],
)
def test_photos_that_cannot_teach_are_refused(workplace: Path, boxes: list[list[int]], size: int, words: str) -> None:
    file = workplace / "photos/annotations/instances_train.json"
    content = json.loads(file.read_text())
    (picture, *_) = content["images"]
    Image.new("RGB", (size, size), (200, 180, 160)).save(workplace / "photos/images" / Path(picture["file_name"]).name)
    content["images"] = [{**picture, "width": size, "height": size}]
    label = {"image_id": picture["id"], "category_id": 1, "area": 1, "iscrowd": 0, "segmentation": []}
    content["annotations"] = [{**label, "id": number, "bbox": box} for number, box in enumerate(boxes, start=1)]
    file.write_text(json.dumps(content))
    with nothing_written(workplace):
        boxpaint(*TRAIN, "--out", "new", cwd=workplace).refuses(words)


def test_a_model_of_the_hub_without_a_network(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_offline(_: object) -> list[str]:
        raise OfflineModeIsEnabled("offline")

    monkeypatch.setattr(weights, "_list_files", is_offline)
    with nothing_written(workplace):
        boxpaint(*TRAIN, "--from", "somebody/painter", cwd=workplace).refuses(
            "'somebody/painter' is not on this machine", "HF_HUB_OFFLINE is set, which allows no download"
        )
