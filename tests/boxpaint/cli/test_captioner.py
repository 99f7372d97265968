"""`boxpaint train captioner` as a user meets it."""

import json
from pathlib import Path

import pytest
import yaml

from generator.config import Config
from tests.boxpaint.terminal import boxpaint, nothing_written, press_ctrl_c
from tests.detection.captioner.discs import save_tiny_blip, write_discs

pytestmark = pytest.mark.slow

SHORT = ("--epochs", "2", "--batch-size", "8", "--learning-rate", "1e-3", "--val-share", "0.25", "--device", "cpu")


TRAIN = "train", "captioner", "--images", "images", "--captions", "captions.csv"


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_blip(tmp_path_factory.mktemp("blip"))


@pytest.fixture()
def workplace(tmp_path: Path, blip: Path) -> Path:
    """A folder with images/, captions.csv and a config.yaml that names the tiny BLIP."""
    write_discs(tmp_path, copies=2)
    (tmp_path / "config.yaml").write_text(json.dumps({"models": {"captioner": {"folder": str(blip)}}, "offline": True}))
    return tmp_path


def test_it_says_what_it_read_what_it_gained_and_how_to_use_it(workplace: Path) -> None:
    table = workplace / "captions.csv"
    table.write_text(table.read_text() + "gone.png,a black disc\nred_small_0.png,\n")
    said = boxpaint(*TRAIN, *SHORT, cwd=workplace).says(
        "24 captions of 12 pictures, from the columns 'image' and 'caption'",
        "2 rows skipped",
        "captions.csv:26: column 'image': found 'gone.png'; there is no such picture in images",
        "epoch 2/2: loss",
        "3 validation pictures",
        "BLEU-4",
        "METEOR (exact and stem)",
    )
    lines = said.splitlines()
    start = lines.index("models:")
    assert lines[start : start + 3] == ["models:", "  captioner:", "    folder: runs/captioner/model"]
    use = yaml.safe_load("\n".join(lines[start : start + 3]))
    assert Config(**use).models.captioner.folder == "runs/captioner/model"
    scores = json.loads((workplace / "runs/captioner/scores.json").read_text())
    assert scores["counts"]["skipped_rows"] == 2
    again = boxpaint(*TRAIN, *SHORT, cwd=workplace).says()
    assert "epoch" not in again.replace("best epoch", "")
    assert lines[-12:] == again.splitlines()[-12:]


@pytest.mark.parametrize(
    ("arguments", "files", "words"),
    [
        (["--images", "nowhere"], {}, ["nowhere", "no such folder", "--images"]),
        (["--captions", "none.csv"], {}, ["none.csv", "no such file"]),
        ([], {"captions.csv": ""}, ["captions.csv:1", "empty"]),
        ([], {"captions.csv": "image,caption\nx.jpg,a dog\n"}, ["captions.csv:2", "'x.jpg'", "12 pictures"]),
        ([], {"captions.csv": "image,size\nred_small_0.png,3\n"}, ["captions.csv:2", "no captions"]),
        ([], {"captions.csv": "image,caption\nred_small_0.png,a disc\n"}, ["captions of 1 picture", "at least 2"]),
        ([], {"config.yaml": "models: {captioner: null}\n"}, ["'pocket' has no captioner", "models.captioner.id"]),
        ([], {"config.yaml": "models: {captioner: {folder: moon}}\n"}, ["models.captioner.folder", "moon"]),
        (["--device", "toaster"], {}, ["toaster", "device: auto"]),
        (["--val-share", "1"], {}, ["val_share", "should be less than 1"]),
        (["--out", "captions.csv"], {}, ["captions.csv", "choose another folder"]),
        (["--out", "images"], {}, ["images", "choose another with --out"]),
    ],
)
def test_a_users_mistake_is_one_message_and_exit_code_2(
    workplace: Path, arguments: list[str], files: dict[str, str], words: list[str]
) -> None:
    for name, text in files.items():
        (workplace / name).write_text(text)
    with nothing_written(workplace):
        boxpaint(*TRAIN, *SHORT, *arguments, cwd=workplace).refuses(*words)
    assert not (workplace / "runs").exists() or not list((workplace / "runs").iterdir())


def test_ctrl_c_keeps_the_finished_epochs(workplace: Path) -> None:
    arguments = [*TRAIN, *SHORT, "--epochs", "500", "--patience", "500"]
    checkpoint = workplace / "runs/captioner/checkpoint.pt"
    press_ctrl_c(arguments, workplace, once=checkpoint.exists)
    assert checkpoint.exists()
    assert not list(checkpoint.parent.glob(".*.part"))
