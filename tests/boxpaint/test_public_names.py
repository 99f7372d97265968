"""`from boxpaint import Config, load_spec, generate`: the door of the library."""

import subprocess
import sys

import pytest

import boxpaint
import generator


def test_the_front_door_hands_on_the_names_of_the_generator() -> None:
    assert {"Config", "generate", "load_spec"} <= {*boxpaint.__all__} == {*dir(boxpaint)} == {*generator.__all__}
    assert all(getattr(boxpaint, name) is getattr(generator, name) for name in boxpaint.__all__)


@pytest.mark.parametrize("package", ["boxpaint", "generator"])
def test_a_name_that_nobody_has_is_said(package: str) -> None:
    with pytest.raises(ImportError, match="nope"):
        exec(f"from {package} import nope")


def test_the_door_loads_nothing_heavy() -> None:
    code = (
        "import sys, boxpaint, generator\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'pandas', 'cv2', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
