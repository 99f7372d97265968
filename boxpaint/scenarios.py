"""The scenarios that `boxpaint init` lays down: the root's own CSV files, and those of configs/scenarios."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from generator.bundles import BUNDLES
from generator.config import Config
from generator.foundation.errors import BoxpaintError, ConfigError
from generator.foundation.storage import make_folder, translate_os_errors, write_bytes

_PACKAGED = Path(__file__).parent / "configs"
_CHECKOUT = Path(__file__).parent.parent
DEFAULT_SCENARIO = "blood_smear"
# The embedded bundle paints blood smears; every other scenario is written for Stable Diffusion 2.1.
_POCKET_SCENARIOS = (DEFAULT_SCENARIO,)
_FOLDER_NAME = re.compile(r"\w[\w .+-]*")
# As the config of a bundle has it: the bundle's own size, commented out.
_CANVAS = re.compile(r"^# canvas: \{width: \d+, height: \d+\}", re.MULTILINE)


_TRAINED = """\
# boxpaint generate
# The painter is a folder, counted from here. Keys left out take its own values (its bundle.yaml).

bundle: {bundle}
seed: 0
{canvas}

placement:
  margin: 0.02               # free border, share of the shorter side
  max_overlap: 0.05          # of the smaller of two boxes
  decoys: 0.5                # for each object: boxes painted the same way, without an object and without a label

labels:
  max_attempts: 4            # a rejected object is painted again with its next seed, then dropped
  verify: true               # a second model (CLIP, trained with the painter) looks at objects, decoys and backgrounds
  best_of: 1                 # seeds painted of each object at once; the verifier's favourite stays

audit:
  max_leak_auc: 0.7          # above it no annotations are written: a probe finds where was painted

output:
  image_format: png          # or jpg
  val_share: 0.2
  segmentation: polygon      # or rle
"""


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


def painting_config(bundle: str, option: str) -> Config:
    """All settings of a bundle, a name or a folder. Raises BoxpaintError, which names the option it came from."""
    try:
        return Config.load(bundle=bundle)
    except ConfigError as error:
        if error.faults[0].column != "bundle":
            raise
        raise BoxpaintError(f"{option}: found {bundle!r}; {error.faults[0].expected}") from None


def config_of(bundle: str, canvas_wh: tuple[int, int], target: Path) -> bytes:
    """A config for a folder `target`, that paints pictures of (width, height) by one of our bundles or a folder's."""
    width, height = canvas_wh
    canvas = f"canvas: {{width: {width}, height: {height}}}"
    if bundle in BUNDLES:
        text = (configs_folder() / f"{bundle}.yaml").read_text(encoding="utf-8")
        return _CANVAS.sub(canvas, text, count=1).encode()
    # Both as they are on disk: a link in either would lead elsewhere.
    path = Path(os.path.relpath(Path(bundle).resolve(), target.resolve())).as_posix()
    return _TRAINED.format(bundle=json.dumps(path, ensure_ascii=False), canvas=canvas).encode()


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
