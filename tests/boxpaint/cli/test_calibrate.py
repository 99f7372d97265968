"""`boxpaint calibrate`: what is measured lies beside classes.csv; a mistake is one message and nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from generator.spec import load_spec
from generator.spec.calibration import write_calibration
from tests.boxpaint.terminal import boxpaint, files_of, nothing_written
from tests.detection.discs import SIZE_WH, disc_splits
from tests.generator.calibrated import PLATELET

pytestmark = pytest.mark.slow

BACKGROUND_CSV = "prompt,num_imgs\na blood smear,10\n"
CLASSES_CSV = "prompt,min_appear,max_appear,name\na red disc,1,2,red\na blue disc,1,2,blue\n"
RENAME = ("--rename", "azure=blue")


def change(file: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(file.read_bytes())
    edit(content)
    file.write_text(json.dumps(content))


def grown(bbox: list[float], scale: float) -> list[float]:
    x, y, width, height = bbox
    return [x - width * (scale - 1) / 2, y - height * (scale - 1) / 2, width * scale, height * scale]


def as_painted(content: dict[str, Any]) -> None:
    """Boxes of 1.5 times what was painted had been asked for."""
    for item in content["annotations"]:
        item.update({"tight_bbox": item["bbox"], "requested_bbox": grown(item["bbox"], 1.5)})


def as_people_draw(content: dict[str, Any]) -> None:
    """Boxes a fifth larger than the discs, and another name for those that are blue."""
    for item in content["annotations"]:
        item["bbox"] = grown(item["bbox"], 1.2)
    content["categories"][1]["name"] = "azure"


@pytest.fixture
def workplace(tmp_path: Path, short_scale_training: None) -> Path:
    """A run folder, real photos with the splits train and test, and the CSV files in a folder of their own."""
    disc_splits(tmp_path / "run", {"train": 9}, seed=1)
    change(tmp_path / "run/annotations/instances_train.json", as_painted)
    (tmp_path / "run/run.json").write_text('{"schema_version": 2, "spec_digest": "0", "config": {}}')
    disc_splits(tmp_path / "real", {"train": 9, "test": 3}, seed=2)
    for split in ("train", "test"):
        change(tmp_path / f"real/annotations/instances_{split}.json", as_people_draw)
    (tmp_path / "smear").mkdir()
    (tmp_path / "smear/background.csv").write_text(BACKGROUND_CSV)
    (tmp_path / "smear/classes.csv").write_text(CLASSES_CSV)
    return tmp_path


def is_whole(bbox: list[float]) -> bool:
    """Whether a box keeps a pixel away from the border."""
    x, y, width, height = bbox
    return min(x, y) >= 1 and x + width <= SIZE_WH[0] - 1 and y + height <= SIZE_WH[1] - 1


def whole_boxes(file: Path) -> dict[int, int]:
    """How many whole boxes there are of the categories 1 and 2."""
    whole = [item["category_id"] for item in json.loads(file.read_bytes())["annotations"] if is_whole(item["bbox"])]
    return {number: whole.count(number) for number in (1, 2)}


CALIBRATE = "calibrate", "run", "--real", "real", "-c", "smear/classes.csv"


def test_what_is_measured_is_written_beside_classes_csv_and_read_from_there(workplace: Path) -> None:
    before = files_of(workplace)
    boxpaint(*CALIBRATE, *RENAME, cwd=workplace).says(
        "wrote smear/calibration.json",
        "learning the scale of boxes",
        "looking at where they lie",
        "look at the boxes: smear/calibration.jpg",
    )
    assert {path: data for path, data in files_of(workplace).items() if path in before} == before
    assert set(files_of(workplace)) - set(before) == {"smear/calibration.json", "smear/calibration.jpg"}
    spec = load_spec(workplace / "smear/background.csv", workplace / "smear/classes.csv", canvas_wh=(400, 300))
    found = {row.name: row.calibration for row in spec.classes}
    painted = whole_boxes(workplace / "run/annotations/instances_train.json")
    real = whole_boxes(workplace / "real/annotations/instances_train.json")
    for number, name in enumerate(("red", "blue"), start=1):
        calibration = found[name]
        assert calibration is not None
        assert calibration.paint_scale == pytest.approx(1.5, abs=1e-3)
        assert (calibration.painted_boxes, calibration.real_boxes) == (painted[number], real[number])
        # Discs are 10 to 16 px across, boxes 1.2 times as much, of a picture of 55 px.
        assert 12 / 55.5 < calibration.side < 19.3 / 55.4
        assert calibration.aspect == pytest.approx(1, abs=1e-3)
    content = json.loads((workplace / "smear/calibration.json").read_bytes())
    assert content["real"] == "real:train"
    boxpaint("check-spec", cwd=workplace / "smear").says(
        "sizes, shapes and places of red and blue follow calibration.json, not classes.csv"
    )


def test_names_match_in_any_case_and_classes_csv_is_looked_for_here(workplace: Path) -> None:
    def shout(content: dict[str, Any]) -> None:
        for item, name in zip(content["categories"], ("RED", "Blue"), strict=True):
            item["name"] = name

    change(workplace / "real/annotations/instances_train.json", shout)
    boxpaint("calibrate", "../run", "--real", "../real", cwd=workplace / "smear").says("wrote calibration.json")
    assert list(json.loads((workplace / "smear/calibration.json").read_bytes())["classes"]) == ["red", "blue"]


def test_classes_of_little_or_no_worth_are_said(workplace: Path) -> None:
    def keep_two_red(content: dict[str, Any]) -> None:
        red = [item for item in content["annotations"] if item["category_id"] == 1 and is_whole(item["bbox"])]
        content["annotations"] = red[:2]

    change(workplace / "real/annotations/instances_train.json", keep_two_red)
    before = PLATELET  # what it is of does not matter
    write_calibration(workplace / "smear/calibration.json", {"blue": before}, real="others")
    said = boxpaint(*CALIBRATE, *RENAME, cwd=workplace).says(
        "warning: 2 boxes of red say little", "warning: nothing of blue could be measured; it stays as it was"
    )
    assert "replaced" not in said
    spec = load_spec(workplace / "smear/background.csv", workplace / "smear/classes.csv", canvas_wh=(400, 300))
    red, blue = (row.calibration for row in spec.classes)
    assert red is not None
    assert blue == before, "what was measured of it on other pictures"
    (workplace / "smear/calibration.json").write_text("{")
    boxpaint(*CALIBRATE, *RENAME, cwd=workplace).says(
        "warning: replaced, since it could not be used: smear/calibration.json:1: is not JSON"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["nowhere", "--real", "real", *RENAME], ["nowhere", "no run folder"], id="no such folder"),
        pytest.param(["real", "--real", "real", *RENAME], ["real", "no run folder"], id="a data set, no run"),
        pytest.param(
            ["run", "--real", "real", "-c", "none/classes.csv", *RENAME],
            ["none/classes.csv", "no such file", "--classes"],
            id="no classes.csv",
        ),
        pytest.param(
            ["run", "--real", "real", "-c", "smear", *RENAME], ["smear", "no such file"], id="a folder for it"
        ),
        pytest.param(
            ["run", "--real", "real"], ["real:train", "no category 'blue'", "--rename OLD=NEW"], id="without the rename"
        ),
        pytest.param(
            ["run", "--real", "real", "--rename", "azure=green"], ["no category 'blue'", "green"], id="a wrong rename"
        ),
        pytest.param(
            ["run", "--real", "real", "--rename", "azure=red"], ["no category 'blue'"], id="two classes become one"
        ),
        pytest.param(
            ["run", "--real", "real", "--rename", "azure"], ["azure", "OLD=NEW is needed"], id="half a rename"
        ),
        pytest.param(["run", "--real", "photos", *RENAME], ["photos", "no such file or folder"], id="no real set"),
        pytest.param(["run", "--real", "real:val", *RENAME], ["no split 'val'"], id="no such split"),
        pytest.param(["run", "--real", "real:test", *RENAME], ["'test'", "kept"], id="pictures that are kept apart"),
        pytest.param(["run", *RENAME], ["--real"], id="no word of a real set"),
        pytest.param(["run", "--real", "real", "--seed", "-1", *RENAME], ["--seed"], id="a seed below zero"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2_and_nothing_is_written(
    workplace: Path, arguments: list[str], words: list[str]
) -> None:
    classes = [] if "-c" in arguments else ["-c", "smear/classes.csv"]
    with nothing_written(workplace):
        ended = boxpaint("calibrate", *arguments, *classes, cwd=workplace)
    ended.refuses(*words)
    assert "Usage:" in ended.err or len(ended.err.strip().splitlines()) == 1


def test_only_classes_of_classes_csv_are_written(workplace: Path) -> None:
    table = workplace / "smear/classes.csv"
    rows = table.read_text().splitlines()
    table.write_text("\n".join(row for row in rows if "blue" not in row) + "\n")
    boxpaint(*CALIBRATE, cwd=workplace).says()
    assert "blue" not in json.loads((workplace / "smear/calibration.json").read_text())["classes"]


def test_what_cannot_be_is_said_and_not_written(workplace: Path) -> None:
    def asked_for_giants(content: dict[str, Any]) -> None:
        for item in content["annotations"]:
            item["requested_bbox"] = grown(item["bbox"], 9.0)

    change(workplace / "run/annotations/instances_train.json", asked_for_giants)
    boxpaint(*CALIBRATE, *RENAME, cwd=workplace).refuses("paint_scale comes out as")
    assert not (workplace / "smear/calibration.json").exists()


def test_without_a_whole_object_nothing_is_measured_and_an_earlier_file_stays(workplace: Path) -> None:
    def to_the_border(content: dict[str, Any]) -> None:
        for item in content["annotations"]:
            item["bbox"] = [0, 0, 10, 10]

    change(workplace / "real/annotations/instances_train.json", to_the_border)
    earlier = workplace / "smear/calibration.json"
    earlier.write_text("as it was")
    said = boxpaint(*CALIBRATE, *RENAME, cwd=workplace).refuses()
    assert said == "real:train: there is no whole object of red, blue to measure"
    assert earlier.read_text() == "as it was"
