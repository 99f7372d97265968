from __future__ import annotations

from pathlib import Path

import pytest

from tests.detection.captioner.discs import save_tiny_blip, write_discs


@pytest.fixture()
def discs(tmp_path: Path) -> Path:
    """The caption table of 24 discs; the pictures lie beside it in images/."""
    return write_discs(tmp_path / "discs", copies=4)


@pytest.fixture(scope="session")
def tiny_blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BLIP checkpoint of random weights, as the hub lays it out."""
    return save_tiny_blip(tmp_path_factory.mktemp("tiny_blip"))
