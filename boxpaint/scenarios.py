"""The scenarios that `boxpaint init` lays down: the root's own CSV files, and those of configs/scenarios."""

from __future__ import annotations

import shutil
from pathlib import Path

from generator.errors import BoxpaintError
from generator.storage import make_folder, translate_os_errors

_PACKAGED = Path(__file__).parent / "configs"
_CHECKOUT = Path(__file__).parent.parent
DEFAULT_SCENARIO = "blood_smear"
# The embedded bundle paints blood smears; every other scenario is written for Stable Diffusion 2.1.
_POCKET_SCENARIOS = (DEFAULT_SCENARIO,)


def configs_folder() -> Path:
    """Where the configs lie: inside an installed wheel, or at the top of the checkout."""
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT / "configs"


def scenario_folder(name: str) -> Path:
    """Where the CSV files of a scenario lie. Raises BoxpaintError for an unknown one."""
    folder = configs_folder() / "scenarios" / name
    if name == DEFAULT_SCENARIO and not folder.is_dir():
        folder = _CHECKOUT
    if name not in scenario_names() or not (folder / "classes.csv").is_file():
        raise BoxpaintError(f"--scenario: there is no {name!r}; known: {', '.join(scenario_names())}")
    return folder


def scenario_names() -> list[str]:
    """Names of all scenarios, the default one first."""
    folders = sorted(path.name for path in (configs_folder() / "scenarios").iterdir() if path.is_dir())
    return [DEFAULT_SCENARIO, *(name for name in folders if name != DEFAULT_SCENARIO)]


def lay_down(name: str, target: Path) -> list[Path]:
    """Copy a scenario's CSV files and its config into a folder. Raises BoxpaintError rather than replace a file."""
    source = scenario_folder(name)
    config = configs_folder() / ("pocket.yaml" if name in _POCKET_SCENARIOS else "sd21.yaml")
    files = {
        target / "background.csv": source / "background.csv",
        target / "classes.csv": source / "classes.csv",
        target / "config.yaml": config,
    }
    if (source / "attributes.csv").is_file():
        files[target / "attributes.csv"] = source / "attributes.csv"
    present = [path.name for path in files if path.exists()]
    if present:
        raise BoxpaintError(
            f"{target}: {', '.join(present)} is already there and stays as it is; choose another folder"
        )
    make_folder(target)
    with translate_os_errors(target):
        for path, original in files.items():
            shutil.copyfile(original, path)
    return list(files)
