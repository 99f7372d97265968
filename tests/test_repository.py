"""Files that must agree with each other."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from generator.config import Config

REPOSITORY = Path(__file__).parent.parent
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def test_conda_users_get_the_same_requirements() -> None:
    environment = yaml.safe_load((REPOSITORY / "environment.yml").read_text())
    python, pip, packages = environment["dependencies"]
    assert (python, pip) == (f"python{PROJECT['requires-python']}", "pip")
    assert packages["pip"] == [*PROJECT["dependencies"], "-e ."]


def test_every_requirement_is_pinned_and_no_pin_names_an_address() -> None:
    lines = [line for line in (REPOSITORY / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", line) for line in lines)
    pinned = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lines}
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[>\[]", requirement)[0]).lower() for requirement in wanted}
    assert names <= pinned


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_config_loads_and_opens_with_its_command(path: Path) -> None:
    Config.load(path)
    assert path.read_text().startswith(f"# boxpaint generate --config configs/{path.name}\n")


def test_the_written_out_pocket_config_says_what_the_defaults_are() -> None:
    assert Config.load(REPOSITORY / "configs" / "pocket.yaml") == Config()


def test_checkpoints_are_read_without_running_what_is_in_them() -> None:
    trusting = [
        str(path.relative_to(REPOSITORY))
        for package in ("generator", "detection", "boxpaint", "training")
        for path in (REPOSITORY / package).rglob("*.py")
        for call in re.findall(r"(?<!safetensors\.)torch\.load\([^)]*\)", path.read_text())
        if "weights_only=True" not in call and "torch.load(weights_only=True)" not in call
    ]
    assert not trusting
