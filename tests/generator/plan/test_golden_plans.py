"""Plans that were written before they were made fast, byte for byte: a run that was begun then must go on now.

A hash changes where a scenario or the pocket's own values change, and then that is right.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from generator.config import Config
from generator.plan import Plan, ScenePlan, write_plan
from generator.spec import load_spec

ROOT = Path(__file__).parents[3]
LARGE_SEED = 2**62 + 7


def plan_of(folder: str, seed: int = 0, config: str = "pocket") -> Plan:
    settings = Config.load(ROOT / "configs" / f"{config}.yaml").model_copy(update={"seed": seed})
    background, classes = (ROOT / folder / name for name in ("background.csv", "classes.csv"))
    spec = load_spec(background, classes, canvas_wh=settings.canvas_wh, find_references=False)
    return Plan(spec=spec, config=settings)


def digest_of(scenes: Iterable[ScenePlan]) -> str:
    lines = (json.dumps(scene.to_json(), separators=(",", ":"), ensure_ascii=False) + "\n" for scene in scenes)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.mark.parametrize(
    ("folder", "config", "seed", "expected"),
    [
        (".", "pocket", 0, "78083274241cbd20bc146710c3c464171639bfad436a3601ebefd40d61654f90"),
        (".", "pocket", LARGE_SEED, "eb0ada3bdeb77f7e369b04066aff3934d1fb97746a0de4c9f693e5eb29a10eee"),
        (
            "configs/experiments/bccd",
            "pocket",
            0,
            "42f6079c8c1a44eba993d95a68732f66c97095e72ee5fa65ca0e236733c798f3",
        ),
        ("configs/scenarios/safari", "sd21", 0, "87b30692c209d08f480782c47d81dd138aa33558fca081b9a8a50b856dde1cc1"),
        (
            "configs/scenarios/safari",
            "sd21",
            LARGE_SEED,
            "7981b2abdb985267d9f6806e37bb0863e407e7d568edd2434fb7179b8ccd45e5",
        ),
    ],
    ids=["default", "default, large seed", "calibrated", "safari", "safari, large seed"],
)
def test_plans_stay_what_they_were(folder: str, config: str, seed: int, expected: str, tmp_path: Path) -> None:
    write_plan(plan_of(folder, seed, config), tmp_path / "plan.jsonl")
    assert hashlib.sha256((tmp_path / "plan.jsonl").read_bytes()).hexdigest() == expected


@pytest.mark.parametrize(
    ("folder", "seed", "expected"),
    [
        (".", LARGE_SEED, "fe59020ccd6f5e6123223ecb9cda49eab4e699fed4cf65156372a2f232c56eed"),
        ("configs/experiments/bccd", LARGE_SEED, "f56800c936191e476685ec1f90c0a19cf2334b2eac2ee44d6cfc00aa20cbf745"),
    ],
    ids=["default", "calibrated"],
)
def test_plans_on_a_background_stay_what_they_were(folder: str, seed: int, expected: str) -> None:
    plan = plan_of(folder, seed)
    width, height = plan.config.canvas_wh
    picture = np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert digest_of(plan.scene(index, picture) for index in range(20)) == expected


def test_scenes_of_a_plan_of_a_million_stay_what_they_were() -> None:
    plan = plan_of("configs/experiments/bccd", LARGE_SEED)
    rows = tuple(dataclasses.replace(row, num_imgs=400_000) for row in plan.spec.backgrounds)
    plan = dataclasses.replace(plan, spec=dataclasses.replace(plan.spec, backgrounds=rows))
    indices = [*range(0, len(plan), len(plan) // 200), len(plan) - 1]
    expected = "99c1240df41d5973574660ba2694a1ba5c779d4f2035b0dba02a591d542ee678"
    assert digest_of(map(plan.scene, indices)) == expected
