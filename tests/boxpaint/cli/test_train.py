"""`boxpaint train detector`, `refine detector`, `train segmenter`, `predict`, `segment` and `evaluate`, on discs."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from detection.detectors.settings import ModelCard, ModelOptions, write_card
from tests.boxpaint.terminal import Ended, boxpaint, nothing_written, press_ctrl_c
from tests.detection.discs import disc_splits

pytestmark = pytest.mark.slow

SHORT = ("--size", "64x48", "--steps", "2", "--batch-size", "2", "--device", "cpu")
DETECTOR, REFINE, SEGMENTER = ("train", "detector"), ("refine", "detector"), ("train", "segmenter")
FIRST = (*DETECTOR, "--synthetic", "painted", "--out", "runs/first", *SHORT)
MASKS = (*SEGMENTER, "--data", "real", "--out", "runs/masks", *SHORT, "--size", "96x64")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """What the trainings of `workplace` said."""
    return {}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, said: dict[str, Ended]) -> Path:
    """A folder with real/ (splits train, val, test), painted/, runs/first, trained on the painted ones, and runs/masks;

    boxes/ lacks a mask, other/ has another class, mine/ holds a user's file, runs/boxes is a detector without masks.
    """
    folder = tmp_path_factory.mktemp("workplace")
    disc_splits(folder / "real", {"train": 4, "val": 3, "test": 3}, seed=1)
    disc_splits(folder / "painted", {"train": 3, "val": 3}, seed=2)
    disc_splits(folder / "boxes", {"train": 4, "val": 3}, seed=0)
    for split in ("train", "val"):
        change(
            folder / f"boxes/annotations/instances_{split}.json",
            lambda content: content["annotations"][1].pop("segmentation"),
        )
    disc_splits(folder / "other", {"train": 1}, seed=3)
    moon = {"annotations": [], "categories": [{"id": 1, "name": "moon"}]}
    change(folder / "other/annotations/instances_train.json", lambda content: content.update(moon))
    (folder / "mine").mkdir()
    (folder / "mine" / "report.html").write_text("a user's")
    card = ModelCard(name="retinanet_small", categories=("red", "blue"), options=ModelOptions(input_wh=(96, 64)))
    write_card(folder / "runs" / "boxes", card)
    for command in (FIRST, MASKS):
        said[command[1]] = boxpaint(*command, cwd=folder)
    return folder


def change(file: Path, edit) -> None:
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_painted_pictures_alone_are_all_trained_on(workplace: Path) -> None:
    run = read(workplace / "runs/first/run.json")
    assert [(item["role"], item["splits"], item["boxes"]) for item in run["data"]] == [
        ("synthetic", ["train", "val"], "labelled")
    ]
    assert (run["validation"], run["settings"]["steps"], run["options"]["input_wh"]) == (None, 2, [64, 48])
    boxpaint(*FIRST, cwd=workplace).says("is finished already, nothing was trained")


def test_mixed_training_with_a_config_and_the_real_sets_validation_split(workplace: Path) -> None:
    (workplace / "train.yaml").write_text(yaml.safe_dump({"steps": 9, "validate_every": 2, "augment": "none"}))
    arguments = ["--real", "real", "--synthetic", "painted", "--mix", "0.25", "--boxes", "requested", "--seed", "7"]
    command = [*DETECTOR, *arguments, "--config", "train.yaml", "--out", "runs/mixed", *SHORT]
    boxpaint(*command, cwd=workplace).says(
        "real: real:train, 4 pictures, 3 red, 2 blue",
        "synthetic: painted:train+val, 6 pictures",
        "validation: real:val, 3 pictures",
        "step 2/2: AP",
        "3 validation pictures, weights of step 2 of 2",
        "next: boxpaint evaluate runs/mixed DATASET",
    )
    run = read(workplace / "runs/mixed/run.json")
    assert [(item["share"], item["boxes"]) for item in run["data"]] == [(0.25, "labelled"), (0.75, "requested")]
    settings = run["settings"]
    assert (settings["steps"], settings["validate_every"], settings["augment"], run["seed"]) == (2, 2, "none", 7)


def test_one_class_under_another_name(workplace: Path) -> None:
    arguments = ["--real", "real:train", "--categories", "rot", "--rename", "RED=Rot", "--no-validation"]
    boxpaint(*DETECTOR, *arguments, "--out", "runs/red", *SHORT, "--steps", "1", cwd=workplace).says(
        "no validation pictures: the weights of the last step are kept"
    )
    assert read(workplace / "runs/red/model/model.json")["categories"] == ["rot"]


def test_refining_on_real_pictures(workplace: Path) -> None:
    command = [*REFINE, "--from", "runs/first", "--data", "real", "--out", "runs/refined", "--device", "cpu"]
    boxpaint(*command, "--steps", "2", "--freeze-backbone", cwd=workplace).says(
        "retinanet_small from runs/first: adamw at 0.0001, at most 2 steps; the backbone is frozen", "AP before"
    )
    run = read(workplace / "runs/refined/run.json")
    assert run["refined_from"]["path"] == "runs/first"
    assert [item["role"] for item in run["data"]] == ["real"]
    settings = run["settings"]
    assert (settings["freeze_backbone"], settings["patience"], settings["validate_every"]) == (True, 5, 1)
    boxpaint(*command, "--steps", "2", cwd=workplace).refuses("settings.freeze_backbone: true before, false now")


def test_refining_on_pictures_without_one_of_the_classes(workplace: Path) -> None:
    disc_splits(workplace / "few", {"train": 1}, seed=1)  # a red disc
    arguments = ["--from", "runs/first/model", "--data", "few", "--out", "runs/few", "--device", "cpu", "--steps", "1"]
    boxpaint(*REFINE, *arguments, cwd=workplace).says("warning: there is no blue to learn from")
    used = [[item["sha256"] for item in rows(workplace / "runs" / name / "data.csv")] for name in ("first", "few")]
    assert used[1][1:] == used[0]
    fresh = boxpaint(*DETECTOR, "--real", "few", "--out", "runs/fresh", cwd=workplace)
    fresh.refuses("there is no object of the class 'blue' to learn from")


def test_boxes_measured_on_real_ones_are_shown_and_kept(workplace: Path, short_scale_training: None) -> None:
    arguments = ["--real", "real", "--synthetic", "painted", "--boxes", "calibrated", "--no-validation"]
    shown = boxpaint(*DETECTOR, *arguments, "--out", "runs/scaled", *SHORT, "--steps", "1", cwd=workplace).says()
    red = read(workplace / "runs/scaled/run.json")["data"][1]["scales"]["red"]
    measured = f"measured on {red['real_boxes']} real and {red['painted_boxes']} painted ones"
    assert f"boxes of red: times {red['factor']:.3f}, {measured}" in shown
    assert "could be measured" not in shown


def test_a_segmenters_training_leaves_loss_scores_and_overlays(workplace: Path, said: dict[str, Ended]) -> None:
    said["segmenter"].says(
        "real:train, 4 pictures, 3 red, 2 blue",
        "real:val, 3 pictures",
        "weights of step 2 of 2",
        "3 pictures with masks",
        "mask AP",
        "semantic IoU",
        "background",
        "next: boxpaint segment runs/masks PICTURES",
    )
    names = {path.name for path in (workplace / "runs/masks").iterdir()}
    assert {"run.json", "model", "loss.png", "losses.csv", "scores.json", "mask_scores.json", "overlays.png"} <= names
    run = read(workplace / "runs/masks/run.json")
    assert (run["detector"], run["data"][0]["role"]) == ("mask_rcnn_small", "trained")


def test_the_same_segmenter_again_trains_nothing_and_says_the_same(workplace: Path, said: dict[str, Ended]) -> None:
    with nothing_written(workplace / "runs/masks"):
        again = boxpaint(*MASKS, cwd=workplace).says("finished already, nothing was trained")
    assert again.splitlines()[-8:] == said["segmenter"].out.splitlines()[-8:]
    # A kill may come between the weights and the scores of their masks.
    with nothing_written(workplace / "runs/masks"):
        (workplace / "runs/masks/mask_scores.json").unlink()
        boxpaint(*MASKS, cwd=workplace).says()


def test_predictions_of_a_folder_with_a_damaged_picture(workplace: Path, tmp_path: Path) -> None:
    (workplace / "new").mkdir()
    for number, path in enumerate(sorted((workplace / "real/images").glob("*test*"))):
        (workplace / "new" / f"{number}.png").write_bytes(path.read_bytes())
    (workplace / "new" / "torn.png").write_bytes(b"torn")
    command = ["predict", "runs/first", "new", "--out", "new/found", "--min-score", "0", "--device", "cpu"]
    boxpaint(*command, cwd=workplace).says(
        "1 pictures could not be read", "  torn.png: ", "3 pictures: ", "look: new/found/drawn"
    )
    assert len(list((workplace / "new/found/drawn").iterdir())) == 3
    # What was drawn before is no picture to look at, though it lies below the folder.
    boxpaint(*command, "--overwrite", cwd=workplace).says("3 pictures: ")
    one = ["predict", "runs/first", "new/0.png", "--out", tmp_path / "one", "--device", "cpu"]
    boxpaint(*one, cwd=workplace).says("1 pictures: ")


def test_a_folder_of_pictures_becomes_overlays_and_masks(workplace: Path, tmp_path: Path) -> None:
    segment = ["segment", "runs/masks", "real/images", "--out", tmp_path, "--min-score", "0"]
    shown = boxpaint(*segment, cwd=workplace).says("10 pictures: ", str(tmp_path / "index.html"))
    assert "mask AP" not in shown
    for kind in ("overlays", "instances", "semantic"):
        assert len(list((tmp_path / kind).glob("*.png"))) == 10
    assert read(tmp_path / "segment.json")["pictures"] == 10


def test_a_data_set_with_masks_is_scored_as_the_training_did(workplace: Path, tmp_path: Path) -> None:
    boxpaint("segment", "runs/masks", "real:val", "--out", tmp_path, cwd=workplace).says("3 pictures with masks")
    assert read(tmp_path / "mask_scores.json") == read(workplace / "runs/masks/mask_scores.json")["masks"]


def test_a_data_set_with_boxes_only_is_segmented_without_scores(workplace: Path, tmp_path: Path) -> None:
    boxpaint("segment", "runs/masks", "boxes", "--out", tmp_path, cwd=workplace).says(
        "no scores: boxes:val: column 'segmentation': 1 of 4 objects have no segmentation"
    )
    assert not (tmp_path / "mask_scores.json").exists()


def test_objects_of_other_categories_need_no_masks(workplace: Path, tmp_path: Path) -> None:
    short = [*SHORT, "--size", "96x64", "--steps", "1"]  # it is a blue one that has none
    train = [*SEGMENTER, "--data", "boxes", "--categories", "red", *short, "--out", tmp_path / "run"]
    boxpaint(*train, cwd=workplace).says()
    boxpaint("segment", tmp_path / "run", "boxes", "--out", tmp_path / "out", cwd=workplace).says(
        "3 pictures with masks"
    )


def test_pictures_that_cannot_be_read_are_named(workplace: Path, tmp_path: Path) -> None:
    disc_splits(tmp_path / "discs", {"val": 1}, seed=0)
    for number in range(7):
        (tmp_path / "discs" / "images" / f"torn_{number}.png").write_bytes(b"no picture")
    boxpaint("segment", "runs/masks", tmp_path / "discs/images", "--out", tmp_path / "out", cwd=workplace).says(
        "7 pictures could not be read",
        "torn_4.png: is no picture",
        f"and 2 more, see {tmp_path / 'out' / 'segment.json'}",
    )
    assert len(read(tmp_path / "out" / "segment.json")["unreadable"]) == 7


def test_an_evaluation_by_class_and_size(workplace: Path) -> None:
    evaluate = ["evaluate", "runs/first", "real", "--out", "scored", "--device", "cpu"]
    shown = boxpaint(*evaluate, cwd=workplace).says(
        "real:test: 3 pictures", "AP small", "blue", "look: scored/report.html"
    )
    assert "warning" not in shown
    content = read(workplace / "scored/scores.json")
    assert (content["run"], content["data"], content["seen_in_training"]) == ("runs/first", "real:test", 0)
    assert content["scores"]["categories"].keys() == {"red", "blue"}
    assert (workplace / "scored/pr_curves.png").exists()
    seen = ["evaluate", "runs/first/model", "painted", "--split", "train", "--out", "scored", "--overwrite"]
    boxpaint(*seen, cwd=workplace).says("warning: 3 of these pictures were trained or validated on")


MISTAKES = {
    DETECTOR: [
        ([], ["what to train on?", "--real", "--synthetic"]),
        (["--real", "nowhere"], ["nowhere", "no such file or folder"]),
        (["--real", "real:test"], ["real:test", "never trained"]),
        (["--real", "real:moon"], ["no split 'moon'", "test, train, val"]),
        (["--real", "real", "--mix", "0.5"], ["--mix", "--synthetic"]),
        (["--real", "real", "--synthetic", "painted", "--mix", "1"], ["--mix", "below 1"]),
        (["--real", "real", "--validation", "real:train"], ["trained on, too", "--no-validation"]),
        (["--real", "real", "--validation", "real", "--no-validation"], ["exclude each other"]),
        (["--real", "real", "--categories", "red,moon"], ["'moon'", "red, blue", "--rename"]),
        (["--real", "real", "--categories", "red,RED"], ["--categories", "each once"]),
        (["--real", "real", "--rename", "red"], ["--rename", "OLD=NEW"]),
        (["--real", "real", "--rename", "moon=sun"], ["moon", "known: red, blue"]),
        (["--real", "real", "--size", "wide"], ["--size", "'wide'", "320x240"]),
        (["--real", "real", "--size", "3x4"], ["input_wh", "32"]),
        (["--real", "real", "--steps", "0"], ["steps", "greater than or equal to 1"]),
        (["--real", "real", "--detector", "moon"], ["'moon'", "retinanet_small", "faster_rcnn"]),
        (["--real", "real", "--device", "toaster"], ["toaster", "device: auto"]),
        (["--real", "real", "--config", "none.yaml"], ["none.yaml", "no such file"]),
        (["--real", "real", "--out", "real"], ["real is not a training of a detector"]),
        (["--synthetic", "painted", "--patience", "2"], ["--patience", "--validation"]),
        (["--synthetic", "painted", "--boxes", "calibrated"], ["--boxes calibrated", "--real"]),
        (["--synthetic", "painted", "--boxes", "round"], ["round", "requested"]),
    ],
    REFINE: [
        (["--from", "real", "--data", "real"], ["real: no trained detector is there"]),
        (["--from", "runs/first", "--data", "real", "--out", "runs/first"], ["choose another"]),
        (["--from", "runs/first", "--data", "other"], ["no category 'red', 'blue'", "moon"]),
        (["--from", "runs/first", "--data", "real", "--optimiser", "x"], ["optimizer", "'adamw'"]),
    ],
    SEGMENTER: [
        (["--data", "nowhere"], ["nowhere", "there is no such file or folder"]),
        (["--data", "boxes"], ["1 of 5 objects have no segmentation", "in disc_train_001.png"]),
        (["--data", "real", "--validation", "boxes"], ["boxes:val", "1 of 4 objects have no segmentation"]),
        (
            ["--data", "real", "--detector", "toaster"],
            ["'toaster' that gives masks; known: mask_rcnn_small"],
        ),
        (["--data", "real", "--detector", "retinanet_small"], ["'retinanet_small' that gives masks"]),
        (["--data", "real", "--size", "large"], ["--size: found 'large'"]),
        (["--data", "real", "--out", "real"], ["is not a training of a detector"]),
    ],
    ("predict",): [
        (["nowhere", "real"], ["nowhere: no trained detector is there"]),
        (["runs/first", "nowhere"], ["nowhere", "no such picture or folder"]),
        (["runs/first", "real/annotations"], ["no pictures are in it"]),
    ],
    ("segment",): [
        (["nowhere", "real/images"], ["nowhere", "no trained detector is there"]),
        (["runs/boxes", "real/images"], ["its detector, retinanet_small, gives no masks"]),
        (["runs/masks", "nowhere"], ["nowhere", "there is no such picture or folder"]),
        (["runs/masks", "real:nosplit"], ["there is no split 'nosplit'"]),
        (["runs/masks", "real", "--rename", "red=green"], ["has no category 'red'", "--rename OLD=NEW"]),
        (["runs/masks", "real", "--out", "real"], ["is not the result of boxpaint segment", "--out"]),
    ],
    ("evaluate",): [
        (["runs/first", "real", "--split", "moon"], ["no split 'moon'"]),
        (["runs/first", "other"], ["no category 'red', 'blue'", "its categories: moon"]),
        (["runs/first", "real", "--out", "painted"], ["painted is not the result of boxpaint evaluate"]),
        (["runs/first", "real", "--out", "mine", "--overwrite"], ["evaluate: it holds report.html"]),
    ],
}
CASES = [([*command, *more], words) for command, cases in MISTAKES.items() for more, words in cases]


@pytest.mark.parametrize(("arguments", "words"), CASES, ids=[" ".join(arguments) for arguments, _ in CASES])
def test_a_users_mistake_is_one_message_and_exit_code_2(
    workplace: Path, arguments: list[str], words: list[str]
) -> None:
    with nothing_written(workplace):
        boxpaint(*arguments, cwd=workplace).refuses(*words)


def test_ctrl_c_keeps_what_was_trained(workplace: Path) -> None:
    (workplace / "long.yaml").write_text(yaml.safe_dump({"checkpoint_every": 1, "augment": "none"}))
    arguments = ["--synthetic", "painted", "--out", "runs/long", *SHORT, "--steps", "10000", "--config", "long.yaml"]
    checkpoint = workplace / "runs/long/checkpoint"
    press_ctrl_c([*DETECTOR, *arguments], workplace, once=lambda: any(checkpoint.glob("*.pt")))
    assert (workplace / "runs/long/run.json").exists()
