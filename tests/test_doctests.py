"""The examples in docstrings hold. Only modules that have some are imported: none of the heavy ones."""

import doctest
import importlib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
MODULES = [
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
    for package in ("generator", "detection", "boxpaint", "training")
    for path in sorted((REPOSITORY / package).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0
