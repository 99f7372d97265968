"""Formats that a run's records are written in. Each is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from generator.exporters.coco import export_coco
from generator.plan import Plan
from generator.record import SceneRecord

Exporter = Callable[[Iterable[SceneRecord], Plan, Path], list[Path]]

EXPORTERS: dict[str, Exporter] = {
    "coco": export_coco,
}
