from __future__ import annotations

from pathlib import Path

import pytest

from tests.detection.formats.sets import write_set


@pytest.fixture()
def source(tmp_path: Path) -> Path:
    """Where a set to import is laid out."""
    return tmp_path / "s"


@pytest.fixture()
def pets(tmp_path: Path) -> Path:
    """A set in COCO form to export: that of sets.py."""
    return write_set(tmp_path / "pets")
