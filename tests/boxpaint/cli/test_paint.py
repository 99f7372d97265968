"""`boxpaint generate`, `validate` and `audit`: messages, exit codes, and nothing lost."""

import json
import re
from pathlib import Path

import pytest

from generator.audit.files import AUDIT, AUDIT_PICTURE
from tests.boxpaint.terminal import boxpaint, nothing_written, press_ctrl_c
from tests.generator.audit.test_leak_gate import config, finished_run

CHECKED = [
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
]


@pytest.mark.parametrize(("arguments", "files", "words"), CHECKED)
def test_a_users_mistake_is_one_message_and_exit_code_2(
    csv_folder: Path, arguments: list[str], files: dict[str, str], words: list[str]
) -> None:
    for name, text in files.items():
        (csv_folder / name).write_text(text)
    with nothing_written(csv_folder):
        boxpaint(*arguments, cwd=csv_folder).refuses(*words)


@pytest.mark.slow
def test_generate_validate_and_resume(csv_folder: Path, quick_config: dict[str, object]) -> None:
    (csv_folder / "config.yaml").write_text(json.dumps(quick_config))
    command = "generate", "--limit", "2", "--seed"
    boxpaint(*command, "3", cwd=csv_folder).says("scene 2/2")  # plain lines where there is no terminal
    boxpaint("validate", "dataset", cwd=csv_folder).says("instances_train.json: sound")
    boxpaint(*command, "4", cwd=csv_folder).refuses("config.seed: 3 before, 4 now")
    boxpaint(*command, "3", cwd=csv_folder).says("2 of 2 scenes are finished already")


@pytest.mark.slow
def test_ctrl_c_ends_after_the_chunk_and_says_how_to_go_on(csv_folder: Path, quick_config: dict[str, object]) -> None:
    (csv_folder / "config.yaml").write_text(json.dumps(quick_config))
    records = csv_folder / "dataset" / "records"
    press_ctrl_c(["generate"], csv_folder, once=lambda: any(records.glob("*.json")))
    finished = len(list(records.glob("*.json")))
    assert finished % 2 == 0  # whole chunks
    assert 0 < finished < 40
    boxpaint("validate", "dataset", cwd=csv_folder).says()


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
    for first_id, words in (
        (0, ["id 0"]),
        (1, ["missing.jpg", "no category has this id", "no image has this id", "3 faults"]),
    ):
        truth["annotations"][0]["id"] = first_id  # type: ignore[index]
        (tmp_path / "annotations" / "instances.json").write_text(json.dumps(truth))
        ended = boxpaint("validate", ".", cwd=tmp_path)
        assert ended.code == 2
        assert all(each in ended.out for each in words), ended.out


def test_audit_keeps_one_that_says_more(tmp_path: Path) -> None:
    command = "audit", "out", "--no-network"
    finished_run(tmp_path / "out", config(), leaks=True)
    boxpaint(*command, cwd=tmp_path).says("all numbers: out/audit.json")
    stored = {name: (tmp_path / "out" / name).read_bytes() for name in (AUDIT, AUDIT_PICTURE)}
    kept = "out/audit.json keeps an earlier audit, of 30 pictures, which says more"
    said = boxpaint(*command, "--scenes", "3", cwd=tmp_path).says(kept)
    assert re.search(r"decoys: too few, \d could be compared with an untouched place, 20 in 2 pictures or more", said)
    assert {name: (tmp_path / "out" / name).read_bytes() for name in stored} == stored
    (tmp_path / "out" / AUDIT).write_text("{")
    boxpaint(*command, "--scenes", "3", cwd=tmp_path).says("all numbers")
