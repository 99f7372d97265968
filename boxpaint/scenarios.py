"""The scenarios that `boxpaint init` lays down: the root's own CSV files, and those of configs/scenarios."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from generator.bundles import BUNDLES, load_card
from generator.foundation.errors import BoxpaintError
from generator.foundation.storage import make_folder, translate_os_errors, write_bytes

_PACKAGED = Path(__file__).parent / "configs"
_CHECKOUT = Path(__file__).parent.parent
DEFAULT_SCENARIO = "blood_smear"
# The embedded bundle paints blood smears; every other scenario is written for Stable Diffusion 2.1.
_POCKET_SCENARIOS = (DEFAULT_SCENARIO,)
_FOLDER_NAME = re.compile(r"\w[\w .+-]*")
# As the config of a bundle has it: the bundle's own size, commented out.
_CANVAS = re.compile(r"^# canvas: \{width: \d+, height: \d+\}", re.MULTILINE)


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
    originals = {name: source / name for name in ("background.csv", "classes.csv")} | {"config.yaml": config}
    if (source / "attributes.csv").is_file():
        originals["attributes.csv"] = source / "attributes.csv"
    check_free(target, originals)
    with translate_os_errors(source):
        contents = {name: path.read_bytes() for name, path in originals.items()}
    return write_files(target, contents)


def canvas_area_px(bundle: str) -> int:
    """How many pixels a picture has that one of our bundles paints best. Raises BoxpaintError for an unknown one."""
    if bundle not in BUNDLES:
        raise BoxpaintError(f"--bundle: there is no {bundle!r}; known: {', '.join(BUNDLES)}")
    canvas = load_card(bundle).defaults["canvas"]
    return int(canvas["width"] * canvas["height"])


def config_with_canvas(bundle: str, canvas_wh: tuple[int, int]) -> bytes:
    """The config of one of our bundles with a canvas of another size."""
    width, height = canvas_wh
    text = (configs_folder() / f"{bundle}.yaml").read_text(encoding="utf-8")
    return _CANVAS.sub(f"canvas: {{width: {width}, height: {height}}}", text, count=1).encode()


def check_free(target: Path, names: Iterable[str]) -> None:
    """Raise BoxpaintError where a folder holds one of these files."""
    present = [name for name in names if (target / name).exists()]
    if present:
        raise BoxpaintError(
            f"{target}: {', '.join(present)} is already there and stays as it is; choose another folder"
        )


def write_files(target: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write files by their names into a folder, which is made. Raises StorageError."""
    make_folder(target)
    for name, content in contents.items():
        write_bytes(target / name, content)
    return [target / name for name in contents]


def folder_name_fault(name: str, *, longest: int = 100) -> str:
    """What is wrong with the name of a folder; empty where nothing is.

    >>> folder_name_fault("smears 2")
    ''
    """
    if _FOLDER_NAME.fullmatch(name) and len(name) <= longest and not name.endswith((".", " ")):
        return ""
    return (
        f"the name of a folder is needed: letters, digits, spaces, and any of . _ + - but in front, {longest} at most"
    )
