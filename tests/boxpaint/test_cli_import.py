"""`boxpaint import` as a user meets it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.detection.importers.sources import draw, encode, voc_xml, write, write_pictures

ENVIRONMENT = {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}


def boxpaint(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "boxpaint", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=ENVIRONMENT)


@pytest.fixture()
def workplace(tmp_path: Path) -> Path:
    """A folder with pets/: five photos with XML, a box without an area among them, and one that is missing."""
    source = tmp_path / "pets"
    write_pictures(source, *(f"{name}.jpg" for name in "abcde"))
    for name in "abcde":
        write(source / f"{name}.xml", voc_xml(f"{name}.jpg", [("cat", (4, 5, 14, 25)), ("dog", (3, 3, 9, 9))]))
    write(source / "e.xml", voc_xml("e.jpg", [("cat", (4, 5, 4, 25))]))
    write(source / "gone.xml", voc_xml("gone.jpg", [("cat", (4, 5, 14, 25))] * 2))
    return tmp_path


def test_help_loads_no_heavy_package() -> None:
    code = (
        "import sys\n"
        "from boxpaint.cli import app\n"
        "from typer.testing import CliRunner\n"
        "result = CliRunner().invoke(app, ['import', '--help'])\n"
        "assert result.exit_code == 0 and 'SRC' in result.output\n"
        "heavy = {'torch', 'transformers', 'pandas', 'imagehash', 'scipy', 'PIL', 'cv2'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_came_in_what_is_in_and_what_is_not(workplace: Path) -> None:
    arguments = ["import", "pets", "--out", "real", "--rename", "cat=house cat", "--split", "train=0.5,val=0.5"]
    result = boxpaint(*arguments, "--seed", "3", cwd=workplace)
    assert result.returncode == 0, result.stderr
    for words in (
        "read as voc: 6 XML files",
        "a picture that is missing",
        "gone.xml: gone.jpg",
        "a box without an area",
        "e.xml: object 1 cat: cat [4, 5, 4, 25]",
        "house cat",
        "made: train=0.5, val=0.5, seed 3",
        "6 pictures came in: 5 are in, 1 are dropped and listed",
        "11 objects came in: 8 are in, 3 are dropped and listed",
        "boxpaint validate real",
    ):
        assert words in result.stdout, result.stdout
    content = json.loads((workplace / "real" / "import.json").read_bytes())
    assert content["options"]["rename"] == {"cat": "house cat"}
    checked = boxpaint("validate", "real", cwd=workplace)
    assert checked.returncode == 0, checked.stdout
    assert "5 pictures" in checked.stdout
    again = boxpaint(*arguments, cwd=workplace)
    assert again.returncode == 2
    assert "--overwrite" in again.stderr


WRONG = {
    "no source": (["import", "gone", "--out", "real"], ["gone", "no such file or folder"]),
    "unknown format": (
        ["import", "pets", "--out", "real", "--format", "vok"],
        ["did you mean 'voc'", "coco, voc, yolo"],
    ),
    "not that format": (
        ["import", "pets", "--out", "real", "--format", "coco"],
        ["Looked for coco: JSON files", "Found 6 .xml, 5 .jpg"],
    ),
    "empty": (["import", "empty", "--out", "real"], ["empty", "this folder is empty"]),
    "taken": (["import", "pets", "--out", "pets"], ["not the folder of an import", "a.jpg"]),
    "rename": (["import", "pets", "--out", "real", "--rename", "cats=x"], ["'cats'", "did you mean 'cat'"]),
    "rename without =": (["import", "pets", "--out", "real", "--rename", "cat"], ["OLD=NEW is needed"]),
    "rename twice": (
        ["import", "pets", "--out", "real", "--rename", "cat=x", "--rename", "cat=y"],
        ["cat=y", "each OLD once"],
    ),
    "keep": (["import", "pets", "--out", "real", "--keep", "dgo"], ["'dgo'", "did you mean 'dog'"]),
    "split": (["import", "pets", "--out", "real", "--split", "80/20"], ["80/20", "train=0.7,val=0.15,test=0.15"]),
    "pattern": (["import", "pets", "--out", "real", "--group-by", "["], ["--group-by", "no regular expression"]),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_mistakes_end_with_one_message_and_nothing_written(
    workplace: Path,
    arguments: list[str],
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from boxpaint.__main__ import main

    (workplace / "empty").mkdir()
    monkeypatch.chdir(workplace)
    monkeypatch.setattr(sys, "argv", ["boxpaint", *arguments])
    with pytest.raises(SystemExit) as raised:
        main()
    assert raised.value.code == 2
    errors = capsys.readouterr().err
    assert all(word in errors.replace("\n", " ") for word in words), errors
    assert not (workplace / "real").exists()
    assert sorted(path.name for path in workplace.iterdir()) == ["empty", "pets"]


def test_stopped_in_the_middle_it_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    for number in range(120):
        write(tmp_path / "s" / f"{number}.png", encode(draw(number, (900, 700)), "BMP"))
        write(tmp_path / "s" / f"{number}.xml", voc_xml("", [("cat", (4, 5, 14, 25))]))
    command = [sys.executable, "-m", "boxpaint", "import", "s", "--out", "real"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    deadline = time.monotonic() + 60
    while not any((tmp_path / "real").glob(".import.unfinished/images/*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert "stopped; real is as it was" in out
    assert not (tmp_path / "real").exists()
