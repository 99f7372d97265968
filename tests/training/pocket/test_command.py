import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from generator.bundles import BUNDLES
from generator.foundation.errors import BoxpaintError
from training.pocket import gpt2, parts
from training.pocket.__main__ import MINUTES, app
from training.pocket.session import Session, open_session

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[3]
TINY = gpt2.Gpt2Recipe(vocabulary=400, width=16, layers=1, heads=2, positions=32, batch_size=4)


def test_every_part_has_its_minutes() -> None:
    assert list(MINUTES) == list(parts.PARTS)


def test_a_missing_folder_ends_with_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "training.pocket", "all", "--data", str(tmp_path / "absent"), "--out", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "absent: there is no such file or folder" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["all", "--only", "gpt3"], "there is no part 'gpt3'; the parts are vae, inpaint, gpt2, blip, clip"),
        (["all", "--only", "gpt2", "--captions", "absent.txt"], "absent.txt: there is no such file"),
        (["all", "--only", "gpt2", "--device", "abacus"], "'abacus' cannot be used on this machine"),
        (["evaluate", "absent"], "there is no part of a bundle in this folder"),
    ],
)
def test_mistakes_are_said(bccd: Path, captions: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    given = ["--data", str(bccd)] + ([] if "--captions" in arguments else ["--captions", str(captions)])
    done = CliRunner().invoke(app, [*arguments, *given])
    assert isinstance(done.exception, BoxpaintError)
    assert message in str(done.exception)


@pytest.mark.parametrize(
    ("name", "splits", "message"),
    [
        pytest.param("Plates", ("train", "val", "test"), "--data: .*has no category 'platelet'", id="another name"),
        pytest.param("RBC", ("test",), "no platelet is labelled in the photos of test", id="none to measure on"),
    ],
)
def test_photos_without_a_kind_are_refused_before_training(
    bccd: Path, captions: Path, tmp_path: Path, name: str, splits: tuple[str, ...], message: str
) -> None:
    data = shutil.copytree(bccd, tmp_path / "data")
    for path in (data / "annotations").iterdir():
        if path.name.startswith(splits):
            path.write_text(path.read_text().replace("Platelets", name))
    with pytest.raises(BoxpaintError, match=message):
        open_session(data, tmp_path / "imported", captions, 0, torch.device("cpu"), print)


def test_all_trains_what_is_not_finished_and_shows_the_numbers(
    bccd: Path, captions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "pocket"
    trained: list[Path] = []
    train = gpt2.train
    monkeypatch.setattr(gpt2, "train", lambda *given: (trained.append(given[1]), train(*given)))
    monkeypatch.setitem(parts.PARTS, "gpt2", dataclasses.replace(parts.PARTS["gpt2"], recipe=TINY))
    given = ["--data", str(bccd), "--captions", str(captions), "--device", "cpu"]
    command = ["all", "--only", "gpt2", "--minutes", "0.02", "--out", str(out), *given]
    for number in range(2):
        if number:
            (out / "gpt2.checkpoint.pt").touch()  # as a kill after the numbers leaves it
        done = CliRunner().invoke(app, command, env={"COLUMNS": "120"})
        assert done.exit_code == 0, done.output
        assert "GPT-2 perplexity, held-out captions" in done.output
        assert "together" in done.output
    assert "finished before" in done.output
    assert trained == [out / "gpt2"]
    assert sorted(path.name for path in out.iterdir()) == ["gpt2", "gpt2.numbers.json"]
    asked = CliRunner().invoke(app, [*command, "--seed", "1"])
    assert isinstance(asked.exception, BoxpaintError)
    assert re.search(
        r'gpt2\.numbers\.json is of another training; remove it .*\n  seed: "0" before, "1" now$', str(asked.exception)
    )
    measured = CliRunner().invoke(app, ["evaluate", str(out), *given], env={"COLUMNS": "120"})
    numbers = parts.read_numbers(out, "gpt2")
    assert f"{numbers['GPT-2 perplexity, held-out captions']:,.3f}" in measured.output


@pytest.mark.parametrize("text", ["", "[]", '{"GPT-2 perplexity, held-out captions": 20.5}'])
def test_numbers_that_do_not_say_what_they_are_of_are_named(opened: Session, tmp_path: Path, text: str) -> None:
    (tmp_path / "gpt2.numbers.json").write_text(text)
    with pytest.raises(BoxpaintError, match=r"gpt2\.numbers\.json does not say what .*; remove it"):
        parts.is_finished(tmp_path, "gpt2", opened)


def test_the_embedded_bundle_is_recognised_and_weighed_without_counting_twice() -> None:
    pocket = BUNDLES["pocket"]
    assert parts.parts_in(pocket)[:2] == ["vae", "inpaint"]
    files = sum(path.stat().st_size for path in (pocket / "inpaint").rglob("*") if path.is_file()) / 1e6
    assert parts.size_mb(pocket, "vae") + parts.size_mb(pocket, "inpaint") == pytest.approx(files)
