"""The command line as a user meets it: messages, exit codes, and nothing lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.boxpaint.terminal import Terminal

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parent.parent.parent
SCENARIOS = ["blood_smear", "forest_fire", "pets", "power_plant", "safari"]


def boxpaint(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "boxpaint", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200", "HF_HUB_OFFLINE": "1"},
    )


def test_help_and_import_load_no_heavy_package() -> None:
    code = (
        "import sys, generator\n"
        "from boxpaint.cli import app\n"
        "from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'pandas', 'cv2', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_planning_loads_no_torch(csv_folder: Path) -> None:
    code = (
        "import sys\n"
        "from boxpaint.cli import app\n"
        "app(['plan'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=csv_folder)
    assert len((csv_folder / "plan" / "plan.jsonl").read_text().splitlines()) == 40
    assert (csv_folder / "plan" / "plan.png").stat().st_size > 1000


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_is_laid_down_whole_and_passes_its_own_check(
    scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal(monkeypatch, capsys, tmp_path)
    assert terminal.boxpaint("init", "here", "--scenario", scenario)[0] == 0
    monkeypatch.chdir(tmp_path / "here")
    code, out, errors = terminal.boxpaint("check-spec")
    assert code == 0, errors
    assert "warning" not in out
    assert "good:" in out


def test_what_generate_refuses_is_not_called_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal(monkeypatch, capsys, tmp_path)
    assert terminal.boxpaint("init", ".", "--scenario", "safari")[0] == 0
    (tmp_path / "config.yaml").write_text("bundle: pocket\n")
    code, out, _ = terminal.boxpaint("check-spec")
    assert code == 0
    assert "generate will refuse it: " in out
    assert "good:" not in out


def test_init_replaces_no_file_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text("mine")
    result = boxpaint("init", ".", cwd=tmp_path)
    assert result.returncode == 2
    assert "classes.csv" in result.stderr
    assert (tmp_path / "classes.csv").read_text() == "mine"
    assert not (tmp_path / "background.csv").exists()


def test_an_unknown_scenario_names_the_known_ones(tmp_path: Path) -> None:
    result = boxpaint("init", "x", "--scenario", "moon", cwd=tmp_path)
    assert result.returncode == 2
    assert "safari" in result.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("arguments", "files", "words"),
    [
        (["check-spec"], {"classes.csv": "prompt,min_apear,max_appear\na,1,2\n"}, ["classes.csv:1", "min_appear"]),
        (["check-spec", "--classes", "none.csv"], {}, ["none.csv", "no such file"]),
        (["generate"], {"config.yaml": "bundel: pocket\n"}, ["config.yaml:1", "bundel", "did you mean 'bundle'"]),
        (["generate"], {"config.yaml": "bundle: nowhere\n"}, ["nowhere", "pocket, sd21"]),
        (["generate", "--device", "toaster"], {}, ["toaster", "device: auto"]),
        (
            ["generate"],
            {"config.yaml": "bundle: sd21\noffline: true\nprompts: {enrich: none}\n"},
            ["sd2-community", "offline: false", "folder"],
        ),
        (["generate"], {"config.yaml": "bundle: sd21\noffline: true\n"}, ["models.enricher", "gpt2", "offline: false"]),
        (["generate", "--out", "classes.csv"], {}, ["classes.csv", "choose another folder"]),
        (["validate", "nothing"], {}, ["nothing", "no such file or folder"]),
        (["validate", "."], {}, ["no COCO file"]),
    ],
)
def test_a_users_mistake_is_one_message_and_exit_code_2(
    csv_folder: Path,
    arguments: list[str],
    files: dict[str, str],
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, text in files.items():
        (csv_folder / name).write_text(text)
    before = {path.name: path.read_bytes() for path in csv_folder.iterdir() if path.is_file()}
    code, out, errors = Terminal(monkeypatch, capsys, csv_folder).boxpaint(*arguments)
    assert code == 2, out + errors
    assert "Traceback" not in errors
    for word in words:
        assert word in errors
    after = {path.name: path.read_bytes() for path in csv_folder.iterdir() if path.is_file()}
    assert after == before


def test_generate_validate_and_resume_from_the_command_line(csv_folder: Path, quick_config: dict[str, object]) -> None:
    (csv_folder / "config.yaml").write_text(json.dumps(quick_config))
    result = boxpaint("generate", "--limit", "2", "--seed", "3", cwd=csv_folder)
    assert result.returncode == 0, result.stderr
    assert "scene 2/2" in result.stdout  # plain lines where there is no terminal
    result = boxpaint("validate", "dataset", cwd=csv_folder)
    assert result.returncode == 0, result.stdout
    assert "instances_train.json: sound" in result.stdout
    refused = boxpaint("generate", "--limit", "2", "--seed", "4", cwd=csv_folder)
    assert refused.returncode == 2
    assert "config.seed: 3 before, 4 now" in refused.stderr
    again = boxpaint("generate", "--limit", "2", "--seed", "3", cwd=csv_folder)
    assert "2 of 2 scenes are finished already" in again.stdout


def test_ctrl_c_ends_after_the_chunk_and_says_how_to_go_on(csv_folder: Path, quick_config: dict[str, object]) -> None:
    (csv_folder / "config.yaml").write_text(json.dumps(quick_config))
    process = subprocess.Popen(
        [sys.executable, "-m", "boxpaint", "generate"], cwd=csv_folder, stdout=subprocess.PIPE, text=True
    )
    records = csv_folder / "dataset" / "records"
    deadline = time.monotonic() + 120
    while len(list(records.glob("*.json"))) < 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command goes on from what is kept in dataset" in output
    finished = len(list(records.glob("*.json")))
    assert finished % 2 == 0  # whole chunks
    assert 0 < finished < 40
    assert boxpaint("validate", "dataset", cwd=csv_folder).returncode == 0


def test_validate_explains_each_fault_of_a_foreign_set(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    truth = {
        "images": [{"id": 1, "file_name": "missing.jpg", "width": 10, "height": 10}],
        "annotations": [
            {"id": 0, "image_id": 1, "category_id": 7, "bbox": [0, 0, 5, 5], "area": 25, "iscrowd": 0},
            {"id": 2, "image_id": 9, "category_id": 1, "bbox": [0, 0, 5, 5], "area": 25, "iscrowd": 0},
        ],
        "categories": [{"id": 1, "name": "a"}],
    }
    (tmp_path / "annotations" / "instances.json").write_text(json.dumps(truth))
    result = boxpaint("validate", ".", cwd=tmp_path)
    assert result.returncode == 2
    assert "id 0" in result.stdout
    truth["annotations"][0]["id"] = 1  # type: ignore[index]
    (tmp_path / "annotations" / "instances.json").write_text(json.dumps(truth))
    result = boxpaint("validate", ".", cwd=tmp_path)
    for words in ("missing.jpg", "no category has this id", "no image has this id", "3 faults"):
        assert words in result.stdout


def test_doctor_says_what_is_there_and_what_is_missing(tmp_path: Path) -> None:
    result = boxpaint("doctor", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    for words in ("torch", "memory", "bundle pocket", "ready", "bundle sd21", "licence", "sd2-community"):
        assert words in result.stdout
    pocket, sd21 = result.stdout.split("can use ")[1:]
    assert pocket.split() == ["pocket?", "yes,", "without", "a", "network"]
    assert "boxpaint doctor --get sd21" in " ".join(sd21.split())
