"""plan.jsonl: planned scenes as JSON, one a line, in order; `boxpaint plan` writes all of them.

A run writes the first ones before it paints, which is all of most runs, and goes on as painting does: a million scenes
are minutes and a gigabyte, for which no GPU should wait. How far the file goes depends on the last finished scene
alone, so it is equal between equal runs, like everything in it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from generator.foundation.storage import atomic_writer, translate_os_errors
from generator.plan.plan import Plan, ScenePlan

# Scenes that are planned before the first is painted (a few seconds), and how many are added at a time.
AHEAD, STEP = 10_000, 1_000
_TAIL_BYTES = 2**20
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def write_plan(plan: Plan, path: Path, scenes: int | None = None) -> int:
    """Write all scenes, or the first ones, whole or not at all; returns the number of objects without a place.

    Raises StorageError.
    """
    unplaced = 0
    with atomic_writer(path) as stream:
        for index in range(len(plan) if scenes is None else min(scenes, len(plan))):
            scene = plan.scene(index)
            unplaced += len(scene.unplaced)
            stream.write(_line(scene))
    return unplaced


def extend_plan(plan: Plan, path: Path, *, until: int) -> int:
    """Go on with the file until scene `until` is in it; returns how many scenes it holds. Raises StorageError.

    Where there is none, or one that is damaged, it is begun.
    """
    wanted = min(len(plan), max(AHEAD, (until // STEP + 1) * STEP))
    held = count_planned(path)
    if not held:
        write_plan(plan, path, AHEAD)
        held = min(AHEAD, len(plan))
    if held < wanted:
        with translate_os_errors(path), path.open("ab") as stream:
            stream.writelines(_line(plan.scene(index)) for index in range(held, wanted))
    return max(held, wanted)


def count_planned(path: Path) -> int:
    """Count the scenes in the file by its last line; a line that a kill cut short is taken off. 0 of a damaged file."""
    if not path.exists():
        return 0
    with translate_os_errors(path), path.open("r+b") as stream:
        size = stream.seek(0, os.SEEK_END)
        start = stream.seek(max(0, size - _TAIL_BYTES))
        whole, newline, cut = stream.read().rpartition(b"\n")
        if cut:
            stream.truncate(size - len(cut))
    _, earlier, last = whole.rpartition(b"\n")
    if not newline or (start and not earlier):
        return 0
    try:
        return int(json.loads(last)["index"]) + 1
    except (ValueError, TypeError, KeyError):
        return 0


def _line(scene: ScenePlan) -> bytes:
    return _ENCODER.encode(scene.to_json()).encode() + b"\n"
