"""What an installed wheel holds: models, scenarios, templates; it runs far from the repository."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def unpacked_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_makes_a_data_set_in_an_empty_folder(
    unpacked_wheel: Path, quick_config: dict[str, object], tmp_path: Path
) -> None:
    own = {"PYTHONPATH": str(unpacked_wheel), "HF_HUB_OFFLINE": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment = {**os.environ, **own}

    def boxpaint(*arguments: str, cwd: Path) -> str:
        command = [sys.executable, "-m", "boxpaint", *arguments]
        return subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True, text=True).stdout

    boxpaint("init", "demo", cwd=tmp_path)
    where = [sys.executable, "-c", "import generator; print(generator.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True).stdout
    assert found.startswith(str(unpacked_wheel))
    # With the wheel's own models, all of them.
    quick = {key: value for key, value in quick_config.items() if key not in ("models", "prompts")}
    (tmp_path / "demo" / "config.yaml").write_text(json.dumps({**quick, "prompts": {"patience": 32}}))
    boxpaint("generate", "--limit", "1", cwd=tmp_path / "demo")
    assert "instances_train.json: sound" in boxpaint("validate", "dataset", cwd=tmp_path / "demo")


def test_the_wheel_holds_every_scenario_and_no_tests(unpacked_wheel: Path) -> None:
    scenarios = {path.parent.name for path in unpacked_wheel.glob("boxpaint/configs/scenarios/*/classes.csv")}
    assert scenarios == {"blood_smear", "forest_fire", "pets", "power_plant", "safari"}
    assert {path.name for path in unpacked_wheel.iterdir() if not path.name.endswith(".dist-info")} == {
        "boxpaint",
        "detection",
        "generator",
    }
    assert all((unpacked_wheel / package / "py.typed").exists() for package in ("generator", "detection", "boxpaint"))
